"""Nets whose parameters the processes hold together: the same steps, and a part of the memory."""

from __future__ import annotations

from pathlib import Path

import torch

from sslang.bench.equality import in_processes, largest_difference
from sslang.ir.program import Program
from sslang.processes.group import ALONE, Processes
from tests.train.split import TINY, learn, load

VIT = "backbone=vit(patch = 4, width = 24, depth = 2, heads = 2, position = learned)"
LARS = "optimizer=lars(lr = 0.3, momentum = 0.9, weight_decay = 1e-4)"
# name: spec, overrides, micro-batch
CASES: dict[str, tuple[str, tuple[str, ...], int | None]] = {
    "simclr": ("simclr", (*TINY, "batch=12"), None),
    "simclr, lars": ("simclr", (*TINY, "batch=12", LARS), None),
    "byol": ("byol", (*TINY, "batch=12"), None),
    "mocov2": ("mocov2", (*TINY, "batch=96", "memory=192"), None),
    "swav": ("swav", (*TINY, "batch=12", "local_size=8", "memory=24", "clusters=8"), None),
    "dino": ("dino", (VIT, "size=12", "batch=12", "local_size=8", "outputs=32"), None),
    "dino, parts": ("dino", (VIT, "size=12", "batch=12", "local_size=8", "outputs=32"), 2),
    "mocov3_vit": ("mocov3_vit", (VIT, "size=12", "batch=12"), None),
    "mocov3_vit, cached": ("mocov3_vit", (VIT, "size=12", "batch=12"), 2),
    "cmc": ("cmc", (*TINY, "batch=12", "negatives=16"), None),
    "cpc": ("cpc", ("batch=8",), None),
    "mae": ("../examples/mae", ("batch=8",), None),
}


def program(case: str) -> Program:
    spec, overrides, _ = CASES[case]
    return load(spec, *overrides)


def test_sharded_steps_are_the_steps(tmp_path: Path) -> None:
    in_processes(3, _sharded, tmp_path)
    for case in CASES:
        alone = learn(program(case), ALONE)
        found = torch.load(tmp_path / f"{case}.pt", weights_only=True)
        difference, where = largest_difference(alone, found)
        assert difference < 1e-9, (case, where)


def _sharded(processes: Processes, folder: Path) -> None:
    for case, (_, _, micro_batch) in CASES.items():
        found = learn(program(case), processes, micro_batch, shard=0)
        if processes.is_first:
            torch.save(found, folder / f"{case}.pt")
