"""DINO against its formulas, float64: loss, gradients, parameters, the teacher, the centre.

Facts and sources: Caron et al. 2021 (arXiv:2104.14294), algorithm 1 and appendix, their released
code for drop path, positions, clipping and schedules; lightly's loss as a second witness.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import lightly.loss
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sslang
from sslang.emit import draws
from sslang.ops.schedules import Clock, value_at
from sslang.train.learner import Learner
from tests.conftest import ROOT
from tests.fidelity.formulas import Nets, Sgd, Vit, Watched, agree, average, unit
from tests.fidelity.multicrop import (
    BACKBONE,
    FEATURES,
    SEED,
    AtOptimizer,
    backward,
    batch_of,
    learner_of,
    ramp,
    small_resnet,
)

ROWS, HIDDEN, DIM, OUTPUTS, LOCALS = 6, 12, 256, 10, 3
STEPS, TOTAL, EPOCH = 8, 40, 2
WIDTH, DEPTH, DROP_PATH = 16, 3, 0.4
WARM = 3  # steps
CLIP = 0.05
SMALL = (
    "local_size=12", f"locals={LOCALS}", f"hidden={HIDDEN}", f"outputs={OUTPUTS}",
    "momentum=cosine(0.9 -> 1)", "groups=[group(bias or norm, weight_decay = 0)]",
)  # fmt: skip
VIT = (
    f"backbone=vit(patch = 4, width = {WIDTH}, depth = {DEPTH}, heads = 2, position = learned, "
    "init = dino)",
    f"student=f | g | l2_normalize | last with (drop_path = {DROP_PATH})",
    f"optimizer=adamw(lr = linear(0 -> 2e-3, over = {WARM} steps, closed = true) then "
    "cosine(2e-3 -> 1e-6), weight_decay = cosine(0.04 -> 0.4))",
    f"clip=tensor_norm({CLIP})", "freeze=[until(1 epochs, last)]",
)  # fmt: skip
# Numbers that float32 holds, for lightly rounds temperatures to it.
COLD, WARM_TAU, TAU = 0.03125, 0.09375, 0.1
WARMING = f"teacher_tau=linear({COLD} -> {WARM_TAU}, over = {{}}) then {WARM_TAU}"


class DinoVit(Vit):
    """With learned positions, at any resolution, and drop path."""

    def __init__(self) -> None:
        super().__init__(patch=4, width=WIDTH, depth=DEPTH, heads=2, tokens=16)
        del self.pos_embed
        self.pos_embed = nn.Parameter(torch.zeros(1, 17, WIDTH))

    def forward(self, x: Tensor, drops: Tensor | None = None) -> Tensor:
        """`drops` [rows, 2 * depth] are uniform numbers: attention and MLP of each block."""
        x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        positions = resampled(self.pos_embed, math.isqrt(x.shape[1]))
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + positions
        for n, block in enumerate(self.blocks):
            kept = [_kept(n, None if drops is None else drops[:, 2 * n + i]) for i in (0, 1)]
            x = x + kept[0] * self._attention(block["attn"], block["norm1"](x))
            hidden = block["mlp"]["fc1"](block["norm2"](x))
            gelu = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
            x = x + kept[1] * block["mlp"]["fc2"](gelu)
        return self.norm(x)[:, 0]


def _kept(block: int, drops: Tensor | None) -> Tensor | float:
    """What a branch is multiplied with: floor(keep + u) / keep, keep = 1 - linspace(0, rate)."""
    if drops is None:
        return 1.0
    keep = 1 - float(np.linspace(0, DROP_PATH, DEPTH)[block])
    return (torch.floor(keep + drops) / keep)[:, None, None]


def resampled(positions: Tensor, side: int) -> Tensor:
    """Positions [1, 1 + n * n, width] for side x side patches, by cubic convolution (Keys, 1981).

    As DINO's code has it: output i lies at (i + 0.5) / s - 0.5 of the table, whose borders are
    continued; s = (side + 0.1) / n, a = -0.75. The class token's stays as it is.
    """
    n = math.isqrt(positions.shape[1] - 1)
    if side == n:
        return positions
    matrix = torch.zeros(side, n, dtype=positions.dtype)
    for i in range(side):
        at = (i + 0.5) * n / (side + 0.1) - 0.5
        for near in range(math.floor(at) - 1, math.floor(at) + 3):
            matrix[i, min(max(near, 0), n - 1)] += _cubic(abs(at - near))
    table = positions[0, 1:].reshape(n, n, -1)
    made = torch.einsum("ia,jb,abw->ijw", matrix, matrix, table).flatten(0, 1)
    return torch.cat([positions[:, :1], made[None]], dim=1)


def _cubic(x: float, a: float = -0.75) -> float:
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a


class WeightNormed(nn.Module):
    """Rows g v / |v|, without a bias."""

    def __init__(self, *, trained: bool) -> None:
        super().__init__()
        self.weight_v = nn.Parameter(torch.zeros(OUTPUTS, DIM))
        gain = torch.zeros(OUTPUTS, 1)
        if trained:
            self.weight_g = nn.Parameter(gain)
        else:
            self.register_buffer("weight_g", gain)

    def forward(self, x: Tensor) -> Tensor:
        return x @ (self.weight_g * unit(self.weight_v)).T


@dataclass
class DecoupledAdam:
    """Loshchilov and Hutter, 2019, algorithm 2; a parameter's own count of its steps.

    One-dimensional parameters and biases are not decayed; one without gradient is left alone.
    """

    moments: dict[str, tuple[int, Tensor, Tensor]] = field(default_factory=dict)

    def step(self, parameters: dict[str, nn.Parameter], rate: float, decay: float) -> None:
        for name, p in parameters.items():
            g = p.grad
            if g is None:
                continue
            t, m, v = self.moments.get(name, (0, torch.zeros_like(p), torch.zeros_like(p)))
            t, m, v = t + 1, 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            self.moments[name] = (t, m, v)
            if _decayed(name, p):
                p.data -= rate * decay * p.data
            p.data -= rate * (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)


def _decayed(name: str, p: Tensor) -> bool:
    return p.dim() > 1 and not name.endswith(".bias")


def _nets(make: Callable[[], nn.Module], features: int, *, trained_gain: bool) -> Nets:
    modules: dict[str, nn.Module] = {}
    for side in ("", "teacher."):
        modules[f"{side}f"] = make()
        modules[f"{side}g"] = nn.Sequential(
            nn.Linear(features, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(),
            nn.Linear(HIDDEN, DIM),
        )  # fmt: skip
        modules[f"{side}last"] = WeightNormed(trained=trained_gain)
    return Nets(modules, {n: f"{n}." if n.endswith("g") else f"{n}.0." for n in modules})


def _drops(learner: Learner, step: int) -> list[Tensor]:
    """The numbers of the large views and of the small: rows view by view, [rows, 2 * depth]."""
    sites = [n.setting("site") for n in learner.program.step.nodes if n.op == "draw"]
    assert sites == ["s.drop_path/f", "s.drop_path/f_2"]  # the student alone, once a resolution
    found = []
    for site, views in zip(sites, (2, LOCALS), strict=True):
        key = draws.stream_key(SEED, "pretrain", site)
        u = torch.from_numpy(draws.uniform(key, step, ROWS, views * 2 * DEPTH))
        found.append(torch.cat(list(u.reshape(ROWS, views, 2 * DEPTH).unbind(1))))
    return found


def _loss(student: list[Tensor], teacher: list[Tensor], center: Tensor, tau: float) -> Tensor:
    """The mean over the pairs of a teacher's large view and any other view of the student."""
    pairs = [
        -(
            functional.softmax((teacher[v] - center) / tau, dim=1)
            * functional.log_softmax(student[w] / TAU, dim=1)
        ).sum(1).mean()
        for v in (0, 1) for w in range(len(student)) if v != w
    ]  # fmt: skip
    assert len(pairs) == 2 * (len(student) - 1)
    return torch.stack(pairs).mean()


