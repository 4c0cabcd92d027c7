"""How long the front commands take, as whole processes, warm.

python -m sslang.bench.startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 11


def main() -> None:
    """Print the median and the range of wall seconds of each command."""
    specs = [str(p) for p in sorted(Path("specs").glob("*.ssl"))]
    for name, arguments in {
        "sslang --help": ["--help"],
        "sslang check specs/*.ssl": ["check", *specs],
    }.items():
        times = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-m", "sslang.cli", *arguments], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
            times.append(time.perf_counter() - start)
        spread = f"{min(times):.2f}..{max(times):.2f}"
        print(f"{name}: median {statistics.median(times):.2f} s, {spread}, {ROUNDS} runs")


if __name__ == "__main__":
    main()
