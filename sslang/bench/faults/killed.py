"""Processes that are killed or asked to stop."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable

import psutil

from sslang.bench.faults.bench import Bench, Row, resumed
from sslang.bench.faults.trial import STEPS, Process, UnexpectedError, committed, outcome, whole

_TWO = ("--processes", "2")
_SHARED = (*_TWO, "--shard")


def kill_run(bench: Bench, number: int = 0) -> Row:
    """At a random moment after a random step."""
    trial = bench.trial(f"kill-{number}")
    process = trial.begin()
    step = bench.draws.randrange(1, STEPS - 15)
    folder = process.at_step(step)
    time.sleep(bench.draws.uniform(0, 0.05))
    held = committed(folder)
    ended = process.kill(signal.SIGKILL)
    held = max(held, committed(folder))
    return resumed(bench, trial, folder, "kill -9 of the run", ended, held, f"at step {held}")


def kill_in_save(bench: Bench, number: int = 0) -> Row:
    trial = bench.trial(f"kill-save-{number}")
    process = trial.begin()
    folder = process.at_step(bench.draws.randrange(2, STEPS - 15))
    written = folder / "checkpoints"
    process.until("half a checkpoint", lambda: any(written.glob(".step-*.pt.tmp")))
    ended = process.kill(signal.SIGKILL)
    half = any(written.glob(".step-*.tmp"))
    held = committed(folder)
    text = f"{'half a file of' if half else 'just after'} the next checkpoint was there"
    return resumed(bench, trial, folder, "kill -9 during a save", ended, held, text)


def kill_worker(bench: Bench) -> Row:
    """One of two loader processes: the run starts them anew and goes on."""
    trial = bench.trial("kill-worker", bench.images(), "--workers", "2")
    process = trial.begin()
    folder = process.at_step(5)
    held = committed(folder)
    workers_of(process)[0].kill()
    ended = process.end()
    if ended.code != 0:
        raise UnexpectedError(f"the run failed: {ended.said[-300:]}")
    same = outcome(folder) == bench.undisturbed(*trial.arguments)
    happened = "the loader processes were started anew, and the run went on to its end"
    return Row("kill -9 of a loader worker", happened, str(ended.code),
               max(0, held - whole(folder)), same)  # fmt: skip


def kill_workers_twice(bench: Bench) -> Row:
    trial = bench.trial("kill-workers", bench.images(), "--workers", "2")
    process = trial.begin()
    folder = process.at_step(3)
    killed = {worker.pid for worker in workers_of(process)}
    for worker in workers_of(process):
        worker.kill()
    process.until("new workers", lambda: any(w.pid not in killed for w in workers_of(process)))
    for worker in workers_of(process):
        worker.kill()
    ended = process.end()
    held = committed(folder)
    return resumed(bench, trial, folder, "kill -9 of loader workers, twice", ended, held,
                   f"stopped with {ended.codes()}")  # fmt: skip


def workers_of(process: Process) -> list[psutil.Process]:
    """Its loader processes."""
    children = psutil.Process(process.pid).children()
    return [c for c in children if c.status() != psutil.STATUS_ZOMBIE]


def kill_rank(bench: Bench) -> Row:
    """The second of two processes."""
    trial = bench.trial("rank", *_TWO)
    process = trial.begin()
    folder = process.at_step(5)
    member = next(m for m in members_of(process) if m.environ().get("RANK") == "1")
    member.kill()
    ended = process.end()
    held = committed(folder)
    return resumed(bench, trial, folder, "kill -9 of one of two processes", ended, held,
                   f"the other stopped, {ended.codes()}", *_TWO)  # fmt: skip


def kill_between_parts(bench: Bench) -> Row:
    """The second of two processes that hold the nets together, while it writes its part."""
    trial = bench.trial("parts", *_SHARED)
    process = trial.begin()
    folder = process.at_step(5)
    member = next(m for m in members_of(process) if m.environ().get("RANK") == "1")
    written = folder / "checkpoints"
    process.until("half a part", lambda: any(written.glob(".step-*.part-2-of-2.pt.tmp")))
    member.kill()
    ended = process.end()
    held = committed(folder)
    fault = "kill -9 of one of two processes with `--shard`, in a save"
    return resumed(bench, trial, folder, fault, ended, held,
                   f"the other stopped, {ended.codes()}", *_SHARED)  # fmt: skip


def kill_launcher(bench: Bench) -> Row:
    """What it had started ends with it."""
    trial = bench.trial("launcher", *_TWO)
    process = trial.begin()
    folder = process.at_step(5)
    members = members_of(process)
    ended = process.kill(signal.SIGKILL)
    _, alive = psutil.wait_procs(members, timeout=60)
    if alive:
        for member in alive:
            member.kill()
        raise UnexpectedError(f"{len(alive)} processes outlived the launcher by a minute")
    held = committed(folder)
    return resumed(bench, trial, folder, "kill -9 of the launcher of two processes", ended, held,
                   "both ended with it", *_TWO)  # fmt: skip


def members_of(process: Process) -> list[psutil.Process]:
    """The processes that it has started to train."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if child.environ().get("RANK") and "run" in child.cmdline():
                found.append(child)
    return found


def asked(number: signal.Signals) -> Callable[[Bench], Row]:
    def stop(bench: Bench) -> Row:
        trial = bench.trial(number.name)
        process = trial.begin(save_every=60.0)
        process.at_step(0)
        log = process.folder() / "metrics.jsonl"
        process.until("a line of the log", lambda: '"step": 10' in log.read_text())
        ended = process.kill(number)
        folder = process.folder()
        held = committed(folder)
        text = f"finished its step, saved step {held}"
        return resumed(bench, trial, folder, number.name, ended, held, text)

    return stop
