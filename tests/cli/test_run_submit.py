"""`sslang submit`: what is checked before anything is queued, and what submitit is asked for.

Where submitit is not installed a module of the same names stands in its place; with it, a real
job runs on this machine.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sslang.cli import submit
from sslang.cli.main import main
from tests.conftest import ROOT, TINY

SIMCLR = str(ROOT / "specs/simclr.ssl")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["submit", *arguments])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What an executor in the place of submitit's is given."""
    found: dict[str, Any] = {}

    class Executor:
        def __init__(self, folder: Path, cluster: str, **options: Any) -> None:
            found["made"] = {"folder": folder, "cluster": cluster, **options}

        def update_parameters(self, **parameters: Any) -> None:
            found["parameters"] = parameters
            if parameters.get("slurm_partition") == "nowhere":
                raise RuntimeError("sbatch: error: invalid partition specified: nowhere")

        def submit(self, job: Any) -> SimpleNamespace:
            found["arguments"] = job.arguments
            return SimpleNamespace(job_id="42", paths=SimpleNamespace(stdout="logs/42.out"))

    module = ModuleType("submitit")
    module.AutoExecutor = Executor  # type: ignore[attr-defined]
    module.__spec__ = ModuleSpec("submitit", None)
    monkeypatch.setitem(sys.modules, "submitit", module)
    return found


def test_a_job_has_a_task_for_each_gpu(asked: dict[str, Any]) -> None:
    result = call("--nodes", "2", "--gpus", "8", "--time", "2d", "--partition", "gpu", "--memory",
                  "64", "--slurm", "qos=long", "--json", SIMCLR, "batch=64", "--seed", "3", "-q",
                  "--resume")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"job": "42", "log": "logs/42.out"}
    assert asked["arguments"] == (SIMCLR, "batch=64", "--seed", "3", "-q", "--resume")
    assert asked["made"]["slurm_max_num_timeout"] == 100
    expected = {"name": "simclr", "timeout_min": 2880, "nodes": 2, "tasks_per_node": 8,
                "gpus_per_node": 8, "mem_gb": 64, "slurm_partition": "gpu",
                "slurm_signal_delay_s": 120,
                "slurm_additional_parameters": {"requeue": True, "qos": "long"}}  # fmt: skip
    assert expected.items() <= asked["parameters"].items()


def test_processes_without_gpus(asked: dict[str, Any]) -> None:
    assert call("--processes", "4", SIMCLR).exit_code == 0
    assert asked["parameters"]["tasks_per_node"] == 4
    assert call(SIMCLR).exit_code == 0
    assert asked["parameters"]["tasks_per_node"] == 1


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90m", 90), ("12h", 720), ("2d", 2880), ("1-12:00", 2160), ("04:30:00", 270)],
)
def test_times(asked: dict[str, Any], text: str, minutes: int) -> None:
    assert call("--time", text, SIMCLR).exit_code == 0
    assert asked["parameters"]["timeout_min"] == minutes


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((SIMCLR, "temprature=0.1"), 1, "`temperature`"),
        ((SIMCLR, "--recpe", "laptop"), 2, "--recipe"),
        ((), 2, "name a spec"),
        ((SIMCLR, "--rendezvous", "a:1"), 2, "the job says"),
        ((SIMCLR, "--time", "soon"), 2, "12h"),
        ((SIMCLR, "--time", "0m"), 2, "less than a minute"),
        ((SIMCLR, "--slurm", "qos"), 2, "name=value"),
        ((SIMCLR, "--partition", "nowhere"), 1, "E728"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_queued(
    asked: dict[str, Any], arguments: tuple[str, ...], code: int, says: str
) -> None:
    result = call(*arguments)
    assert result.exit_code == code
    assert says in result.output
    assert "arguments" not in asked


def test_without_submitit_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submit.importlib.util, "find_spec", lambda name: None)
    result = call(SIMCLR)
    assert result.exit_code == 1
    assert "E725" in result.output
    assert "sslang[slurm]" in result.output


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs submitit")
def test_a_job_of_two_tasks_on_this_machine(tmp_path: Path) -> None:
    """With submitit's local executor."""
    out = tmp_path / "runs"
    result = call("--cluster", "local", "--processes", "2", "--logs", str(tmp_path / "jobs"),
                  "--json", SIMCLR, *TINY["simclr"], "--out", str(out), "--tracking", "off",
                  "--workers", "0", "--device", "cpu")  # fmt: skip
    assert result.exit_code == 0, result.output
    log = Path(json.loads(result.stdout)["log"])
    for _ in range(1200):
        if log.exists() and "Exiting after successful completion" in log.read_text():
            break
        time.sleep(0.1)
    assert "knn_top1" in log.read_text()
    assert len(list(out.glob("simclr/*"))) == 1
