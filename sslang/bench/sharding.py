"""What each of two processes holds, and a step, with nets and banks whole and shared out.

    python -m sslang.bench.sharding

MoCo v3 has a ViT-S/16 of its ImageNet recipe on small images, InstDisc a bank of 200,000 rows of
128. In every round each way takes one step on the same images, in turn. Bytes are those that stand
in memory between steps, on the process that has the most; the ratio is the median over the rounds.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import sslang
from sslang.bench.equality import in_processes
from sslang.emit.sharding import SHARD_BYTES
from sslang.processes.group import Processes
from sslang.processes.shards import UNIT_BYTES
from sslang.train.learner import Learner
from sslang.train.memory import held

ROUNDS, WARM_UP = 10, 2
WHOLE = 2**60  # bytes that no bank has
# title: spec, overrides, images, what is shared out
CASES = {
    "MoCo v3, `--shard`": (
        "mocov3_vit", ("backbone=vit_small(patch = 8)", "size=32", "batch=16"), 1000, "nets",
    ),
    "InstDisc, its bank": ("instdisc", ("negatives=1024", "batch=16"), 200_000, "bank"),
}  # fmt: skip


def main(_: list[str]) -> int:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        in_processes(2, measure, Path(folder))
        found = [json.loads((Path(folder) / f"{r}.json").read_text("utf-8")) for r in range(2)]
    print("| held by a process, MB | whole | shared out | step, shared out / whole |")
    print("|---|---|---|---|")
    for title in CASES:
        most = [max(each[title]["bytes"][way] for each in found) / 1e6 for way in range(2)]
        print(f"| {title} | {most[0]:,.1f} | {most[1]:,.1f} | {found[0][title]['ratio']:.2f} |")
    return 0


def measure(processes: Processes, folder: Path) -> None:
    """The figures of this process."""
    torch.set_num_threads(1)
    rows = {title: _measured(title, processes) for title in CASES}
    (folder / f"{processes.rank}.json").write_text(json.dumps(rows), encoding="utf-8")


def _measured(title: str, processes: Processes) -> dict[str, object]:
    spec, overrides, images, what = CASES[title]
    program = sslang.load(f"specs/{spec}.ssl", None, overrides)
    nets = what == "nets"
    ways = [
        Learner(program, images=images, processes=processes, shard_states=WHOLE),
        Learner(
            program, images=images, processes=processes,
            shard_nets=UNIT_BYTES if nets else None, shard_states=WHOLE if nets else SHARD_BYTES,
        ),
    ]  # fmt: skip
    times = []
    for number in range(WARM_UP + ROUNDS):
        times.append([_seconds(way, number, images, processes) for way in ways])
    ratio = statistics.median(two / one for one, two in times[WARM_UP:])
    return {"bytes": [sum(held(way).values()) for way in ways], "ratio": ratio}


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
