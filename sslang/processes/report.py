"""How the processes of a run end, and which of their errors is the one to be shown.

When one process fails, the others lose a peer a moment later and fail too. Shown is what came
first, once. Under our own launcher a process leaves its ending in a file and says nothing;
under others it claims the word in the store.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NoReturn

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.processes.environment import Place
from sslang.records import record

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

STOPPED = 130  # the exit status after Ctrl-C
# Whoever starts processes ends all when the first one ends. Seconds by which those that have
# lost another end later than that one, so that it can say why.
_FIRST_WORD = 1.0
_WRITING = timedelta(minutes=10)
_ELSEWHERE = "E721"  # raised by all others where one raises what it alone has found

Kind = Literal["done", "stopped", "diagnostics", "error", "lost"]


@record(frozen=True)
class Ending:
    """How process `rank` ended: as it should, with the exit status `code`, or by an error.

    `lost` is the error of one whose peer has gone. `text` is what is known besides.
    """

    rank: int
    pid: int
    kind: Kind
    code: int
    text: str = ""
    diagnostics: tuple[Diagnostic, ...] = ()


@record(frozen=True)
class Failure:
    """What a launcher sees of a process that has failed: -9 for SIGKILL; its last words."""

    exitcode: int
    said: str = ""


@record(frozen=True)
class Verdict:
    """What is shown of a run of several processes, and its exit status."""

    code: int
    diagnostics: tuple[Diagnostic, ...] = ()
    text: str = ""


def ending_of(error: BaseException, rank: int) -> Ending:
    """The ending of a process that `error` has brought down."""
    if isinstance(error, DiagnosticError):
        told = all(d.code == _ELSEWHERE for d in error.diagnostics)
        kind: Kind = "lost" if told else "diagnostics"
        return Ending(rank, os.getpid(), kind, 1, str(error), error.diagnostics)
    if isinstance(error, KeyboardInterrupt):
        return Ending(rank, os.getpid(), "stopped", STOPPED)
    if _is_loss(error):
        return Ending(rank, os.getpid(), "lost", 1, str(error).partition("\n")[0])
    return Ending(rank, os.getpid(), "error", 1, "".join(traceback.format_exception(error)))


def _is_loss(error: BaseException) -> bool:
    """Whether `error` tells that another process has gone: gloo's are plain RuntimeErrors."""
    import torch.distributed as dist

    if isinstance(error, dist.DistError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    inside = bool(frames) and "torch/distributed" in Path(frames[-1].filename).as_posix()
    text = str(error)
    told = "gloo" in text or "NCCL" in text or "Connection closed by peer" in text
    return isinstance(error, RuntimeError) and (inside or told)


def write_ending(folder: Path, ending: Ending) -> None:
    """Leave an ending for the launcher."""
    target = folder / f"{ending.rank}.ending"
    unfinished = target.with_suffix(".tmp")
    unfinished.write_bytes(pickle.dumps(ending))
    unfinished.replace(target)


def read_endings(folder: Path) -> dict[int, Ending]:
    """The endings that processes have left in a folder of our own, by rank."""
    found = [pickle.loads(path.read_bytes()) for path in sorted(folder.glob("*.ending"))]
    return {ending.rank: ending for ending in found}


def verdict(
    failures: Mapping[int, Failure], endings: Mapping[int, Ending], asked: int | None = None
) -> Verdict:
    """What came first. `failures` by rank, in the order in which they were noticed.

    `asked` is the signal that the user or the system has sent to the launcher.
    """
    assert failures or endings, "a process that ends well leaves its ending"
    done = {rank for rank, ending in endings.items() if ending.kind == "done"}
    failures = {rank: failure for rank, failure in failures.items() if rank not in done}
    if not failures:
        return Verdict(max(ending.code for ending in endings.values()))

    def late(rank: int) -> int:
        ending = endings.get(rank)
        if ending is not None and ending.kind == "lost":
            return 2
        return int(failures[rank].exitcode == -signal.SIGTERM and asked != signal.SIGTERM)

    rank = min(failures, key=late)  # of equals the first noticed
    ending, code = endings.get(rank), failures[rank].exitcode
    by_wish = asked is not None and code == -asked
    saved = [endings[rank].code for rank in done if endings[rank].code]
    if saved and (by_wish or late(rank)):  # one that had saved, and did not wait for the others
        return Verdict(max(saved))
    if ending is not None:
        others = (e for e in endings.values() if e.rank < rank)
        return _told(ending, shared=any(_alike(ending, other) for other in others))
    if by_wish:
        status = STOPPED if asked == signal.SIGINT else 128 - code
        return Verdict(status, text="stopped before there was anything to save")
    return Verdict(1, (_died(rank, failures[rank]),), failures[rank].said)


def _alike(ending: Ending, other: Ending) -> bool:
    messages = [d.message for d in ending.diagnostics]
    return bool(messages) and messages == [d.message for d in other.diagnostics]


def _told(ending: Ending, *, shared: bool) -> Verdict:
    """The words for an ending; with its rank, but where the first or all have it to say."""
    name = f"process {ending.rank}"
    if ending.kind == "stopped":
        return Verdict(ending.code, text="stopped")
    if ending.kind == "lost":
        message = f"{name} has lost another one: {ending.text}"
        hint = "what ended that one stands in its own output, or where it was started"
        return Verdict(1, (Diagnostic("E723", message, hint=hint),))
    if ending.kind == "error":
        return Verdict(1, text=f"{name}: {ending.text.rstrip()}")
    plain = shared or ending.rank == 0
    return Verdict(1, tuple(
        d if plain else replace(d, message=f"{name}: {d.message}") for d in ending.diagnostics
    ))  # fmt: skip


def _died(rank: int, failure: Failure) -> Diagnostic:
    code = failure.exitcode
    if code >= 0:
        return Diagnostic("E723", f"process {rank} ended by itself, with exit status {code}")
    name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
    hint = "all up to the last checkpoint is saved: sslang run --resume RUN"
    if -code == signal.SIGKILL:
        hint += "; if nobody killed it, memory ran out: fewer --workers, or --micro-batch"
    return Diagnostic("E723", f"process {rank} was killed by {name}", hint=hint)


class Reporter:
    """The last words of a process among several: within the `with` block no error is printed.

    `tell` prints a verdict; `store` is set when the processes have met.
    """

    def __init__(self, place: Place, tell: Callable[[Verdict], None]) -> None:
        self._place = place
        self._tell = tell
        self.store: Store | None = None

    def __enter__(self) -> Reporter:
        return self

    def done(self, code: int) -> NoReturn:
        """End as one should: the run is finished (0), or is saved and was asked to stop."""
        ending = Ending(self._place.rank, os.getpid(), "done", code)
        if self._place.reports:
            # The launcher takes any other status than 0 for a failure, and ends the others.
            self._leave(ending)
        elif code:
            self._claim(ending)  # others that lose this one shall not speak of it
            self._wait_for_first()
        _exit(0 if self._place.reports else code)

    def _wait_for_first(self) -> None:
        """The first process has more to write; torchrun ends it when another ends before it."""
        import torch.distributed as dist

        assert self.store is not None
        try:
            if self._place.rank == 0:
                self.store.set("over", "yes")
            else:
                self.store.wait(["over"], _WRITING)
        except dist.DistError:
            return  # it has gone, and the store with it

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, SystemExit):
            return
        ending = ending_of(error, self._place.rank)
        if ending.kind == "lost":
            time.sleep(_FIRST_WORD)
        if self._place.reports:
            self._leave(ending)
        elif self._claim(ending):
            self._tell(_told(ending, shared=False))
        _exit(ending.code)

    def _leave(self, ending: Ending) -> None:
        write_ending(Path(self._place.reports), ending)

    def _claim(self, ending: Ending) -> bool:
        """Whether this process is the one that speaks.

        A process that has lost the store has lost process 0, which keeps it: that one, or who
        started it, has said why.
        """
        import torch.distributed as dist

        if any(d.code == _ELSEWHERE for d in ending.diagnostics):
            return False
        if self.store is None:
            return True
        try:
            return self.store.add("told", 1) == 1
        except dist.DistError:
            return ending.kind != "lost"


def _exit(code: int) -> NoReturn:
    """End at once: in an orderly exit the threads of torch's groups and stores abort at times."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def watch_parent(parent: int, every: float = 1.0) -> None:
    """Ask this process to save and stop when the process that started it has gone."""
    import threading

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="parent").start()
