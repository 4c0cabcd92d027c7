"""Schedules: their arithmetic against closed forms, as pure functions of the step."""

from __future__ import annotations

import math

import pytest

from sslang.diagnostics import Source
from sslang.ir.build import build
from sslang.model.overlay import resolve
from sslang.model.resolve import load
from sslang.ops.schedules import Clock, Schedule, ends_of, value_at

EPOCH, TOTAL = 10.0, 100.0


def schedule(text: str) -> Schedule:
    """The schedule that a text stands for, as a factor of the loss."""
    spec = (
        'method "test"\nview a = simclr_views(32)\nencoder f = resnet18()\n'
        f"loss = mean(f(a)) * ({text})\n"
    )
    program = build(resolve(load(Source("spec.ssl", spec))))
    (found,) = program.schedules.values()
    return found


def at(text: str, step: float) -> float:
    return value_at(schedule(text), Clock(step, TOTAL, EPOCH))


def half_cosine(a: float, b: float, p: float) -> float:
    return a + (b - a) * (1 - math.cos(math.pi * p)) / 2


@pytest.mark.parametrize("step", [0, 1, 25, 50, 99])
def test_cosine_and_linear(step: int) -> None:
    assert at("cosine(0.4 -> 0.1)", step) == pytest.approx(half_cosine(0.4, 0.1, step / 100))
    assert at("linear(0.4 -> 0.1)", step) == pytest.approx(0.4 - 0.3 * step / 100)


def test_warm_up_begins_at_nothing_and_the_rest_takes_the_steps_left() -> None:
    text = "cosine(2 -> 0, warmup = 2 epochs)"
    assert [at(text, t) for t in (0, 5, 10)] == [0, 0.5, 1.0]
    assert at(text, 20) == 2
    assert at(text, 60) == pytest.approx(half_cosine(2, 0, 0.5))
    assert at("cosine(2 -> 0, warmup = 20 steps)", 10) == 1.0


def test_per_epoch_stands_still_within_an_epoch() -> None:
    text = "linear(1 -> 0, per = epoch)"
    assert at(text, 10) == at(text, 19) == pytest.approx(0.9)
    assert at(text, 20) == pytest.approx(0.8)


def test_closed_reaches_the_end_and_shift_looks_ahead() -> None:
    assert at("linear(1 -> 0, closed = true)", 99) == 0
    assert at("linear(1 -> 0)", 99) == pytest.approx(0.01)
    assert at("linear(1 -> 0, shift = 1 step)", 41) == at("linear(1 -> 0)", 42)


def test_over_ends_early_and_then_takes_over() -> None:
    assert at("linear(1 -> 0, over = 5 epochs)", 25) == pytest.approx(0.5)
    assert at("linear(1 -> 0, over = 5 epochs)", 80) == 0
    text = "linear(0 -> 1, over = 2 epochs) then cosine(1 -> 0)"
    assert at(text, 10) == pytest.approx(0.5)
    assert at(text, 60) == pytest.approx(half_cosine(1, 0, 40 / 80))
    assert at("linear(0 -> 1, over = 2 epochs) then 5", 60) == 5


def test_piecewise() -> None:
    text = "piecewise([1, 0.1, 0.01], at = [3, 6] epochs)"
    assert [at(text, t) for t in (0, 29, 30, 59, 60, 99)] == [1, 1, 0.1, 0.1, 0.01, 0.01]


def test_arithmetic() -> None:
    assert at("2 * linear(1 -> 0) + 1", 50) == pytest.approx(2)
    assert at("-linear(1 -> 0) / 4", 50) == pytest.approx(-0.125)
    assert at("linear(1 -> 0) * linear(0 -> 1)", 50) == pytest.approx(0.25)
    assert at("linear(1 -> 0) - cosine(1 -> 0)", 25) == pytest.approx(
        0.75 - half_cosine(1, 0, 0.25)
    )


def test_ends_bound_the_values() -> None:
    for text in ("2 * cosine(1 -> -1) + 1", "linear(-1 -> 2) * linear(-3 -> 1)"):
        low, high = min(ends_of(schedule(text))), max(ends_of(schedule(text)))
        assert all(low <= at(text, t) <= high for t in range(100))
