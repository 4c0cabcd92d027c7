"""Fields of records in a step: DenseCL against its formulas, and what families do to fields."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sslang
from sslang.checks import check_file
from sslang.diagnostics import Source
from sslang.passes import PIPELINE
from sslang.train.learner import Learner
from tests.conftest import ROOT
from tests.fidelity.formulas import Nets, Sgd, agree, average, mlp, softmax_of_first
from tests.fidelity.test_banks import SMALL, SmallResNet18, Trained, pictures, sgd_of, views_of

ROWS, MEMORY, DIM, MOMENTUM, TEMPERATURE = 16, 48, 8, 0.9, 0.2


class Grid(SmallResNet18):
    """Its last grid [B, h, w, D], and the mean over places [B, D]."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return x.permute(0, 2, 3, 1), x.mean((2, 3))


def test_densecl() -> None:
    """Wang et al. 2021, eq. 1 to 4: two losses, matching by the backbone's features, two queues."""
    program = sslang.load(
        ROOT / "examples" / "densecl.ssl",
        "imagenet",
        [*SMALL, f"batch={ROWS}", sgd_of(1e-4), f"memory={MEMORY}", f"dim={DIM}", "hidden=16",
         f"momentum={MOMENTUM}", "dense=0.3"],
    )  # fmt: skip
    learner = sslang.compile(program, images=640, seed=3, dtype=torch.float64)
    modules: dict[str, nn.Module] = {}
    for prefix in ("", "target"):
        modules[f"{prefix}.f".strip(".")] = Grid()
    for net, branch in (("g", "target_g"), ("h", "target_h")):
        for name in (net, f"{branch}.{net}"):
            modules[name] = mlp((64, 16, DIM), norm=False, biases=(True, True))
    prefixes = {n: f"{n}." + ("0." if n.endswith("f") else "") for n in modules}
    nets = Nets(modules, prefixes)
    reference = Trained(learner, nets, ("f", "g", "h"), Sgd(0.9, 1e-4))
    images, places = (learner.method.state(n).clone() for n in ("images", "places"))
    pairs = (("f", "target.f"), ("g", "target_g.g"), ("h", "target_h.h"))
    for step in range(4):
        pixels = pictures(ROWS, step)
        query, key = views_of(learner, pixels)
        report = learner.train_step(pixels)
        grid, x = modules["f"](query)
        with torch.no_grad():
            other, y = modules["target.f"](key)
            k = _unit(modules["target_g.g"](y))
            r = _unit(modules["target_h.h"](other).flatten(1, 2))
        q, s = _unit(modules["g"](x)), _unit(modules["h"](grid).flatten(1, 2))
        alike = _unit(grid.flatten(1, 2)) @ _unit(other.flatten(1, 2)).transpose(1, 2)
        matched = torch.stack([r[i][alike[i].argmax(1)] for i in range(ROWS)])
        assert len(alike.argmax(2).unique()) > 1
        loss = 0.7 * _contrast(q, k, images) + 0.3 * _contrast(
            s.flatten(0, 1), matched.flatten(0, 1), places
        )
        images = torch.cat([images, k])[-MEMORY:]
        places = torch.cat([places, _unit(r.mean(1))])[-MEMORY:]
        reference.finish(step, report.loss, loss)
        agree(learner.method.state("images"), images, f"queue of images after step {step}")
        agree(learner.method.state("places"), places, f"queue of places after step {step}")
        for source, target in pairs:
            average(modules[target], modules[source], MOMENTUM)
        nets.compare(learner)


def _unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def _contrast(q: Tensor, k: Tensor, negatives: Tensor) -> Tensor:
    scores = torch.cat([(q * k).sum(1, keepdim=True), q @ negatives.T], 1) / TEMPERATURE
    return softmax_of_first(scores).mean()


(FUSE,) = (p for p in PIPELINE if p.name == "fuse_views")

FAMILIES = """method "x"
view a, b = simclr_views(16)
encoder f = {net}
head g = mlp(16, 8)
branch online = f with (batch_norm = shuffle(8))
branch target = ema(f, 0.9)
h = {apply}([a, b])
t = stop_grad(target(a))
loss = nt_xent(g(h), 0.5) + mean(h[b].grid) * mean(h[a].{field}) + mean((h[a].grid - t.grid)**2)
recipe default : laptop {{ batch = 16 }}
"""


@pytest.mark.parametrize("apply", ["f", "online"])
@pytest.mark.parametrize(
    ("net", "field"),
    [
        ("resnet18(width = 0.125, stem = small)", "pooled"),
        ("vit(patch = 4, width = 16, depth = 2, heads = 2)", "patches"),
    ],
)
def test_fields_of_a_family_are_those_of_its_members(net: str, field: str, apply: str) -> None:
    """Joined or permuted and back, with and without passes on the step: the same values."""
    source = Source("x.ssl", FAMILIES.format(net=net, apply=apply, field=field))
    program = sslang.api.load_source(source)
    states = []
    for passes in ((FUSE,), PIPELINE):  # on the same views
        learner = Learner(program, images=64, seed=1, dtype=torch.float64, passes=passes)
        pixels = torch.randint(0, 256, (16, 3, 20, 20), generator=_fixed(), dtype=torch.uint8)
        losses = [float(learner.train_step(pixels).loss) for _ in range(3)]
        states.append((losses, learner.method.state_dict()))
    assert states[0][0] == pytest.approx(states[1][0], abs=1e-12)
    for name, value in states[0][1].items():
        torch.testing.assert_close(value, states[1][1][name], atol=1e-10, rtol=1e-10)
    applied = [n for n in program.step.nodes if n.op == "apply" and n.setting("net") == "f"]
    assert len(applied) == 1  # fields cost no forward of their own


def _fixed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mean(f(a).patches)", "has no field `patches`"),
        ("mean(g(f(a)).grid)", "the result of `g` is no record"),
        ("mean((f(a) * 2).grid)", "this tensor is no record"),
    ],
)
def test_a_field_that_is_not_there(text: str, words: str) -> None:
    spec = FAMILIES.split("h = ")[0].format(net="resnet18(width = 0.125, stem = small)")
    spec = "\n".join(li for li in spec.split("\n") if "branch" not in li)
    found = check_file(Source("x.ssl", spec + f"loss = nt_xent(g(f([a, b])), 0.5) + {text}\n"))
    assert [d.code for d in found] == ["E310"], found
    assert words in found[0].message
