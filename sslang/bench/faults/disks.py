"""Disks that are full, checkpoints that are damaged, image files that go."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from sslang.bench.faults.bench import IMAGES, Bench, Row, SkippedError, resumed, write_images
from sslang.bench.faults.trial import committed, whole


@contextlib.contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 64 MB at `place`. Raises SkippedError where none can be mounted."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        raise SkippedError("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def full_disk(bench: Bench) -> Row:
    trial = bench.trial("full-disk")
    with small_disk(trial.root):
        process = trial.begin()
        folder = process.at_step(5)
        with (trial.root / "ballast").open("wb") as ballast, contextlib.suppress(OSError):
            while True:
                ballast.write(b"\0" * 2**16)
                ballast.flush()
        ended = process.end()
        held = committed(folder)
        (trial.root / "ballast").unlink()
        return resumed(bench, trial, folder, "full disk", ended, held,
                       f"stopped with {ended.codes()}")  # fmt: skip


def file_limit(bench: Bench) -> Row:
    """The process may write no more bytes to a file than a part of a checkpoint."""
    trial = bench.trial("file-limit")
    process = trial.begin()
    folder = process.at_step(5)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
    ended = process.end()
    held = committed(folder)
    return resumed(bench, trial, folder, "a checkpoint that the disk cuts off", ended, held,
                   f"stopped with {ended.codes()}")  # fmt: skip


def damage(name: str, change: Callable[[Path], None]) -> Callable[[Bench], Row]:
    def damaged(bench: Bench) -> Row:
        trial = bench.trial(name.replace(" ", "-"))
        process = trial.begin()
        folder = process.at_step(8)
        ended = process.kill(signal.SIGKILL)
        newest = max((folder / "checkpoints").glob("step-*.pt"))
        change(newest)
        held = whole(folder)
        text = f"{newest.name} was passed over (E712)"
        return resumed(bench, trial, folder, f"kill -9, then a {name}", ended, held, text)

    return damaged


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def vanishing(bench: Bench) -> Row:
    """Two of 400 files go: their images are replaced, named and counted."""
    return _vanishing(bench, 2, "2 of 400 image files vanish")


def too_many_vanish(bench: Bench) -> Row:
    return _vanishing(bench, 40, "40 of 400 image files vanish")


def _vanishing(bench: Bench, count: int, fault: str) -> Row:
    root = bench.root / f"vanishing-{count}-images"
    if not root.exists():
        write_images(root, IMAGES)
    trial = bench.trial(f"vanishing-{count}", f'data=image_folder("{root}")', "--workers", "0")
    process = trial.begin()
    folder = process.at_step(4)
    held = committed(folder)
    for path in sorted(root.rglob("*.png"))[:count]:
        path.unlink()
    ended = process.end()
    named = (folder / "log.txt").read_text("utf-8").count("skipped, unreadable")
    end = f"stopped with {ended.codes()}" if ended.code else "went on to its end"
    shutil.rmtree(root)
    return Row(fault, f"{named} skipped and named in the log; {end}", str(ended.code),
               max(0, held - whole(folder)), None)  # fmt: skip
