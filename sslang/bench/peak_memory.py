"""Peak memory of a step on a large batch: all at once, and in micro-batches.

    python -m sslang.bench.peak_memory

Each line is a process of its own, which takes two steps of SimCLR or MoCo v3 with a small ViT on
made-up images. The figure is the largest resident size above that before the first step, as the
kernel counts it, and the time of the second step.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time

import numpy as np
import torch

import sslang
from sslang.train.learner import Learner

VIT = "backbone=vit(patch = 8, width = 48, depth = 2, heads = 3, position = learned)"
DATA = 'data=cifar10("data")'  # declares enough images, and none is read
BATCH = 4096
LINES = (("simclr", None), ("simclr", 1024), ("simclr", 256), ("simclr", 64),
         ("mocov3_vit", None), ("mocov3_vit", 1024), ("mocov3_vit", 256),
         ("mocov3_vit", 64))  # fmt: skip


def main(arguments: list[str]) -> int:
    """Print the table; with `SPEC MICRO_BATCH`, measure one line."""
    if arguments:
        print(json.dumps(measure(arguments[0], int(arguments[1]) or None)))
        return 0
    print("| batch of 4,096 | micro-batch | peak, MB | s a step |")
    print("|---|---|---|---|")
    for spec, micro_batch in LINES:
        command = [sys.executable, "-m", "sslang.bench.peak_memory", spec, str(micro_batch or 0)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        peak, seconds = json.loads(done.stdout)
        shown = "all at once" if micro_batch is None else str(micro_batch)
        print(f"| {spec} | {shown} | {peak / 1e6:,.0f} | {seconds:.1f} |", flush=True)
    return 0


def measure(spec: str, micro_batch: int | None) -> tuple[int, float]:
    """Bytes of the peak above the start, and seconds of the second step."""
    program = sslang.load(f"specs/{spec}.ssl", None, [VIT, f"batch={BATCH}", DATA])
    learner = Learner(program, images=2 * BATCH, micro_batch=micro_batch)
    random = np.random.default_rng(0)
    pixels = torch.from_numpy(random.integers(0, 256, (BATCH, 3, 32, 32), dtype=np.uint8))
    before = _status("VmRSS")
    for _ in range(2):
        start = time.perf_counter()
        learner.train_step(pixels)
        seconds = time.perf_counter() - start
    return _status("VmHWM") - before, seconds


def _status(field: str) -> int:
    """A size of this process, in bytes, as Linux counts it."""
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) * 1024
    raise AssertionError(f"the kernel does not count {field}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
