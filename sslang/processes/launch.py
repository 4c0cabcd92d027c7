"""Starting the processes of a run on this machine, by torch's elastic launcher.

The launcher finds the other machines, gives each process its number, and ends all when one
fails. Here is what it lacks: signals reach the processes and not their helpers, exit statuses
come through, a process that does not end is killed soon, and only the first error is shown.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.processes.environment import PARENT, REPORTS, cores
from sslang.processes.report import STOPPED, Failure, Verdict, read_endings, verdict
from sslang.records import record

# Seconds that processes have to end by themselves when one has failed, or has saved and stopped.
_GRACE, _GRACE_STOPPED = 10.0, 60.0
_PASSED_ON = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP")
_LAST_LINES = 20


@record(frozen=True)
class Launch:
    """`processes` on each of `nodes` machines, which meet at `rendezvous` (host:port).

    `command` are the arguments of Python. `keep_output` lets all processes write to the
    terminal, not the first of the machine alone.
    """

    command: tuple[str, ...]
    processes: int
    nodes: int = 1
    rendezvous: str = ""
    keep_output: bool = False


def launch(plan: Launch) -> Verdict:
    """Run the processes to their end. Raises DiagnosticError E724 where machines do not meet."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    redirected: Any = {}
    if not plan.keep_output:
        redirected = dict.fromkeys(range(1, plan.processes), Std.ALL)
    with tempfile.TemporaryDirectory(prefix="sslang-") as name, _quiet_torch():
        folder = Path(name)
        config = LaunchConfig(
            min_nodes=plan.nodes,
            max_nodes=plan.nodes,
            nproc_per_node=plan.processes,
            run_id=f"sslang-{os.environ.get('SLURM_JOB_ID', '')}",
            rdzv_backend="c10d",
            rdzv_endpoint=plan.rendezvous or "localhost:0",
            local_addr=None if plan.rendezvous else "127.0.0.1",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=name, redirects=redirected),
            signals_to_handle="SIGQUIT",
        )
        failures: dict[int, Failure] = {}
        with _environment(folder, plan.processes), _Overseer(folder) as overseer:
            try:
                elastic_launch(config, sys.executable)(*plan.command)
            except ChildFailedError as error:
                failures = {
                    rank: Failure(failed.exitcode, _said(folder, failed.local_rank))
                    for rank, failed in error.failures.items()
                }
            except RendezvousError as error:
                raise _not_met(plan, error) from error
            except SignalException as error:
                return Verdict(128 + error.sigval, text="stopped")
        return verdict(failures, read_endings(folder), overseer.asked)


def _not_met(plan: Launch, error: Exception) -> DiagnosticError:
    reason = str(error).partition("\n")[0]
    message = f"{plan.nodes} machines did not meet at {plan.rendezvous}: {reason}"
    hint = "give all of them the same --rendezvous, a host among them and a port that is open"
    return DiagnosticError(Diagnostic("E724", message, hint=hint))


def _said(folder: Path, local_rank: int) -> str:
    """The last lines that a process wrote, where they were not shown."""
    for path in folder.glob(f"**/attempt_*/{local_rank}/stderr.log"):
        return "\n".join(path.read_text("utf-8", "replace").splitlines()[-_LAST_LINES:])
    return ""


@contextmanager
def _quiet_torch() -> Iterator[None]:
    """torch's launcher logs each end of a process; what is to be known is in the verdict."""
    logger, silent = logging.getLogger("torch.distributed.elastic"), logging.NullHandler()
    before = logger.propagate
    logger.addHandler(silent)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(silent)
        logger.propagate = before


@contextmanager
def _environment(folder: Path, processes: int) -> Iterator[None]:
    """What the processes inherit."""
    threads = str(max(1, cores() // processes))
    given: Mapping[str, str] = {
        REPORTS: str(folder),
        PARENT: str(os.getpid()),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or threads,
    }
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Overseer:
    """Passes signals on to the processes, and kills those that outlive a failed one.

    `asked` is the first signal that came.
    """

    def __init__(self, folder: Path) -> None:
        self.asked: int | None = None
        self._folder = folder
        self._interrupts = 0
        self._over = threading.Event()
        self._before: dict[int, Any] = {}
        self._thread = threading.Thread(target=self._watch, daemon=True, name="overseer")

    def __enter__(self) -> _Overseer:
        for name in _PASSED_ON:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._pass_on)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        """A closed terminal is a wish to end, which saves; a second Ctrl-C does not wait."""
        sent = signal.SIGTERM if number == getattr(signal, "SIGHUP", None) else number
        self._interrupts += number == signal.SIGINT
        first = self.asked is None
        self.asked = self.asked or sent
        processes = _children()
        if not processes and first:  # still waiting for other machines
            raise SystemExit(STOPPED if sent == signal.SIGINT else 128 + sent)
        for process in processes:
            try:
                process.send_signal(sent)
            except psutil.NoSuchProcess:
                continue

    def _watch(self) -> None:
        """When one has ended before its time the others have some seconds, whatever they do."""
        seen: set[int] = set()
        until = math.inf
        while not self._over.wait(0.25):
            running = {p.pid: p for p in _children()}
            seen |= running.keys()
            until = min(until, time.monotonic() + self._left(seen - running.keys()))
            if time.monotonic() > until:
                _kill(list(running))

    def _left(self, gone: set[int]) -> float:
        """How long the others have, now that these have gone."""
        if self._interrupts > 1:
            return _GRACE
        if not gone:
            return math.inf
        done = {e.pid: e.code for e in read_endings(self._folder).values() if e.kind == "done"}
        if not gone <= done.keys():
            return _GRACE
        return _GRACE_STOPPED if any(done[pid] for pid in gone) else math.inf


def _children() -> list[psutil.Process]:
    """The processes that this one has started and that run."""
    found = []
    for process in psutil.Process().children():
        try:
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def _kill(pids: Sequence[int]) -> None:
    """Kill processes, each with its helpers: torch has made it the leader of their group."""
    for pid in pids:
        try:
            os.killpg(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
