"""Which run the same command goes on with."""

from __future__ import annotations

from pathlib import Path

import pytest

from sslang.track import run_folder
from sslang.track.run_folder import RunFolder
from sslang.train import requeue


def begun(root: Path, **changes: object) -> RunFolder:
    folder = run_folder.create(root, "simclr")
    given = {"spec_hash": "abc", "status": "KILLED", "exit_code": 75, "job": requeue.job()}
    folder.update(**{**given, **changes})
    (folder.checkpoints / "step-00000003.pt").touch()
    return folder


def found(root: Path) -> RunFolder | None:
    return requeue.unfinished(root, "simclr", "abc", 0)


@pytest.fixture(autouse=True)
def outside_of_a_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_RESTART_COUNT", "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID"):
        monkeypatch.delenv(name, raising=False)


def test_nothing_began(tmp_path: Path) -> None:
    assert found(tmp_path / "runs") is None


def test_the_newest_that_asked_to_be_run_again(tmp_path: Path) -> None:
    begun(tmp_path)
    newest = begun(tmp_path)
    begun(tmp_path, seed=1)
    assert found(tmp_path) == newest


@pytest.mark.parametrize(
    "changes",
    [{"exit_code": 130}, {"exit_code": None}, {"status": "FINISHED", "exit_code": 0},
     {"spec_hash": "other"}, {"seed": 3}, {"name": "byol"}],
)  # fmt: skip
def test_a_run_that_did_not_ask(tmp_path: Path, changes: dict[str, object]) -> None:
    begun(tmp_path, **changes)
    assert found(tmp_path) is None


def test_an_older_run_is_not_gone_on_with_behind_a_newer_one(tmp_path: Path) -> None:
    """What has been finished since is not begun again from an old checkpoint."""
    begun(tmp_path)
    begun(tmp_path, status="FINISHED", exit_code=0)
    assert found(tmp_path) is None


def test_one_without_a_checkpoint_is_begun_anew(tmp_path: Path) -> None:
    folder = begun(tmp_path)
    (folder.checkpoints / "step-00000003.pt").unlink()
    assert found(tmp_path) is None


def test_a_requeued_job_finds_its_own_run_however_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    own = begun(tmp_path, exit_code=None, status="RUNNING")  # killed by the machine's fall
    begun(tmp_path, job="slurm 18")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    assert found(tmp_path) is not None and found(tmp_path) != own
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert found(tmp_path) == own
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    assert requeue.job() == "slurm 17_1"
    assert found(tmp_path) is None
