"""`sslang run` on several processes: what is refused, what is started, what comes back."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sslang.cli.main import main
from sslang.diagnostics import Diagnostic
from sslang.processes import launch
from sslang.processes.launch import Launch
from sslang.processes.report import Verdict
from sslang.train.learner import Learner
from tests.conftest import ROOT, TINY

SIMCLR = str(ROOT / "specs/simclr.ssl")
CPU = ("--device", "cpu", "--tracking", "off", "--workers", "0")
STEPS_ARE_SHARED = "processes" in inspect.signature(Learner.__init__).parameters


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["run", SIMCLR, *TINY["simclr"], *CPU, *arguments])


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """What would have been launched."""
    found: list[Launch] = []

    def note(plan: Launch) -> Verdict:
        found.append(plan)
        return Verdict(75)

    monkeypatch.setattr(launch, "launch", note)
    return found


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--processes", "2", "--nodes", "2"), "--rendezvous"),
        (("--rendezvous", "here:1"), "--processes"),
        (("--processes", "0"), "--processes"),
        (("--micro-batch", "0"), "'0'"),
        (("--micro-batch", "some"), "`auto`"),
        (("--shard",), "--processes"),
    ],
)
def test_what_does_not_fit_together_is_a_usage_error(arguments: tuple[str, ...], says: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_the_processes_get_the_same_command(launched: list[Launch]) -> None:
    result = call("--processes", "2", "--seed", "3", "-v")
    assert result.exit_code == 75, result.output
    (plan,) = launched
    given = (SIMCLR, *TINY["simclr"], *CPU, "--processes", "2", "--seed", "3", "-v")
    assert plan.command == ("-m", "sslang", "run", *given)
    assert (plan.processes, plan.nodes, plan.rendezvous, plan.keep_output) == (2, 1, "", True)


def test_several_machines(launched: list[Launch]) -> None:
    assert call("--processes", "1", "--nodes", "3", "--rendezvous", "a:29400").exit_code == 75
    assert (launched[0].processes, launched[0].nodes) == (1, 3)
    assert launched[0].rendezvous == "a:29400"


def test_what_is_wrong_is_said_before_anything_is_started(
    launched: list[Launch], tmp_path: Path
) -> None:
    wrong = call("--processes", "2", "temprature=0.1")
    assert wrong.exit_code == 1
    assert wrong.output.count("error[") == 1
    nothing = call("--processes", "2", "--resume", "--out", str(tmp_path))
    assert nothing.exit_code == 1
    assert "E701" in nothing.output
    assert launched == []


def test_a_verdict_is_printed_as_text_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    died = Verdict(1, (Diagnostic("E723", "process 1 was killed by SIGKILL"),), "its last words")
    monkeypatch.setattr(launch, "launch", lambda plan: died)
    text = call("--processes", "2")
    assert text.exit_code == 1
    assert "error[E723]: process 1 was killed by SIGKILL\nits last words" in text.stderr
    told = json.loads(call("--processes", "2", "--json").stdout)
    assert [d["code"] for d in told["diagnostics"]] == ["E723"]


def test_processes_are_not_started_by_each_of_several(
    launched: list[Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0")):
        monkeypatch.setenv(name, value)
    result = call("--processes", "2")
    assert (result.exit_code, launched) == (1, [])
    assert "E722" in result.output


def test_contradictory_variables_are_a_diagnostic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    result = call()
    assert result.exit_code == 1
    assert "error[E722]: WORLD_SIZE is set, and RANK is not" in result.output


@pytest.mark.parametrize("name", ["run", "submit"])
def test_help_imports_no_torch(name: str) -> None:
    code = (
        "import sys\nfrom sslang.cli.main import main\n"
        f"try:\n    main([{name!r}, '--help'])\nexcept SystemExit as end:\n"
        "    assert end.code == 0\n"
        "assert not {'torch', 'numpy', 'pydantic', 'psutil', 'submitit'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "--processes" in done.stdout


def started(out: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command as a user starts it."""
    command = ("-m", "sslang", "run", SIMCLR, *TINY["simclr"], *CPU, "--out", str(out), *arguments)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *command], cwd=out, env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip


def steps_of(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for path in out.glob("*/*/metrics.jsonl")
            for line in path.read_text().splitlines()]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not STEPS_ARE_SHARED, reason="Learner computes on one process alone")
def test_a_run_of_two_processes(tmp_path: Path) -> None:
    process = started(
        tmp_path, "--recipe", "laptop", "length=5 steps", "--processes", "2", "--json"
    )
    said, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    told = json.loads(said)  # once
    assert told["finished"] is True
    assert len(list(tmp_path.glob("simclr/*"))) == 1


@pytest.mark.slow
@pytest.mark.skipif(not STEPS_ARE_SHARED, reason="Learner computes on one process alone")
def test_two_processes_are_stopped_and_one_goes_on(tmp_path: Path) -> None:
    process = started(tmp_path, "length=400 steps", "--processes", "2")
    for _ in range(1200):
        if any(row["step"] for row in steps_of(tmp_path)) or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 75, errors
    assert errors.count("stopped; all is saved") == 1
    (folder,) = tmp_path.glob("simclr/*")
    before = max(int(str(row["step"])) for row in steps_of(tmp_path))
    again = started(tmp_path, "length=400 steps", "--resume", str(folder), "--json")
    said, errors = again.communicate(timeout=250)
    assert again.returncode == 0, errors
    assert json.loads(said)["folder"] == str(folder)
    assert max(int(str(row["step"])) for row in steps_of(tmp_path)) == 400 > before