def _dino(
    learner: Learner,
    nets: Nets,
    optimize: Callable[[dict[str, nn.Parameter], int], None],
    *,
    taus: list[float],
    drop_path: bool,
    thaw: int = 0,
    clip: float = math.inf,
) -> None:
    """Holds a learner against the formulas.

    The last layer is trained from step `thaw` on; `taus` are the teacher's temperatures.
    """
    nets.start_from(learner)
    modules = nets.modules
    for name in ("f", "g", "last"):  # the teacher is a copy
        pairs = zip(
            modules[name].parameters(), modules[f"teacher.{name}"].parameters(), strict=True
        )
        assert all(torch.equal(a, b) for a, b in pairs)
    watched, given = Watched(learner), AtOptimizer(learner)
    parameters = nets.named(["f", "g", "last"])
    assert parameters.keys() == {name for name, _ in learner.method.trained()}
    center = torch.zeros(OUTPUTS, dtype=torch.float64)
    witness = lightly.loss.DINOLoss(OUTPUTS, COLD, WARM_TAU, 1, TAU, 0.9).double()
    shrunk = kept = 0
    for step in range(STEPS):
        pixels, views = batch_of(learner, ROWS, step, (16, 16, *(12,) * LOCALS))
        ours = learner.train_step(pixels)

        large, small = torch.cat(views[:2]), torch.cat(views[2:])
        with torch.no_grad():
            teacher = _head(nets, "teacher.", modules["teacher.f"](large))
        drops: Iterable[tuple[Tensor, ...]] = ((), ())
        if drop_path:
            drops = ((u,) for u in _drops(learner, step))
        features = [modules["f"](x, *u) for x, u in zip((large, small), drops, strict=True)]
        student = list(_head(nets, "", torch.cat(features)).split(ROWS))
        loss = _loss(student, list(teacher.split(ROWS)), center, taus[step])
        center = 0.9 * center + 0.1 * teacher.mean(0)  # after its use
        theirs = witness(list(teacher.split(ROWS)), student, teacher_temp=taus[step])
        agree(theirs.detach(), loss.detach(), f"lightly's loss of step {step}")
        agree(witness.center.flatten(), center, f"lightly's centre after step {step}")
        agree(ours.loss, loss.detach(), f"loss of step {step}")

        backward(loss, parameters)
        watched.compare(parameters)
        for parameter in parameters.values():
            assert parameter.grad is not None
            scale = clip / (float(parameter.grad.norm()) + 1e-6)
            shrunk, kept = shrunk + (scale < 1), kept + (scale >= 1)
            parameter.grad *= min(1.0, scale)
        if step < thaw:
            for parameter in modules["last"].parameters():
                parameter.grad = None
        assert ("last.0.weight_v" in given.gradients) == (step >= thaw)
        given.compare(parameters)
        optimize(parameters, step)
        nets.settle()
        momentum = 1 - (1 - 0.9) * 0.5 * (1 + math.cos(math.pi * step / TOTAL))
        for name in ("f", "g", "last"):
            average(modules[f"teacher.{name}"], modules[name], momentum)
        nets.compare(learner)
        agree(learner.method.state("center"), center, f"centre after step {step}")
    assert kept and (shrunk or clip == math.inf)


