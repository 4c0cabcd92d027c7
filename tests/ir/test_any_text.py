"""Any text whatsoever: diagnostics, never a crash, never long, and a sound program if any."""

from __future__ import annotations

import time

import pytest

from sslang.checks import check_file
from sslang.diagnostics import Source
from sslang.ir.build import build
from sslang.ir.text import graph_text
from sslang.ir.verify import verify
from sslang.model.overlay import resolve
from sslang.model.resolve import load
from tests.fuzz import SECONDS, shown_in_every_form
from tests.hostile import HOSTILE
from tests.texts import anything


def run(text: str) -> tuple[int, float]:
    """A text checked, and every recipe built: how many are free of errors, and the check's time."""
    start = time.process_time()
    found = check_file(Source("text.ssl", text))
    seconds = time.process_time() - start
    for diagnostic in found[:100]:
        shown_in_every_form(diagnostic)
    module = load(Source("text.ssl", text))
    sound = sum(_is_sound(text, recipe) for recipe in [None, *module.recipes][:4])
    return sound, seconds


def _is_sound(text: str, recipe: str | None) -> bool:
    """Whether a recipe has no error; then its graph holds, and its text means the same again."""
    program = build(resolve(load(Source("text.ssl", text)), recipe))
    if any(d.is_error for d in program.diagnostics):
        return False
    verify(program.step)
    graph_text(program.step)
    again = build(resolve(load(Source("resolved", program.spec.text))))
    assert again.spec.text == program.spec.text
    assert not any(d.is_error for d in again.diagnostics), again.diagnostics
    return True


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts(name: str) -> None:
    _, seconds = run(HOSTILE[name])
    assert seconds < 2 * SECONDS  # twice the promise, for a busy machine


def test_random_texts() -> None:
    sound = sum(run(anything(seed))[0] for seed in range(60))
    assert sound > 10, "hardly a text gets through: the fuzz tests little"


@pytest.mark.slow
def test_many_random_texts() -> None:
    for seed in (*range(60, 120), *range(1_000, 9_000)):
        _, seconds = run(anything(seed))
        assert seconds < SECONDS, seed
