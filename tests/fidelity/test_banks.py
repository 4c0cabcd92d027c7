"""InstDisc and CMC against their formulas: banks, noise-contrastive estimation, its constant Z.

Facts and sources: Wu et al. 2018 (InstDisc), Tian et al. 2020 (CMC), and their released code.
The nets, the losses and the banks are written here again; the views and the first weights are
the learner's, the drawn slots are computed from the draws' own definition.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sslang
from sslang.emit import draws
from sslang.ir.program import Program
from sslang.model.recipe import Sgd as SgdPlan
from sslang.ops.schedules import Clock, value_at
from sslang.train.learner import Learner
from sslang.types import Interval
from tests.conftest import ROOT
from tests.fidelity.formulas import Nets, Sgd, Watched, agree, unit

STEPS, IMAGES, ROWS, NOISE, DIM = 6, 40, 16, 24, 12
RATES = (0.03, 0.012, 0.05, 0.003, 0.02, 0.0003)  # another one at every step
SMALL = (
    "backbone=resnet18(width = 0.125, stem = small)", "size=16", f"dim={DIM}", "length=40 steps",
    "data=embedded()", "evaluate=knn()",
)  # fmt: skip


# --- what the other files of these methods use, too ------------------------------------------


class Block(nn.Module):
    """Two 3 x 3 convolutions with a shortcut (He et al., 2016), keys as torchvision's."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Sequential | None = None
        if stride > 1:
            shortcut = nn.Conv2d(inputs, width, 1, stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        hidden = functional.relu(self.bn1(self.conv1(x)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return functional.relu(self.bn2(self.conv2(hidden)) + shortcut)


class SmallResNet18(nn.Module):
    """ResNet-18 of an eighth of the width for small images: 3 x 3 stem, stride 1, no max-pool."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.layer1 = nn.Sequential(Block(8, 8, 1), Block(8, 8, 1))
        self.layer2 = nn.Sequential(Block(8, 16, 2), Block(16, 16, 1))
        self.layer3 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1))
        self.layer4 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.mean((2, 3))


def program_of(name: str, recipe: str, *overrides: str) -> Program:
    return sslang.load(ROOT / "specs" / f"{name}.ssl", recipe, overrides)


def sgd_of(decay: float) -> str:
    """Momentum 0.9 and a rate of `RATES` for each step."""
    at = list(range(1, len(RATES)))
    return (
        f"optimizer=sgd(lr = piecewise({list(RATES)}, at = {at} steps), momentum = 0.9, "
        f"weight_decay = {decay})"
    )


def small_learner(name: str, recipe: str, rows: int, decay: float, *overrides: str) -> Learner:
    program = program_of(name, recipe, *SMALL, f"batch={rows}", sgd_of(decay), *overrides)
    return sslang.compile(program, images=IMAGES, seed=3, dtype=torch.float64)


def pictures(rows: int, step: int) -> Tensor:
    u = draws.uniform(draws.stream_key(9, "pictures"), step, rows, 3 * 20 * 20)
    return torch.from_numpy((u.reshape(rows, 3, 20, 20) * 256).astype(np.uint8))


def views_of(learner: Learner, pixels: Tensor) -> tuple[Tensor, ...]:
    return learner.views(pixels, np.full((len(pixels), 2), 20))


@dataclass
class Trained:
    """A reference that takes the learner's steps: names of nets that are trained, and their SGD."""

    learner: Learner
    nets: Nets
    names: tuple[str, ...]
    optimizer: Sgd

    def __post_init__(self) -> None:
        self.nets.start_from(self.learner)
        self.watched = Watched(self.learner)

    def finish(self, step: int, ours: Tensor, loss: Tensor) -> None:
        """Loss and gradients compared, then the optimizer's step and the running statistics."""
        agree(ours, loss.detach(), f"loss of step {step}")
        parameters = self.nets.named(self.names)
        for parameter in parameters.values():
            parameter.grad = None
        torch.autograd.backward(loss)
        self.watched.compare(parameters)
        self.optimizer.step(parameters, RATES[step])
        self.nets.settle()


def operations(program: Program, *names: str) -> list[tuple[str, float]]:
    """The ops from the image to the last of `names`, each with its probability, in order."""
    return [
        (node.op, node.setting("probability") if "probability" in dict(node.settings) else 1.0)
        for node in program.step.nodes
        if any(node.name == name or node.name.startswith(f"{name}_{node.op}") for name in names)
    ]


def setting(program: Program, op: str, name: str) -> object:
    """A setting of the first node `op`."""
    return next(node for node in program.step.nodes if node.op == op).setting(name)


def rates_by_epoch(program: Program, *epochs: int) -> list[float]:
    """The learning rate at the beginning of these epochs, of 10 steps each."""
    recipe = program.spec.recipe
    assert recipe is not None
    total = recipe.length.steps(10)
    return [value_at(recipe.optimizer.lr, Clock(10 * epoch, total, 10)) for epoch in epochs]


def expect_sgd(program: Program, *, batch: int, epochs: int, decay: float, last_batch: str) -> None:
    """SGD with momentum 0.9 on all parameters alike; the batch, and for how long."""
    recipe = program.spec.recipe
    assert recipe is not None
    assert (recipe.batch, recipe.last_batch, recipe.groups) == (batch, last_batch, ())
    assert (recipe.length.value, recipe.length.unit) == (epochs, "epochs")
    optimizer = recipe.optimizer
    assert isinstance(optimizer, SgdPlan)
    assert (optimizer.momentum, optimizer.weight_decay, optimizer.nesterov) == (0.9, decay, False)


def expect_strengths(program: Program, *, jitter: float, least_crop: float) -> None:
    """Brightness, contrast, saturation and hue alike; crops of `least_crop` of the area or more."""
    scale = setting(program, "random_resized_crop", "scale")
    assert isinstance(scale, Interval)
    assert (scale.low, scale.high) == (least_crop, 1)
    for name in ("brightness", "contrast", "saturation", "hue"):
        assert setting(program, "color_jitter", name) == jitter


# --- the formulas ----------------------------------------------------------------------------


def drawn_slots(step: int, rows: int, count: int, images: int = IMAGES) -> Tensor:
    """floor(u * images), u the draw `drawn` of the step: uniform, with replacement."""
    u = draws.uniform(draws.stream_key(3, "pretrain", "drawn.draw"), step, rows, count)
    return torch.from_numpy(np.floor(u * images).astype(np.int64))


def indices(step: int, rows: int) -> Tensor:
    """Places of a batch in the data; the first one stands in it at least three times."""
    index = torch.from_numpy(np.random.default_rng(step).integers(0, IMAGES, rows))
    index[rows // 2] = index[-1] = index[0]
    return index


class Nce:
    """-log P(own slot) - sum of log(1 - P(noise)), P = p / (p + K/N), p = exp(s / tau) / Z.

    Z is N times the mean exponential over the first batch, no part of the gradient, then
    constant. 1e-7 is added to both denominators. The mean over rows.
    """

    def __init__(self, images: int) -> None:
        self.images = images
        self.Z: Tensor | None = None

    def __call__(self, scores: Tensor) -> Tensor:
        """`scores` [B, 1 + K], of the own slot first, already divided by tau."""
        exponentials = scores.exp()
        if self.Z is None:
            self.Z = self.images * exponentials.detach().mean()
        p, noise = exponentials / self.Z, (scores.shape[1] - 1) / self.images
        total = scores.new_zeros(())
        for row in p:
            total = total + (row[0] / (row[0] + noise + 1e-7)).log()
            for other in row[1:]:
                total = total + (noise / (other + noise + 1e-7)).log()
        return -total / len(scores)


def first_of_all(scores: Tensor) -> Tensor:
    """Cross entropy of the first column in the softmax, the mean over rows."""
    shares = scores.exp() / scores.exp().sum(1, keepdim=True)
    return -shares[:, 0].log().mean()


def scored(z: Tensor, bank: Tensor, index: Tensor, drawn: Tensor, temperature: float) -> Tensor:
    """Of each row: its own slot, then those drawn; [B, 1 + K]."""
    rows = [bank[[own, *others]] @ row for row, own, others in
            zip(z, index.tolist(), drawn.tolist(), strict=True)]  # fmt: skip
    return torch.stack(rows) / temperature


def moved(bank: Tensor, index: Tensor, z: Tensor, momentum: float = 0.5) -> Tensor:
    """The bank after a step: m * old + (1 - m) * feature, at unit length, row after row.

    All rows start from the old bank, so of those that share a slot the highest one stays.
    """
    new = bank.clone()
    for slot, feature in zip(index.tolist(), z.detach(), strict=True):
        mixed = momentum * bank[slot] + (1 - momentum) * feature
        new[slot] = mixed / mixed.square().sum().sqrt()
    return new


# --- InstDisc --------------------------------------------------------------------------------


def instdisc(decay: float, recipe: str, *overrides: str) -> tuple[Learner, Trained]:
    learner = small_learner("instdisc", recipe, ROWS, decay, *overrides)
    nets = Nets({"f": SmallResNet18(), "g": nn.Linear(64, DIM)}, {"f": "f.0.", "g": "g.0."})
    return learner, Trained(learner, nets, ("f", "g"), Sgd(0.9, decay))


def test_instdisc_nce() -> None:
    """The old bank is scored, the pre-step feature is written after it; Z stays the first one.

    Slots repeat within the batches, rows draw their own slot as noise, and the last batch is
    smaller (the code drops none).
    """
    learner, reference = instdisc(1e-4, "imagenet", f"negatives={NOISE}")
    modules = reference.nets.modules
    bank, nce = learner.method.state("memory").clone(), Nce(IMAGES)
    own_drawn, constants = 0, set()
    for step in range(STEPS):
        rows = ROWS if step < STEPS - 1 else 10
        pixels, index = pictures(rows, step), indices(step, rows)
        assert len(set(index.tolist())) < rows
        (x,) = views_of(learner, pixels)
        ours = learner.train_step(pixels, index=index)
        z = unit(modules["g"](modules["f"](x)))
        drawn = drawn_slots(step, rows, NOISE)
        own_drawn += int((drawn == index[:, None]).sum())
        loss = nce(scored(z, bank, index, drawn, 0.07))
        reference.finish(step, ours.loss, loss)
        bank = moved(bank, index, z)
        reference.nets.compare(learner)
        agree(learner.method.state("memory"), bank, f"bank after step {step}")
        assert nce.Z is not None
        agree(learner.method.state("loss.nce.Z"), nce.Z, f"Z after step {step}")
        constants.add(float(learner.method.state("loss.nce.Z")))
    assert len(constants) == 1
    assert own_drawn > 0


def test_instdisc_softmax_over_all_slots() -> None:
    """The CIFAR-10 recipe: cross entropy over the whole bank, tau 0.1; torch's is a witness."""
    learner, reference = instdisc(5e-4, "cifar10")
    modules = reference.nets.modules
    bank = learner.method.state("memory").clone()
    for step in range(STEPS):
        pixels, index = pictures(ROWS, step), indices(step, ROWS)
        (x,) = views_of(learner, pixels)
        ours = learner.train_step(pixels, index=index)
        z = unit(modules["g"](modules["f"](x)))
        exponentials = (z @ bank.T / 0.1).exp()
        loss = z.new_zeros(())
        for row, slot in zip(exponentials, index.tolist(), strict=True):
            loss = loss - (row[slot] / row.sum()).log() / ROWS
        agree(functional.cross_entropy(z @ bank.T / 0.1, index), loss, "torch's cross entropy")
        reference.finish(step, ours.loss, loss)
        bank = moved(bank, index, z)
        reference.nets.compare(learner)
        agree(learner.method.state("memory"), bank, f"bank after step {step}")


# --- CMC -------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["imagenet", "ycbcr", "imagenet_softmax"])
def test_cmc(recipe: str) -> None:
    """Two nets, two banks, the same drawn slots; each feature is scored by the other's bank.

    NCE with a Z for each direction, in Lab and in YCbCr, or the softmax over 1 + K slots.
    """
    given = (f"negatives={NOISE}", "temperature=0.07")
    learner = small_learner("cmc", recipe, ROWS, 1e-4, *given)
    modules: dict[str, nn.Module] = {"f_l": SmallResNet18(1), "f_ab": SmallResNet18(2)}
    modules |= {"g_l": nn.Linear(64, DIM), "g_ab": nn.Linear(64, DIM)}
    nets = Nets(modules, {name: f"{name}.0." for name in modules})
    reference = Trained(learner, nets, tuple(modules), Sgd(0.9, 1e-4))
    heads = [next(iter(modules[name].parameters())) for name in ("g_l", "g_ab")]
    assert not torch.equal(*heads)
    banks = {kind: learner.method.state(f"memory_{kind}").clone() for kind in ("l", "ab")}
    assert not torch.equal(banks["l"], banks["ab"])
    softmax = recipe == "imagenet_softmax"
    estimates = {"l": Nce(IMAGES), "ab": Nce(IMAGES)}
    losses: dict[str, Callable[[Tensor], Tensor]] = {**estimates}
    if softmax:
        losses = dict.fromkeys(("l", "ab"), first_of_all)
    for step in range(STEPS):
        pixels, index = pictures(ROWS, step), indices(step, ROWS)
        views = dict(zip(("l", "ab"), views_of(learner, pixels), strict=True))
        assert [view.shape[1] for view in views.values()] == [1, 2]
        ours = learner.train_step(pixels, index=index)
        z = {k: unit(modules[f"g_{k}"](modules[f"f_{k}"](view))) for k, view in views.items()}
        drawn = drawn_slots(step, ROWS, NOISE)
        loss = losses["l"](scored(z["l"], banks["ab"], index, drawn, 0.07))
        loss = loss + losses["ab"](scored(z["ab"], banks["l"], index, drawn, 0.07))
        reference.finish(step, ours.loss, loss)
        banks = {kind: moved(bank, index, z[kind]) for kind, bank in banks.items()}
        nets.compare(learner)
        for kind, bank in banks.items():
            agree(learner.method.state(f"memory_{kind}"), bank, f"bank {kind} after step {step}")
        if softmax:
            assert {plan.name for plan in learner.program.states} == {"memory_l", "memory_ab"}
            continue
        for state, kind in (("loss.nce.Z", "l"), ("loss.nce_2.Z", "ab")):
            constant = estimates[kind].Z
            assert constant is not None
            agree(learner.method.state(state), constant, f"Z of {kind} after step {step}")
    if not softmax:
        assert estimates["l"].Z != estimates["ab"].Z


def test_cmc_features_are_both_nets_side_by_side() -> None:
    """In evaluation mode: a centred crop, no flip, the nets' running statistics."""
    learner = small_learner("cmc", "default", ROWS, 1e-4, f"negatives={NOISE}")
    modules: dict[str, nn.Module] = {"f_l": SmallResNet18(1), "f_ab": SmallResNet18(2)}
    nets = Nets(modules, {name: f"{name}.0." for name in modules})
    nets.start_from(learner)
    pixels = pictures(ROWS, 0)[:, :, 2:18, 2:18]
    found = learner.features(pixels, np.full((ROWS, 2), 16))
    lab = _lab(pixels.double() / 255)
    with torch.no_grad():
        expected = [modules["f_l"].eval()(lab[:, :1]), modules["f_ab"].eval()(lab[:, 1:])]
    torch.testing.assert_close(found.double(), torch.cat(expected, 1), rtol=1e-5, atol=1e-5)


def _lab(rgb: Tensor) -> Tensor:
    """CIE 1976 L*a*b* of sRGB under D65 (IEC 61966-2-1), moved to about -1..1 as in CMC's code."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    matrix = [[0.412453, 0.35758, 0.180423], [0.212671, 0.71516, 0.072169],
              [0.019334, 0.119193, 0.950227]]  # fmt: skip
    xyz = torch.einsum("ij,bjhw->bihw", torch.tensor(matrix, dtype=rgb.dtype), linear)
    x, y, z = (xyz / xyz.new_tensor([0.95047, 1.0, 1.08883])[:, None, None]).unbind(1)
    f = [torch.where(t > 0.008856, t.pow(1 / 3), 7.787 * t + 16 / 116) for t in (x, y, z)]
    light, a, b = 116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])
    a, b = (a - (98.233 - 86.183) / 2) / 92.208, (b - (94.478 - 107.857) / 2) / 101.1675
    return torch.stack([(light - 50) / 50, a, b], 1)


# --- how banks and draws begin ---------------------------------------------------------------


@pytest.mark.parametrize(("name", "states"), [("instdisc", ["memory"]),
                                              ("cmc", ["memory_l", "memory_ab"])])  # fmt: skip
def test_a_bank_begins_as_uniform_noise(name: str, states: list[str]) -> None:
    """Of 128 numbers in +-sqrt(3/128): of unit length in the mean only, not normalised."""
    overrides = ("backbone=resnet18(width = 0.125, stem = small)", "size=16")
    learner = sslang.compile(program_of(name, "default", *overrides), images=4000, seed=3)
    bound = math.sqrt(3 / 128)
    for state in states:
        bank = learner.method.state(state)
        assert bank.shape == (4000, 128)
        assert float(bank.abs().max()) <= bound + 1e-7
        assert float(bank.max()) > 0.999 * bound and float(bank.min()) < -0.999 * bound
        lengths = bank.square().sum(1)
        assert float(lengths.mean()) == pytest.approx(1, abs=0.01)
        assert float(lengths.std()) == pytest.approx(math.sqrt(128 * 4 / 45) * bound**2, rel=0.1)


def test_noise_is_uniform_with_replacement() -> None:
    """Every slot is as likely; rows draw a slot twice, and the slot that is their own."""
    drawn = drawn_slots(0, 400, 200)
    counts = torch.bincount(drawn.flatten(), minlength=IMAGES).double()
    expected = drawn.numel() / IMAGES
    chi = float(((counts - expected) ** 2 / expected).sum())
    assert len(counts) == IMAGES and chi < 80  # 39 degrees of freedom: 62 has p = 0.01
    assert all(len(set(row)) < 200 for row in drawn.tolist())


def test_convolutions_begin_as_in_the_code() -> None:
    """N(0, 2 / (k^2 c_out)), batch norms 1 and 0; the last layer has a bias."""
    learner = small_learner("instdisc", "imagenet", ROWS, 1e-4, f"negatives={NOISE}")
    state = learner.method.nets.state_dict()
    weight = state["f.0.layer4.1.conv2.weight"]
    assert float(weight.std()) == pytest.approx(math.sqrt(2 / (9 * 64)), rel=0.03)
    assert float(weight.mean()) == pytest.approx(0, abs=0.002)
    assert bool((state["f.0.bn1.weight"] == 1).all()) and bool((state["f.0.bn1.bias"] == 0).all())
    assert state["g.0.bias"].shape == (DIM,)


# --- the recipes -----------------------------------------------------------------------------


def test_instdisc_recipes_are_the_codes() -> None:
    """main.py and cifar.py: op orders, K, tau, momentum of the bank, SGD, batch, steps of lr."""
    program = program_of("instdisc", "imagenet")
    assert operations(program, "x") == [
        ("random_resized_crop", 1), ("grayscale", 0.2), ("color_jitter", 1),
        ("horizontal_flip", 0.5), ("normalize", 1),
    ]  # fmt: skip
    expect_sgd(program, batch=256, epochs=200, decay=1e-4, last_batch="keep")
    assert rates_by_epoch(program, 0, 119, 120, 159, 160, 199) == [0.03, 0.03, *2 * [0.003],
                                                                  *2 * [0.0003]]  # fmt: skip
    for text in ("negatives   = 4096", "temperature = 0.07", "momentum    = 0.5"):
        assert text in program.spec.text
    cifar = program_of("instdisc", "cifar10")
    assert operations(cifar, "x") == [
        ("random_resized_crop", 1), ("color_jitter", 1), ("grayscale", 0.2), ("normalize", 1),
    ]  # fmt: skip
    expect_sgd(cifar, batch=128, epochs=200, decay=5e-4, last_batch="keep")
    assert "temperature = 0.1" in cifar.spec.text
    for each in (program, cifar):
        expect_strengths(each, jitter=0.4, least_crop=0.2)


@pytest.mark.parametrize(
    ("recipe", "space", "mean", "std"),
    [
        ("imagenet", "to_lab", (50, 6.025, -6.6895), (50, 92.208, 101.1675)),
        ("imagenet_softmax", "to_lab", (50, 6.025, -6.6895), (50, 92.208, 101.1675)),
        ("ycbcr", "to_ycbcr", (116.151, 121.08, 132.342), (109.5, 111.855, 111.964)),
    ],
)  # fmt: skip
def test_cmc_views_split_one_image(
    recipe: str, space: str, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    """One crop and one flip, no jitter; the first channel apart from the other two."""
    program = program_of("cmc", recipe)
    assert operations(program, "image_lab") == [
        ("random_resized_crop", 1), ("horizontal_flip", 0.5), (space, 1), ("normalize", 1),
    ]  # fmt: skip
    assert setting(program, "normalize", "mean") == mean
    assert setting(program, "normalize", "std") == std
    nodes = {node.name: node for node in program.step.nodes}
    assert nodes["l"].op == nodes["ab"].op == "channels"
    assert nodes["l"].inputs == nodes["ab"].inputs == ("image_lab",)


def test_cmc_recipes_are_the_codes() -> None:
    """Crops of 0.08..1 for ResNets, half the width each, K, tau, SGD, batch, steps of lr."""
    program, softmax = program_of("cmc", "imagenet"), program_of("cmc", "imagenet_softmax")
    for each in (program, softmax):
        expect_sgd(each, batch=128, epochs=240, decay=1e-4, last_batch="keep")
        assert rates_by_epoch(each, 0, 119, 120, 160, 199, 200, 239) == pytest.approx(
            [0.03, 0.03, 0.003, 0.0003, 0.0003, 3e-5, 3e-5], rel=1e-12
        )
        scale = setting(each, "random_resized_crop", "scale")
        assert isinstance(scale, Interval)
        assert (scale.low, scale.high) == (0.08, 1)
        assert "temperature = 0.07" in each.spec.text and "momentum    = 0.5" in each.spec.text
        widths = {net.name: net.stages[0][1] for net in each.nets}
        assert [widths[name]["channels"] for name in ("f_l", "f_ab")] == [1, 2]
        assert [widths[name]["width"] for name in ("f_l", "f_ab", "g_l", "g_ab")] == [
            0.5, 0.5, 128, 128,
        ]  # fmt: skip
    assert "negatives   = 4096" in program.spec.text
    assert "negatives   = 16384" in softmax.spec.text