def _head(nets: Nets, side: str, features: Tensor) -> Tensor:
    return nets.modules[f"{side}last"](unit(nets.modules[f"{side}g"](features)))


def _adam(rates: list[float]) -> Callable[[dict[str, nn.Parameter], int], None]:
    adam = DecoupledAdam()

    def optimize(parameters: dict[str, nn.Parameter], step: int) -> None:
        progress = 0.5 * (1 - math.cos(math.pi * step / TOTAL))
        adam.step(parameters, rates[step], 0.04 + (0.4 - 0.04) * progress)

    return optimize


def _by_step(step: int) -> float:
    return COLD + (WARM_TAU - COLD) * min(1.0, step / 4)


@pytest.mark.parametrize("gain", ["frozen", "trained"])
def test_dino(gain: str) -> None:
    """A transformer with drop path, small crops of another grid, all that AdamW is given.

    A trained gain is two-dimensional, hence decayed, and the teacher's follows.
    """
    learner = learner_of(
        "dino", ROWS, TOTAL, EPOCH, *SMALL, *VIT, WARMING.format("4 steps"),
        f"last=weight_norm(linear(outputs, bias = false), gain = {gain})",
    )  # fmt: skip
    nets = _nets(DinoVit, WIDTH, trained_gain=gain == "trained")
    rates = [ramp(0, 2e-3, WARM, 1e-6, TOTAL, step) for step in range(STEPS)]
    taus = [_by_step(step) for step in range(STEPS)]
    _dino(learner, nets, _adam(rates), taus=taus, drop_path=True, thaw=EPOCH, clip=CLIP)
    assert bool((learner.method.net("last")[0].weight_g == 1).all()) == (gain == "frozen")


