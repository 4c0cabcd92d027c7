"""A step by one process on two cores, and by two processes with a core each.

    python -m sslang.bench.scaling

In every round each contestant takes one step on the same images, in turn. The figure is the median
over the rounds of the ratio of the two times; on one machine, where both have the same two cores,
it is the price of being two.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

import sslang
from sslang.bench.equality import in_processes
from sslang.data.batches import Batches
from sslang.processes.group import Processes
from sslang.train.data import open_data
from sslang.train.learner import Learner

SPECS = ("simclr", "mocov2", "dino")
ROUNDS, WARM_UP = 10, 2


def main(_: list[str]) -> int:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        in_processes(2, measure, Path(folder))
        rows = json.loads((Path(folder) / "rows.json").read_text("utf-8"))
    print("| spec | one process, s a step | two, s a step | two / one |\n|---|---|---|---|")
    for name, alone, both, ratio in rows:
        print(f"| {name} | {alone:.3f} | {both:.3f} | {ratio:.2f} |")
    return 0


def measure(processes: Processes, folder: Path) -> None:
    """The rows of the table."""
    rows = [(name, *_ratio(name, processes)) for name in SPECS]
    if processes.is_first:
        (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")


def _ratio(name: str, processes: Processes) -> tuple[float, float, float]:
    """Median seconds alone and together, and the median of their ratios."""
    program = sslang.load(f"specs/{name}.ssl")
    data = open_data(program)
    alone = Learner(program, images=len(data.train))
    both = Learner(program, images=len(data.train), processes=processes)
    times: list[tuple[float, float]] = []
    with Batches(
        data.train, alone.recipe.batch, last_batch="drop", seed=0, phase=program.phase,
        device="cpu", workers=0,
    ) as batches:  # fmt: skip
        for _ in range(WARM_UP + ROUNDS):
            batch = next(batches)
            processes.barrier()
            torch.set_num_threads(2)
            start = time.perf_counter()
            if processes.is_first:
                _step(alone, batch.pixels, batch.index, batch.label, 0, len(batch.pixels))
            one = time.perf_counter() - start
            torch.set_num_threads(1)
            processes.barrier()
            start = time.perf_counter()
            own = both.share(len(batch.pixels))
            _step(both, batch.pixels, batch.index, batch.label, *own)
            processes.barrier()
            times.append((one, time.perf_counter() - start))
    kept = times[WARM_UP:]
    ones, twos = zip(*kept, strict=True)
    return (statistics.median(ones), statistics.median(twos),
            statistics.median(two / one for one, two in kept))  # fmt: skip


def _step(
    learner: Learner, pixels: Tensor, index: Tensor, label: Tensor, start: int, stop: int
) -> None:
    mine = slice(start, stop)
    learner.train_step(pixels[mine], index=index[mine], label=label[mine], batch=len(pixels))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
