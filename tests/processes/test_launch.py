"""Real processes: they find each other, stop when they are asked, and end when one dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

HERE = Path(__file__).parent
_PLACES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
ENV = {**{k: v for k, v in os.environ.items() if k not in _PLACES}, "PYTHONPATH": str(ROOT)}


def start(*command: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command], env=ENV | env, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


def launched(*arguments: str | Path, **env: str) -> subprocess.Popen[str]:
    return start(str(HERE / "starter.py"), *map(str, arguments), **env)


def pids(folder: Path, count: int = 2) -> list[int]:
    """The processes that do `steps`, when all are at it."""
    for _ in range(600):
        found = sorted(folder.glob("*.pid"))
        if len(found) == count and all(path.read_text() for path in found):
            time.sleep(0.2)
            return [int(path.read_text()) for path in found]
        time.sleep(0.1)
    raise AssertionError("the processes have not started")


@pytest.fixture
def stepping(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Two processes that step until they are asked to stop."""
    process = launched(2, "steps", tmp_path)
    yield process
    if process.poll() is None:
        process.kill()
    assert process.stderr is not None
    process.stderr.close()


def test_collectives(tmp_path: Path) -> None:
    process = launched(4, "collectives", tmp_path, OMP_NUM_THREADS="")
    code, said = ended(process)
    assert code == 0, said
    threads = str(max(1, len(os.sched_getaffinity(0)) // 4))
    expected = {
        "rows": [[0, 1], [2, 3], [4, 5], [10, 11], [20, 21], [22, 23]],
        "flags": [False, False, False, True, False, False],
        "sums": [[[10, 10], [10, 10]], [6], 2],
        "largest": [3, 0],
        "first": {"of": 0},
        "threads": threads,
    }
    for rank in range(4):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == expected


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (signal.SIGTERM, 75),
        *(
            pytest.param(sent, code, marks=pytest.mark.slow)
            for sent, code in ((signal.SIGINT, 130), (signal.SIGUSR1, 75), (signal.SIGHUP, 75))
        ),
    ],
)
def test_signals_reach_all_and_exit_codes_come_through(
    stepping: subprocess.Popen[str], tmp_path: Path, sent: int, code: int
) -> None:
    pids(tmp_path)
    stepping.send_signal(sent)
    assert ended(stepping)[0] == code
    received = signal.SIGTERM if sent == signal.SIGHUP else sent
    assert [p.read_text() for p in tmp_path.glob("*.saved")] == [str(int(received))] * 2


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_process_ends_all(
    stepping: subprocess.Popen[str], tmp_path: Path, rank: int
) -> None:
    running = pids(tmp_path)
    began = time.monotonic()
    os.kill(running[rank], signal.SIGKILL)
    code, said = ended(stepping)
    assert time.monotonic() - began < 20
    assert code == 1
    assert said.startswith(f"error[E723]: process {rank} was killed by SIGKILL")
    assert "Traceback" not in said
    for pid in running:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all(stepping: subprocess.Popen[str], tmp_path: Path) -> None:
    os.kill(pids(tmp_path)[1], signal.SIGTERM)
    assert ended(stepping)[0] == 75


@pytest.mark.slow
def test_processes_save_when_their_launcher_is_killed(
    stepping: subprocess.Popen[str], tmp_path: Path
) -> None:
    running = pids(tmp_path)
    stepping.kill()
    for _ in range(200):
        if len(list(tmp_path.glob("*.saved"))) == 2:
            break
        time.sleep(0.1)
    assert len(list(tmp_path.glob("*.saved"))) == 2
    for pid in running:
        for _ in range(100):
            if not Path(f"/proc/{pid}").exists():
                break
            time.sleep(0.1)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize(
    ("task", "first_line", "also"),
    [
        ("refuse_last", "error[E605]: process 1: the images are gone", "look for them"),
        *(pytest.param(*case, marks=pytest.mark.slow) for case in (
            ("refuse_all", "error[E605]: the images are gone", ""),
            ("fail_last", "process 1: Traceback (most recent call last):", "ZeroDivisionError"),
            ("abort_last", "error[E723]: process 1 was killed by SIGABRT", "what the library said"),
        )),
    ],
)  # fmt: skip
def test_the_first_error_is_shown_once(
    tmp_path: Path, task: str, first_line: str, also: str
) -> None:
    code, said = ended(launched(2, task, tmp_path))
    assert code == 1
    assert said.splitlines()[0] == first_line
    assert also in said
    assert said.count("the images are gone") <= 1


@pytest.mark.slow
def test_a_process_deep_in_work_of_its_own_does_not_outlive_the_others(tmp_path: Path) -> None:
    process = launched(2, "alone", tmp_path)
    pids(tmp_path)
    began = time.monotonic()
    code, said = ended(process)
    assert time.monotonic() - began < 20
    assert code == 1
    assert said.startswith("error[E723]: process 1 was killed by SIGKILL")


@pytest.mark.slow
def test_two_launchers_make_one_run(tmp_path: Path) -> None:
    place = ("2", f"localhost:{free_port()}")
    launchers = [launched(2, "collectives", tmp_path, *place) for _ in range(2)]
    for launcher in launchers:
        code, said = ended(launcher)
        assert code == 0, said
    assert len(json.loads((tmp_path / "3.json").read_text())["rows"]) == 6


@pytest.mark.slow
def test_torchrun_starts_the_same_processes(tmp_path: Path) -> None:
    torchrun = ("-m", "torch.distributed.run", "--nproc-per-node", "2", str(HERE / "member.py"))
    code, said = ended(start(*torchrun, "collectives", str(tmp_path)))
    assert code == 0, said
    assert len(json.loads((tmp_path / "1.json").read_text())["rows"]) == 4
    code, said = ended(start(*torchrun, "refuse_last", str(tmp_path)))
    assert code == 1
    assert said.count("error[") == 1
    assert "error[E605]: process 1: the images are gone" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "codes", "shown"),
    [("collectives", {0}, 0), ("refuse_all", {1}, 1), ("refuse_last", {1}, 1)],
)
def test_srun_starts_the_same_processes(
    tmp_path: Path, task: str, codes: set[int], shown: int
) -> None:
    env = {"SLURM_JOB_ID": "1", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2", "SLURM_NODEID": "0",
           "SLURM_STEP_NUM_NODES": "1", "MASTER_PORT": str(free_port())}  # fmt: skip
    tasks = [
        start(str(HERE / "member.py"), task, str(tmp_path),
              **env, SLURM_PROCID=str(n), SLURM_LOCALID=str(n))
        for n in range(2)
    ]  # fmt: skip
    results = [ended(task) for task in tasks]
    assert {code for code, _ in results} == codes
    assert sum(said.count("error[") for _, said in results) == shown


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    assert isinstance(port, int)
    return port
