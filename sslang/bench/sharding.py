"""What each of two processes holds, and a step, with nets, banks and queues whole and shared out.

    python -m sslang.bench.sharding

MoCo v3 has a ViT-S/16 of its ImageNet recipe on small images, InstDisc a bank of 200,000 rows of
128, MoCo v2 a queue of a million. In every round each way takes one step on the same images, in
turn; the ratio is the median over the rounds. Bytes are those that stand in memory between steps,
and the most that a learner and three steps add to a process that has taken a small step before,
measured by processes of their own, whose C library gives back what is freed; both are of the
process that has the most.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import torch

import sslang
from sslang.bench.equality import in_processes
from sslang.emit.sharding import SHARD_BYTES
from sslang.processes.group import Processes
from sslang.processes.shards import UNIT_BYTES
from sslang.train.learner import Learner
from sslang.train.memory import held

Way = Literal["whole", "shared"]
WAYS: tuple[Way, Way] = ("whole", "shared")
ROUNDS, WARM_UP = 10, 2
WHOLE = 2**60  # bytes that no state has
# title: spec, overrides, images, what is shared out
CASES = {
    "MoCo v3, `--shard`": (
        "mocov3_vit", ("backbone=vit_small(patch = 8)", "size=32", "batch=16"), 1000, "nets",
    ),
    "InstDisc, its bank": ("instdisc", ("negatives=1024", "batch=16"), 200_000, "states"),
    "MoCo v2, its queue": ("mocov2", ("memory=1048576", "batch=64"), 1000, "states"),
}  # fmt: skip
HEAD = ("", "held, whole, MB", "shared", "peak, whole, MB", "shared", "step, shared / whole")


def main(_: list[str]) -> int:
    """Print the table."""
    measured = _by_two(measure)
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "262144"  # what is freed goes back to the system
    print(f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}")
    for title in CASES:
        bytes_ = [max(each[title]["bytes"][way] for each in measured) for way in WAYS]
        bytes_ += [max(_by_two(partial(measure_peak, title=title, way=way))) for way in WAYS]
        sizes = " | ".join(f"{size / 1e6:,.0f}" for size in bytes_)
        print(f"| {title} | {sizes} | {measured[0][title]['ratio']:.2f} |", flush=True)
    return 0


def _by_two(work: Callable[[Processes, Path], None]) -> list[Any]:
    """What two processes write, each into the file of its rank."""
    with tempfile.TemporaryDirectory() as folder:
        in_processes(2, work, Path(folder))
        return [json.loads((Path(folder) / f"{r}.json").read_text("utf-8")) for r in range(2)]


def measure(processes: Processes, folder: Path) -> None:
    """The bytes between steps and the ratio of the times, by title."""
    rows = {title: _measured(title, processes) for title in CASES}
    _write(rows, processes, folder)


def measure_peak(processes: Processes, folder: Path, title: str, way: Way) -> None:
    """The most bytes that this process has had, less what it had before."""
    small = sslang.load("specs/mocov2.ssl", None, ("memory=64", "batch=64"))
    _seconds(Learner(small, images=1000, processes=processes), 0, 1000, processes)
    before = psutil.Process().memory_info().rss
    learner = _learner(title, way, processes)
    for number in range(3):
        _seconds(learner, number, CASES[title][2], processes)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _write(peak - before, processes, folder)


def _write(found: Any, processes: Processes, folder: Path) -> None:
    (folder / f"{processes.rank}.json").write_text(json.dumps(found), encoding="utf-8")


def _learner(title: str, way: Way, processes: Processes) -> Learner:
    spec, overrides, images, what = CASES[title]
    shared = what if way == "shared" else ""
    return Learner(
        sslang.load(f"specs/{spec}.ssl", None, overrides), images=images, processes=processes,
        shard_nets=UNIT_BYTES if shared == "nets" else None,
        shard_states=SHARD_BYTES if shared == "states" else WHOLE,
    )  # fmt: skip


def _measured(title: str, processes: Processes) -> dict[str, object]:
    learners = [_learner(title, way, processes) for way in WAYS]
    images = CASES[title][2]
    times = [
        [_seconds(learner, number, images, processes) for learner in learners]
        for number in range(WARM_UP + ROUNDS)
    ]
    ratio = statistics.median(shared / whole for whole, shared in times[WARM_UP:])
    held_ = [sum(held(learner).values()) for learner in learners]
    return {"bytes": dict(zip(WAYS, held_, strict=True)), "ratio": ratio}


def _seconds(learner: Learner, number: int, images: int, processes: Processes) -> float:
    """Of a step on images made up for its number, by all processes."""
    random = np.random.default_rng(number)
    batch = learner.recipe.batch
    pixels = torch.from_numpy(random.integers(0, 256, (batch, 3, 32, 32), dtype=np.uint8))
    index = torch.from_numpy(random.permutation(images)[:batch])
    mine = slice(*learner.share(batch))
    processes.barrier()
    start = time.perf_counter()
    learner.train_step(pixels[mine], index=index[mine], batch=batch)
    processes.barrier()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
