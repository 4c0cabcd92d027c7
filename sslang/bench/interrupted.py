"""Runs that are killed and resumed at random moments end as those that were left alone.

    python -m sslang.bench.interrupted

Each spec trains for some epochs on a few of the embedded images, once undisturbed. Then runs of
the same are killed (SIGKILL) after a random time and resumed, killed again and resumed, until they
end by themselves; what they have computed (parameters, averages, optimizer, banks, queues, every
logged number) must have the same bits. Ten such runs for four specs, two for the others. What is
done is not done again.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from sslang.bench.faults.bench import write_images
from sslang.bench.faults.trial import outcome

OFTEN = ("mocov2", "swav", "dino", "instdisc")
IMAGES = 200
OVERRIDES = ("length=4 epochs", "evaluate=[]")
_SMALL = ("batch=32",)
MORE: dict[str, tuple[str, ...]] = {
    "mocov1": ("batch=64",), "mocov2": ("batch=64",),
    "swav": ("batch=32", "memory=64",
             "recent[v in global, memory]=empty(dim) with (from = 2 epochs)"),
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A spec: how many runs were killed how often in all, and how many ended with other bits."""

    spec: str
    runs: int
    kills: int
    other: int


def main(arguments: list[str]) -> int:
    """Do what is missing and print the table; 1 where a run ended with other bits."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m sslang.bench.interrupted")
    parser.add_argument("--out", type=Path, default=Path("runs/interrupted"))
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("specs", nargs="*", type=Path)
    given = parser.parse_args(arguments)
    rows = []
    for spec in given.specs or sorted(Path("specs").glob("*.ssl")):
        done = given.out / f"{spec.stem}.json"
        if not done.exists():
            print(spec.stem, file=sys.stderr, flush=True)
            found = disturbed(spec, given.out, random.Random(f"{given.seed} {spec.stem}"))
            done.write_text(json.dumps(asdict(found)), encoding="utf-8")
        rows.append(Found(**json.loads(done.read_text("utf-8"))))
    print("| spec | runs | kills | other bits |\n|---|---|---|---|")
    for row in rows:
        print(f"| {row.spec} | {row.runs} | {row.kills} | {row.other} |")
    return int(any(row.other for row in rows))


def disturbed(spec: Path, out: Path, draws: random.Random) -> Found:
    """One run undisturbed, the others killed at random moments."""
    images = (out / "images").absolute()
    if not images.exists():
        write_images(images, IMAGES)
    place = out / spec.stem
    shutil.rmtree(place, ignore_errors=True)
    started = time.monotonic()
    folder = begin(spec, images, place / "undisturbed", None)
    seconds = time.monotonic() - started
    wanted = outcome(folder)
    runs = 10 if spec.stem in OFTEN else 2
    kills = other = 0
    for number in range(runs):
        root = place / f"{number}"
        folder_, often = killed(spec, images, root, seconds, draws)
        kills += often
        other += outcome(folder_) != wanted
        shutil.rmtree(root)
    return Found(spec.stem, runs, kills, other)


def killed(
    spec: Path, images: Path, root: Path, seconds: float, draws: random.Random
) -> tuple[Path, int]:
    """A run that is killed until it has ended once by itself; its folder, and how often."""
    kills = 0
    while True:
        # Most of a run's time goes before its first step: killed then, nothing is there to resume.
        patience = draws.uniform(0.3, 1.0) * seconds
        try:
            return begin(spec, images, root, patience), kills
        except subprocess.TimeoutExpired:
            kills += 1


def begin(spec: Path, images: Path, root: Path, patience: float | None) -> Path:
    """Train, or go on with what is there, to the end; TimeoutExpired when killed after `patience`.

    Raises RuntimeError where the run fails.
    """
    folders = sorted(p.parent.parent for p in root.glob("*/*/checkpoints/step-*.pt"))
    if folders:
        wanted = ["--resume", str(folders[-1])]
    else:
        shutil.rmtree(root, ignore_errors=True)
        data = f'data=image_folder("{images}")'
        wanted = [str(spec), data, *OVERRIDES, *MORE.get(spec.stem, _SMALL), "--out", str(root)]
    root.mkdir(parents=True, exist_ok=True)
    with (root / "said.txt").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "sslang.cli", "run", *wanted, "--tracking", "off",
             "--device", "cpu", "--save-every", "0.5", "-q"],
            stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            raise
    if code:
        raise RuntimeError((root / "said.txt").read_text("utf-8", "replace")[-2000:])
    return next(p.parent for p in root.glob("*/*/run.json"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
