"""A small process among several: what the tests of the launcher start in place of a run.

Arguments: what to do, and a folder in which the first process leaves what it found.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import torch

from sslang.diagnostics import Diagnostic, DiagnosticError, render
from sslang.processes import environment
from sslang.processes.group import Processes
from sslang.processes.report import Reporter, Verdict, watch_parent

asked: list[int] = []


def note(number: int, frame: FrameType | None) -> None:
    asked.append(number)


def collectives(processes: Processes, folder: Path) -> int:
    """What each of them gives, on numbers that tell which process they are from."""
    rank = processes.rank
    counts = [3, 1, 2, 0][: processes.count]
    rows = torch.arange(2.0 * counts[rank]).reshape(counts[rank], 2) + 10 * rank
    flags = torch.full((counts[rank],), bool(rank % 2))
    sums = [torch.full((2, 2), float(rank + 1)), torch.tensor([rank]), torch.tensor(0.5)]
    processes.sum_(sums)
    found = {
        "rows": processes.gather(rows, counts).tolist(),
        "flags": processes.gather(flags, counts).tolist(),
        "sums": [t.tolist() for t in sums],
        "largest": processes.largest(rank, -rank),
        "first": processes.from_first({"of": rank}),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }
    (folder / f"{rank}.json").write_text(json.dumps(found))
    return 0


def steps(processes: Processes, folder: Path) -> int:
    """Steps until a signal asks one of the processes to stop."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, note)
    (folder / f"{processes.rank}.pid").write_text(str(os.getpid()))
    while True:
        processes.sum_([torch.ones(4)])
        (stopped,) = processes.largest(max(asked, default=0))
        if stopped:
            (folder / f"{processes.rank}.saved").write_text(str(stopped))
            return 130 if stopped == signal.SIGINT else 75
        time.sleep(0.01)


def alone(processes: Processes, folder: Path) -> int:
    """One that computes by itself for long, deaf to signals, while the last dies."""
    signal.signal(signal.SIGTERM, note)
    (folder / f"{processes.rank}.pid").write_text(str(os.getpid()))
    if processes.rank == processes.count - 1:
        time.sleep(1)
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        time.sleep(0.1)


def refuse_last(processes: Processes, folder: Path) -> int:
    """A diagnostic of the last process; the others wait for it."""
    if processes.rank == processes.count - 1:
        raise DiagnosticError(Diagnostic("E605", "the images are gone", hint="look for them"))
    processes.barrier()
    return 0


def refuse_all(processes: Processes, folder: Path) -> int:
    """The same diagnostic of all."""
    processes.barrier()
    raise DiagnosticError(Diagnostic("E605", "the images are gone"))


def fail_last(processes: Processes, folder: Path) -> int:
    """A fault in the code of the last process."""
    if processes.rank == processes.count - 1:
        raise ZeroDivisionError("a fault")
    processes.barrier()
    return 0


def abort_last(processes: Processes, folder: Path) -> int:
    """A library that gives up, with words that only standard error gets."""
    if processes.rank == processes.count - 1:
        print("what the library said", file=sys.stderr, flush=True)
        os.abort()
    processes.barrier()
    return 0


TASKS: dict[str, Callable[[Processes, Path], int]] = {
    task.__name__: task
    for task in (collectives, steps, alone, refuse_last, refuse_all, fail_last, abort_last)
}


def tell(verdict: Verdict) -> None:
    for diagnostic in verdict.diagnostics:
        print(render(diagnostic), file=sys.stderr)
    if verdict.text:
        print(verdict.text, file=sys.stderr)


def main(task: str, folder: Path) -> None:
    place = environment.find(os.environ)
    with Reporter(place, tell) as reporter:
        if os.environ.get(environment.PARENT):
            watch_parent(int(os.environ[environment.PARENT]), every=0.1)
        reporter.store = environment.meet(place)
        processes = environment.join(place, "cpu", reporter.store)
        (code,) = processes.largest(TASKS[task](processes, folder))
        environment.leave(processes)
        reporter.done(code)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