def test_dino_of_a_resnet() -> None:
    """SGD; batch norm over all views of a resolution; the teacher's statistics are its own."""
    learner = learner_of(
        "dino", ROWS, TOTAL, EPOCH, *SMALL, BACKBONE, f"teacher_tau={COLD}",
        "optimizer=sgd(lr = linear(0 -> 0.03, over = 3 steps, closed = true) then "
        "cosine(0.03 -> 1e-6), momentum = 0.9, weight_decay = 1e-4)",
    )  # fmt: skip
    decayed, plain = Sgd(0.9, 1e-4), Sgd(0.9, 0.0)

    def optimize(parameters: dict[str, nn.Parameter], step: int) -> None:
        rate = ramp(0, 0.03, WARM, 1e-6, TOTAL, step)
        decayed.step({k: p for k, p in parameters.items() if _decayed(k, p)}, rate)
        plain.step({k: p for k, p in parameters.items() if not _decayed(k, p)}, rate)

    nets = _nets(small_resnet, FEATURES, trained_gain=False)
    _dino(learner, nets, optimize, taus=[COLD] * STEPS, drop_path=False)
    teacher, student = (nets.modules[n].bn1.running_mean for n in ("teacher.f", "f"))
    assert not torch.allclose(teacher, student)


def test_the_teachers_temperature_is_a_linspace_of_epochs() -> None:
    """Both ends in it, constant within an epoch: COLD, the middle, WARM_TAU in 3 epochs."""
    epochs = np.linspace(COLD, WARM_TAU, 3)
    witness = lightly.loss.DINOLoss(OUTPUTS, COLD, WARM_TAU, 3)
    agree(witness.teacher_temp_schedule, torch.from_numpy(epochs), "lightly's temperatures")
    learner = learner_of(
        "dino", ROWS, TOTAL, EPOCH, *SMALL, *VIT,
        WARMING.format("3 epochs, per = epoch, closed = true"),
    )  # fmt: skip
    nets = _nets(DinoVit, WIDTH, trained_gain=False)
    rates = [ramp(0, 2e-3, WARM, 1e-6, TOTAL, step) for step in range(STEPS)]
    taus = [float(epochs[min(step // EPOCH, 2)]) for step in range(STEPS)]
    _dino(learner, nets, _adam(rates), taus=taus, drop_path=True, thaw=EPOCH, clip=CLIP)


@pytest.mark.parametrize(("built", "side"), [(4, 3), (4, 2), (14, 6)])
def test_positions_are_resampled_as_torch_does(built: int, side: int) -> None:
    """The matrices above against torch's bicubic interpolation by DINO's factor."""
    generator = torch.Generator().manual_seed(1)
    positions = torch.randn(1, 1 + built**2, 5, generator=generator, dtype=torch.float64)
    table = positions[:, 1:].reshape(1, built, built, 5).permute(0, 3, 1, 2)
    factor = (side + 0.1) / built
    expected = functional.interpolate(table, scale_factor=(factor, factor), mode="bicubic")
    assert expected.shape[-2:] == (side, side)
    agree(resampled(positions, side)[:, 1:], expected.flatten(2).transpose(1, 2), "positions")


def test_the_teachers_momentum_of_the_paper() -> None:
    """From 0.996 to 1, half a cosine of steps, of all parts of the student."""
    program = sslang.load(ROOT / "specs" / "dino.ssl", "imagenet")
    (plan,) = program.averages
    assert plan.pairs == (("teacher.f", "f"), ("teacher.g", "g"), ("teacher.last", "last"))
    assert not plan.fresh
    assert not plan.buffers
    numbers = [value_at(plan.momentum, Clock(step, 100, 10)) for step in (0, 50, 100)]
    assert numbers == pytest.approx([0.996, 0.998, 1.0], abs=1e-12)
