"""Out of memory: what is said about it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from sslang.api import load_source
from sslang.data.batches import Batch, Batches
from sslang.diagnostics import DiagnosticError, Source
from sslang.processes.group import ALONE
from sslang.train.learner import Learner
from sslang.train.memory import (
    available,
    explained,
    explaining_memory,
    held,
    is_out_of_memory,
    naming_memory,
)
from sslang.train.options import RunOptions
from sslang.train.run import prepare
from tests.conftest import ROOT, TINY

CPU = torch.device("cpu")


@pytest.fixture
def step(tmp_path: Path) -> tuple[Learner, Batch]:
    text = (ROOT / "specs/mocov2.ssl").read_text()
    program = load_source(Source("mocov2.ssl", text), None, TINY["mocov2"])
    data, learner = prepare(program, RunOptions(device="cpu", out=tmp_path))
    with Batches(
        data.train, 64, last_batch="drop", seed=0, phase="p", device="cpu", workers=0
    ) as batches:
        return learner, next(batches)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("could not create a primitive"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_are_meant(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) == expected


def test_what_stands_in_memory_is_named(step: tuple[Learner, Batch]) -> None:
    learner, batch = step
    trained = sum(p.numel() for _, p in learner.method.trained())
    found = held(learner)
    assert found["parameters"] == found["their gradients"] == 4 * trained
    assert found["optimizer"] == 0
    assert found["banks, queues and other states"] == 256 * 8 * 4
    others = found["averages, frozen nets and running statistics"]
    assert others > 4 * trained, "the momentum encoder has as many, and running statistics"
    learner.train_step(batch.pixels, batch.sizes)
    assert held(learner)["optimizer"] >= 8 * trained


def test_the_message_says_what_would_fit(
    step: tuple[Learner, Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, batch = step
    error = explained(learner, batch, ALONE, "no memory")
    (found,) = error.diagnostics
    assert found.code == "E726"
    assert "a step on 64 rows ran out of memory on cpu (no memory)" in found.message
    row = re.search(r"activations .* \(about ([\d.]+) kB a row\)", found.message)
    assert row is not None
    per_row = float(row[1]) * 1e3
    assert 16 * 16 * 4 * 8 < per_row < 1e7, "at least the first convolution's output"

    def hint(rows: int) -> str:
        """What is said where there is room for so many rows and a fifth."""
        room = int(per_row * rows / 0.8)
        monkeypatch.setattr("sslang.train.memory.available", lambda device: room)
        (found,) = explained(learner, batch, ALONE, "").diagnostics
        return found.hint

    assert "--micro-batch 32, which computes the same, or begin anew with batch=4" in hint(45)
    assert "--micro-batch" not in hint(20), "it would cut through groups of 32"
    assert "more --processes or devices, or begin anew with batch=" in hint(20)
    assert "a smaller net" in hint(0)


def test_micro_batches_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto`: all rows where memory takes them, else whole runs of what batch norm joins."""
    text = (ROOT / "specs/mocov2.ssl").read_text()
    program = load_source(Source("mocov2.ssl", text), None, TINY["mocov2"])
    options = RunOptions(device="cpu", out=tmp_path, micro_batch="auto")
    assert prepare(program, options)[1].micro_batch is None
    monkeypatch.setattr("sslang.train.memory.available", lambda device: 0)
    assert prepare(program, options)[1].micro_batch == 32


def test_other_errors_pass(step: tuple[Learner, Batch]) -> None:
    with pytest.raises(RuntimeError, match="shapes"), explaining_memory(*step, ALONE):
        raise RuntimeError("shapes do not fit")
    with pytest.raises(DiagnosticError, match="E726"), explaining_memory(*step, ALONE):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")


def test_what_is_no_step_is_named() -> None:
    with (
        pytest.raises(DiagnosticError, match="building the nets ran out of memory on cpu"),
        naming_memory("building the nets", CPU, None),
    ):
        raise MemoryError


def test_what_is_free_is_a_plausible_number() -> None:
    assert 2**20 < available(CPU) < 2**50
