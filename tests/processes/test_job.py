"""A task of a submitit job: its variables, and what it does before its time is over."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from sslang.processes import environment, job
from sslang.processes.job import Job, place_variables


@dataclass
class Env:
    """submitit's JobEnvironment: the names that are read of it."""

    global_rank: int = 5
    num_tasks: int = 8
    local_rank: int = 1
    num_nodes: int = 2
    job_id: str = "4242_3"
    hostnames: tuple[str, ...] = ("a1", "a2")


@dataclass
class Delayed:
    """submitit's DelayedSubmission."""

    function: Job


@pytest.fixture
def submitit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module with the two names of submitit that a job uses, so that it need not be there."""
    module, helpers = ModuleType("submitit"), ModuleType("submitit.helpers")
    one = Env(global_rank=0, num_tasks=1, local_rank=0, num_nodes=1)
    module.JobEnvironment = lambda: one  # type: ignore[attr-defined]
    helpers.DelayedSubmission = Delayed  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "submitit", module)
    monkeypatch.setitem(sys.modules, "submitit.helpers", helpers)


def test_a_task_is_a_process_of_the_run() -> None:
    place = environment.find(place_variables(Env()))
    assert (place.rank, place.count, place.local_rank, place.local_count) == (5, 8, 1, 4)
    assert place.address == "a1"
    assert environment.find(place_variables(Env(global_rank=0, local_rank=0))).port == place.port
    assert environment.find(place_variables(Env(num_nodes=1))).address == "127.0.0.1"


def script(folder: Path, text: str) -> str:
    """A Python in whose place a script runs, whatever its arguments are."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{text}")
    path.chmod(0o755)
    return str(path)


RUN = """\
import os, pathlib, signal, sys, time
folder = pathlib.Path({folder!r})
def save(*_):
    time.sleep(0.3)
    (folder / "saved").write_text(" ".join(sys.argv[1:]))
    sys.exit(75)
signal.signal(signal.SIGUSR1, save)
os.kill(os.getpid(), signal.SIGUSR2)  # of which a run knows nothing
(folder / "running").touch()
time.sleep(60)
"""


@pytest.mark.usefixtures("submitit")
def test_a_job_saves_before_it_is_requeued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job.sys, "executable", script(tmp_path, RUN.format(folder=str(tmp_path))))
    monkeypatch.setattr(job, "_UNTIL_REQUEUED", 0.0)
    task = Job(("specs/a.ssl", "--seed", "3"))
    requeued: list[Delayed] = []

    def notice(number: int, frame: object) -> None:  # as submitit's own handler
        requeued.append(task.checkpoint())

    def send() -> None:
        while not (tmp_path / "running").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGUSR2)

    before = signal.signal(signal.SIGUSR2, notice)
    try:
        threading.Thread(target=send).start()
        with pytest.raises(RuntimeError, match="exit status 75"):
            task()
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert (tmp_path / "saved").read_text() == "-m sslang run specs/a.ssl --seed 3"
    assert [delayed.function.arguments for delayed in requeued] == [task.arguments]


@pytest.mark.usefixtures("submitit")
@pytest.mark.parametrize("code", [0, 1])
def test_a_run_that_fails_is_a_job_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(job.sys, "executable", script(tmp_path, f"raise SystemExit({code})"))
    if code:
        with pytest.raises(RuntimeError, match="exit status 1"):
            Job(("a.ssl",))()
    else:
        assert Job(("a.ssl",))() == 0
