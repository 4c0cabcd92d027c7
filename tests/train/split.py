"""Steps of small methods on made-up images, whole and split, in one process or several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sslang
from sslang.emit.sharding import SHARD_BYTES
from sslang.ir.program import Program
from sslang.passes import Pass
from sslang.processes.group import ALONE, Processes
from sslang.train.learner import Learner

IMAGES = 96
TINY = ("backbone=resnet(depth=18, width=0.0625, stem=small, stages=2)", "size=12")


def load(spec: str, *overrides: str) -> Program:
    """A spec of the project under its default recipe."""
    return sslang.load(Path("specs") / f"{spec}.ssl", None, overrides)


def learn(
    program: Program,
    processes: Processes = ALONE,
    micro_batch: int | None = None,
    *,
    batches: Sequence[int] = (),
    steps: int = 3,
    dtype: torch.dtype = torch.float64,
    compile_with: str | None = None,
    before_last: Callable[[], None] | None = None,
    shard: int | None = None,
    passes: tuple[Pass, ...] | None = None,
) -> dict[str, Any]:
    """Losses and state after some steps; `batches` are sizes other than the recipe's."""
    learner = Learner(
        program, images=IMAGES, classes=4, dtype=dtype, processes=processes,
        micro_batch=micro_batch, shard_nets=shard, passes=passes,
        shard_states=SHARD_BYTES if shard is None else 0,
    )  # fmt: skip
    if compile_with is not None:
        learner.compile(backend=compile_with)
    losses = []
    for step in range(steps):
        batch = batches[step] if batches else learner.recipe.batch
        random = np.random.default_rng(step)
        pixels = torch.from_numpy(random.integers(0, 256, (batch, 3, 16, 20), dtype=np.uint8))
        sizes = np.stack([random.integers(12, 17, batch), random.integers(12, 21, batch)], 1)
        index = torch.from_numpy(random.permutation(IMAGES)[:batch])
        if step == steps - 1 and before_last is not None:
            before_last()
        mine = slice(*learner.share(batch))
        report = learner.train_step(
            pixels[mine], sizes[mine], index=index[mine], label=index[mine] % 4, batch=batch
        )
        losses.append(report.loss)
    return {"losses": torch.stack(losses), "state": learner.whole_state_dict()}
