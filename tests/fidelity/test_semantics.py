"""Promises of the language, each on real numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import sslang
from sslang.api import load_source
from sslang.diagnostics import DiagnosticError, Source
from sslang.ops.schedules import Clock, value_at
from sslang.syntax import tree
from sslang.syntax.parser import parse
from sslang.train.learner import Learner
from tests.conftest import ROOT, TINY
from tests.fidelity.test_methods import images
from tests.fidelity.test_passes_agree import stepped

LAST = (tree.Recipe, tree.Phase)  # phases have an order, and recipes stand where they did


def learner(name: str, *more: str, text: str | None = None) -> Learner:
    source = Source(name, text or (ROOT / "specs" / f"{name}.ssl").read_text())
    program = load_source(source, None, (*TINY[name], *more))
    return sslang.compile(program, images=640, classes=10, seed=2, dtype=torch.float64)


def losses(made: Learner, steps: int = 3) -> list[float]:
    return [float(stepped(made, step).loss) for step in range(steps)]


def shuffled(text: str) -> str:
    """The statements before the first recipe in the opposite order, the method line kept."""
    file, _ = parse(Source("text", text))
    head, *body = [s.span.text for s in file.statements if not isinstance(s, LAST)]
    last = [s.span.text for s in file.statements if isinstance(s, LAST)]
    return "\n".join([head, *reversed(body), *last]) + "\n"


def test_the_order_of_declarations_means_nothing(trained_spec: Path) -> None:
    name, text = trained_spec.stem, trained_spec.read_text()
    assert shuffled(text) != text
    first, second = learner(name), learner(name, text=shuffled(text))
    assert first.program.spec.hash == second.program.spec.hash
    assert losses(first) == losses(second)


def test_the_resolved_text_is_a_spec_of_the_same_run(trained_spec: Path) -> None:
    first = learner(trained_spec.stem)
    program = load_source(Source("resolved.ssl", first.program.spec.text))
    assert program.spec.hash == first.program.spec.hash
    again = sslang.compile(program, images=640, classes=10, seed=2, dtype=torch.float64)
    assert losses(first) == losses(again)


def test_a_key_is_not_among_its_own_negatives() -> None:
    """The queue is read as of t: the first loss sees the queue as it began."""
    made = learner("mocov2")
    before = made.method.state("negatives").clone()
    pixels = images(64, 0)
    views = made.views(pixels, np.full((64, 2), 20))
    result = made.method(views, made.clock)
    assert torch.equal(made.method.state("negatives"), before)
    made.method.advance(result, made.clock)
    after = made.method.state("negatives")
    assert torch.equal(after[-64:], result.writes["negatives"][0])
    assert torch.equal(after[:-64], before[64:])


def test_an_average_keeps_statistics_of_its_own() -> None:
    made = learner("byol", "momentum=1.0")
    start = {k: v.clone() for k, v in made.method.net("target.f").state_dict().items()}
    losses(made, 2)
    for key, value in made.method.net("target.f").state_dict().items():
        moved = not torch.equal(value, start[key])
        assert moved == ("running" in key or "num_batches" in key), key


def test_averages_of_buffers_follow_where_asked() -> None:
    text = (ROOT / "specs/byol.ssl").read_text()
    text = text.replace("init = fresh)", "buffers = true)")
    made = learner("byol", "momentum=0.0", text=text)
    losses(made, 1)
    ours, theirs = made.method.net("target.f"), made.method.net("f")
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_frozen_parameter_has_no_gradient_no_momentum_no_decay() -> None:
    made = learner("mocov3_vit", "optimizer=adamw(lr = 0.1, weight_decay = 0.5)")
    projection = made.method.net("f")[0].patch_embed.proj  # type: ignore[index]
    before = projection.weight.clone()
    losses(made, 2)
    assert torch.equal(projection.weight, before)
    assert projection.weight.grad is None
    assert projection.weight not in made.optimizer.state


def test_a_loss_of_rows_is_averaged() -> None:
    rows = learner("mocov2")
    text = (ROOT / "specs/mocov2.ssl").read_text()
    text = text.replace("= info_nce(q, k, negatives, temperature)",
                        "= mean(info_nce(q, k, negatives, temperature))")  # fmt: skip
    assert losses(rows) == losses(learner("mocov2", text=text))


def test_a_view_alone_has_its_own_statistics() -> None:
    """`f(a)` and `f([a, b])` differ: the batch of the second has both views."""
    text = (ROOT / "specs/simclr.ssl").read_text()
    assert "online([a, b])" in text
    alone = text.replace("online([a, b])", "[online(a), online(b)]")
    assert losses(learner("simclr"))[0] != losses(learner("simclr", text=alone))[0]


def test_bad_specs_never_reach_torch() -> None:
    with pytest.raises(DiagnosticError, match="E201"):
        learner("simclr", text=(ROOT / "specs/simclr.ssl").read_text().replace("g | l2", "h | l2"))


@pytest.mark.parametrize(
    ("text", "step", "expected"),
    [
        ("cosine(1 -> 0)", 50, 0.5),
        ("cosine(1 -> 0)", 25, 0.5 * (1 + math.cos(math.pi / 4))),
        ("cosine(2 -> 0, warmup = 10 steps)", 5, 1.0),
        ("cosine(2 -> 0, warmup = 10 steps)", 55, 1.0),
        ("cosine(2 -> 0, warmup = 1 epochs)", 5, 1.0),
        ("cosine(1 -> 0, per = epoch)", 59, 0.5),
        ("linear(0 -> 1, closed = true)", 99, 1.0),
        ("linear(0 -> 1)", 99, 0.99),
        ("linear(0 -> 1, per = epoch, closed = true)", 95, 1.0),
        ("linear(0 -> 1, per = epoch, closed = true)", 35, 3 / 9),
        ("cosine(1 -> 0, shift = 1 step)", 49, 0.5),
        ("linear(0 -> 1, over = 20 steps)", 60, 1.0),
        ("piecewise([1, 0.1, 0.01], at = [3, 6] epochs)", 29, 1.0),
        ("piecewise([1, 0.1, 0.01], at = [3, 6] epochs)", 30, 0.1),
        ("linear(0 -> 1, over = 20 steps) then cosine(1 -> 0)", 10, 0.5),
        ("linear(0 -> 1, over = 20 steps) then cosine(1 -> 0)", 60, 0.5),
        ("0.5 * cosine(1 -> 0) + 1", 50, 1.25),
    ],
)
def test_schedules_are_closed_formulas(text: str, step: int, expected: float) -> None:
    """100 steps, 10 an epoch."""
    program = sslang.load(
        ROOT / "specs/simclr.ssl", None, (*TINY["simclr"], f"optimizer=sgd(lr = {text})",
                                          "length=100 steps"),
    )  # fmt: skip
    recipe = program.spec.recipe
    assert recipe is not None
    assert value_at(recipe.optimizer.lr, Clock(step, 100, 10)) == pytest.approx(expected, abs=1e-12)
