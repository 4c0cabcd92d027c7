"""Any text whatsoever: diagnostics, never a crash, never long, and a sound program if any."""

from __future__ import annotations

import time

import pytest

from sslang.checks import check_file
from sslang.diagnostics import Source, render, to_json
from sslang.ir.build import build
from sslang.ir.text import graph_text
from sslang.ir.verify import verify
from sslang.model.overlay import resolve
from sslang.model.resolve import load
from tests.hostile import HOSTILE
from tests.texts import anything

LIMIT = 2.0  # seconds for one text under one recipe, on an idle machine


def run(text: str) -> tuple[int, float]:
    """Every recipe of a text built: how many are free of errors, and the longest time of one."""
    longest, sound = 0.0, 0
    start = time.process_time()
    module = load(Source("text.ssl", text))
    read = time.process_time() - start
    for recipe in [None, *module.recipes][:8]:
        start = time.process_time()
        program = build(resolve(module, recipe))
        longest = max(longest, read + time.process_time() - start)
        for diagnostic in program.diagnostics:
            render(diagnostic, colour=True)
            to_json(diagnostic)
        if any(d.is_error for d in program.diagnostics):
            continue
        sound += 1
        verify(program.step)
        graph_text(program.step)
        again = build(resolve(load(Source("resolved", program.spec.text))))
        assert again.spec.text == program.spec.text
        assert not any(d.is_error for d in again.diagnostics), again.diagnostics
    check_file(Source("text.ssl", text[:20_000]))
    return sound, longest


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts(name: str) -> None:
    _, longest = run(HOSTILE[name])
    assert longest < 2 * LIMIT  # process time; twice the promise, for a busy machine


def test_random_texts() -> None:
    sound = sum(run(anything(seed))[0] for seed in range(120))
    assert sound > 10, "hardly a text gets through: the fuzz tests little"


@pytest.mark.slow
def test_many_random_texts() -> None:
    for seed in range(1_000, 9_000):
        _, longest = run(anything(seed))
        assert longest < LIMIT, seed
