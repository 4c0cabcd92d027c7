from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from sslang.diagnostics import DiagnosticError
from sslang.track import run_folder
from sslang.track.files import try_lock
from sslang.track.run_folder import Tracking


def test_layout(tmp_path: Path) -> None:
    run = run_folder.create(tmp_path / "runs", "simclr")
    assert run.path.parent == tmp_path / "runs" / "simclr"
    assert run.root == tmp_path / "runs"
    assert run.checkpoints.is_dir()
    assert run.artifacts.is_dir()
    assert run.title == f"simclr/{run.path.name}"
    assert json.loads((run.path / "run.json").read_text())["status"] == "RUNNING"
    assert run_folder.open_run(run.path) == run


def test_the_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    run = run_folder.create(tmp_path, "simclr")
    tracking = Tracking(uri="sqlite:///x.db", experiment="e", sent_artifacts={"a": "1"})
    written = run.update(
        method="SimCLR",
        overrides=("batch=64", "dim=32"),
        versions={"torch": "2"},
        git_dirty=True,
        tracking=tracking,
    )
    assert run.record() == written
    assert run.record().overrides == ("batch=64", "dim=32")
    with pytest.raises(TypeError):
        run.update(mehtod="SimCLR")


def test_updates_from_several_threads_lose_nothing(tmp_path: Path) -> None:
    run = run_folder.create(tmp_path, "simclr")
    fields = ("method", "recipe", "device", "dataset", "spec_hash")

    def update(name: str) -> None:
        for number in range(10):
            run.update(**{name: str(number)})

    threads = [threading.Thread(target=update, args=(name,)) for name in fields]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(getattr(run.record(), name) == "9" for name in fields)


def test_runs_of_one_second_have_folders_of_their_own(tmp_path: Path) -> None:
    runs = [run_folder.create(tmp_path, "simclr") for _ in range(12)]
    assert len({run.path for run in runs}) == 12
    assert run_folder.list_runs(tmp_path) == runs
    assert run_folder.latest(tmp_path) == runs[-1]


def test_no_runs(tmp_path: Path) -> None:
    assert run_folder.list_runs(tmp_path / "absent") == []
    assert run_folder.latest(tmp_path) is None


def test_a_dead_process_leaves_a_killed_run(tmp_path: Path) -> None:
    run = run_folder.create(tmp_path, "simclr")
    descriptor = try_lock(run.live_lock)
    assert descriptor is not None
    assert run.is_live()
    assert run.status() == "RUNNING"
    os.close(descriptor)
    assert not run.is_live()
    assert run.status() == "KILLED"
    run.update(status="FINISHED")
    assert run.status() == "FINISHED"


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 200, "new\nline"])
def test_names_that_are_no_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(DiagnosticError, match="E714"):
        run_folder.create(tmp_path, name)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DiagnosticError, match="E714"):
        run_folder.create(tmp_path / "file", "simclr")
    (tmp_path / "simclr").write_text("")
    with pytest.raises(DiagnosticError, match="E714"):
        run_folder.create(tmp_path, "simclr")


@pytest.mark.parametrize("content", [None, "", "[]", '{"name": "x"}', '{"unknown": 1}'])
def test_not_a_run(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(DiagnosticError, match="E715"):
        run_folder.open_run(tmp_path)
