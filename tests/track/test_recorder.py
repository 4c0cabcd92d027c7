"""Runs end to end against an SQLite store, which one fixture makes once (it takes seconds)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.track import recorder, run_folder, store
from sslang.track.recorder import Recorder, sync
from sslang.track.run_folder import DataSet, Result, RunFolder
from sslang.track.sender import unsent

_ROOT = str(Path(recorder.__file__).parents[2])
_DEAD = "http://127.0.0.1:9"


@pytest.fixture(autouse=True, scope="module")
def _settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite store with its tables made."""
    folder = tmp_path_factory.mktemp("database")
    first = run_folder.create(folder / "runs", "first")
    Recorder(first, tracking=_store(folder), experiment="first", params={}, tags={}).close(
        "FINISHED"
    )
    return folder / "mlflow.db"


@pytest.fixture
def root(tmp_path: Path, database: Path) -> Path:
    shutil.copy(database, tmp_path / "mlflow.db")
    return tmp_path / "runs"


def _store(folder: Path) -> str:
    return f"sqlite:///{folder / 'mlflow.db'}"


def _recorder(
    folder: RunFolder, tracking: str | None, warnings: list[Diagnostic] | None = None
) -> Recorder:
    heard: list[Diagnostic] = [] if warnings is None else warnings
    return Recorder(
        folder,
        tracking=tracking,
        experiment="experiment",
        params={"optimizer": {"lr": 0.1}},
        tags={"method": "SimCLR"},
        warn=heard.append,
    )


def _client(folder: RunFolder) -> tuple[Any, str]:
    from mlflow import MlflowClient

    tracking = folder.record().tracking
    assert tracking is not None
    return MlflowClient(tracking_uri=tracking.uri), tracking.run_id


def _history(folder: RunFolder, name: str) -> list[tuple[int, float]]:
    client, run_id = _client(folder)
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]


def test_what_mlflow_has_after_a_run(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    folder = run_folder.create(root, "simclr")
    folder.spec_path.write_text("method")
    outside = tmp_path / "graph.png"
    outside.write_bytes(b"picture")
    with _recorder(folder, _store(tmp_path)) as run:
        for step in range(3):
            run.log(step, {"train/loss": 1.0 - step})
        assert run.artifact(outside).read_bytes() == b"picture"
        (folder.artifacts / "encoder").mkdir()
        (folder.artifacts / "encoder" / "config.json").write_text("{}")
        run.artifact(folder.artifacts / "encoder")
    client, run_id = _client(folder)
    found = client.get_run(run_id)
    assert _history(folder, "train/loss") == [(0, 1.0), (1, 0.0), (2, -1.0)]
    assert found.data.params == {"optimizer.lr": "0.1"}
    assert found.data.tags["method"] == "SimCLR"
    assert found.info.status == folder.record().status == "FINISHED"
    assert found.info.run_name == folder.title
    assert {item.path for item in client.list_artifacts(run_id)} == {
        "graph.png",
        "spec.ssl",
        "encoder",
    }
    assert list(elsewhere.iterdir()) == []
    assert (tmp_path / "mlruns").is_dir()
    assert unsent(folder) == (0, 0)


def test_mlflow_shows_what_sets_a_run_apart(root: Path, tmp_path: Path) -> None:
    folder = run_folder.create(root, "simclr", "specs/simclr.ssl")
    inputs = (DataSet("embedded", "a" * 32, "embedded", "training", 3000, 10),)
    folder.update(label="simclr temperature=0.1 #1", description="# SimCLR", inputs=inputs)
    slider = folder.images / "map"
    slider.mkdir(parents=True)
    with _recorder(folder, _store(tmp_path)) as run:
        for step in (0, 25):
            Image.new("RGB", (4, 4)).save(slider / f"{step:08}.png")
            run.artifact(slider / f"{step:08}.png")
        result = Result("eval/knn_top1", 0.5, 0.01, 0.3, 0.2, 0.02, pixels=0.4)
        folder.update(results=(result,), description="# SimCLR, done")
    client, run_id = _client(folder)
    found = client.get_run(run_id)
    assert found.info.run_name == "simclr temperature=0.1 #1"
    tags = found.data.tags
    assert tags["mlflow.source.name"] == "specs/simclr.ssl"
    assert tags["mlflow.note.content"] == "# SimCLR, done"
    assert tags["eval/knn_top1"] == "0.500 ± 0.010"
    assert tags["eval/knn_top1 initialised"] == "0.300"
    assert tags["eval/knn_top1 gain"] == "+0.200 ± 0.020"
    assert tags["eval/knn_top1 raw pixels"] == "0.400"
    (given,) = found.inputs.dataset_inputs
    assert (given.dataset.name, given.dataset.digest) == ("embedded", "a" * 32)
    assert [tag.value for tag in given.tags] == ["training"]
    shown = {item.path.rpartition("/")[2].split("+")[2]
             for item in client.list_artifacts(run_id, "images")}  # fmt: skip
    assert shown == {"0", "25"}, "a slider over the steps"
    client.set_tag(run_id, "mlflow.note.content", "what I saw")
    folder.update(description="# SimCLR, once more", tags={"method": "SimCLR v2"})
    (folder.artifacts / "more.txt").write_text("so that there is something to send")
    assert sync(folder).reason == ""
    tags = client.get_run(run_id).data.tags
    assert tags["mlflow.note.content"] == "what I saw", "a person's words stay"
    assert tags["method"] == "SimCLR v2"
    assert len(client.get_run(run_id).inputs.dataset_inputs) == 1


def test_off(root: Path) -> None:
    for tracking in (None, "off"):
        folder = run_folder.create(root, "simclr")
        with _recorder(folder, tracking) as run:
            run.log(0, {"train/loss": 1.0})
        assert folder.record().tracking is None
        assert folder.record().status == "FINISHED"
        with pytest.raises(DiagnosticError, match="E719"):
            sync(folder)


def test_a_dead_server_and_a_later_sync(root: Path, tmp_path: Path) -> None:
    folder = run_folder.create(root, "simclr")
    warnings: list[Diagnostic] = []
    run = _recorder(folder, _DEAD, warnings)
    deadline = time.monotonic() + 60
    while not warnings and time.monotonic() < deadline:
        begun = time.monotonic()
        run.log(len(folder.metrics()), {"train/loss": 1.0})
        assert time.monotonic() - begun < 1.0  # a busy machine; a call to the server takes longer
        time.sleep(0.1)
    begun = time.monotonic()
    run.close("FINISHED")
    assert time.monotonic() - begun < recorder.GRACE_WHEN_DEAD_SECONDS + 5
    assert [warning.code for warning in warnings] == ["E717", "E718"]
    assert "Connection refused" in warnings[0].message
    assert str(folder.path) in warnings[1].hint

    result = sync(folder)
    assert result.unsent_lines == len(folder.metrics())
    assert "refused" in result.reason
    assert sync(folder, tracking=_store(tmp_path)) == recorder.SyncResult(0, 0)
    assert len(_history(folder, "train/loss")) == len(folder.metrics())
    assert sync(folder) == recorder.SyncResult(0, 0)


def test_a_resumed_run_is_not_sent_twice(root: Path, tmp_path: Path) -> None:
    folder = run_folder.create(root, "simclr")
    with _recorder(folder, _store(tmp_path)) as run:
        for step in range(10):
            run.log(step, {"train/loss": 1.0})
    first = _client(folder)[1]
    folder.truncate_metrics(5)
    with _recorder(folder, _store(tmp_path)) as run:
        for step in range(6, 12):
            run.log(step, {"train/loss": 2.0})
        run.log(11, {"eval/knn_top1": 0.5})
    assert _client(folder)[1] == first
    assert [step for step, _ in _history(folder, "train/loss")] == list(range(12))
    assert _history(folder, "eval/knn_top1") == [(11, 0.5)]
    client, run_id = _client(folder)
    assert client.get_run(run_id).info.status == "FINISHED"


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, "KILLED"), (ValueError, "FAILED")]
)
def test_exceptions_end_the_run(root: Path, error: type[BaseException], status: str) -> None:
    folder = run_folder.create(root, "simclr")
    with pytest.raises(error), _recorder(folder, None):
        raise error
    assert folder.record().status == status


def test_one_recorder_a_folder(root: Path) -> None:
    folder = run_folder.create(root, "simclr")
    with _recorder(folder, None), pytest.raises(DiagnosticError, match="E714"):
        _recorder(folder, None)
    with _recorder(folder, None), pytest.raises(DiagnosticError, match="E719"):
        sync(folder)


_TRAIN = """
    import sys, time
    from pathlib import Path
    from sslang.track import run_folder
    from sslang.track.recorder import Recorder
    folder = run_folder.open_run(Path(sys.argv[1]))
    run = Recorder(folder, tracking=sys.argv[2], experiment="e", params={}, tags={})
    for step in range(10**6):
        run.log(step, {"train/loss": 1.0})
        time.sleep(0.01)
"""


def test_after_a_kill_mlflow_says_killed_and_has_every_line(root: Path, tmp_path: Path) -> None:
    folder = run_folder.create(root, "simclr")
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_TRAIN), str(folder.path), _store(tmp_path)],
        env={**os.environ, "PYTHONPATH": _ROOT},
    )
    try:
        _wait(lambda: unsent(folder)[0] < len(folder.metrics()))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert folder.status() == "KILLED"
    _wait(lambda: _sent_status(folder) == "KILLED")
    assert len(_history(folder, "train/loss")) == len(folder.metrics())
    client, run_id = _client(folder)
    assert client.get_run(run_id).info.status == "KILLED"


def _sent_status(folder: RunFolder) -> str:
    tracking = folder.record().tracking
    return "" if tracking is None else tracking.sent_status


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "nothing happened for a minute"
        time.sleep(0.1)


def test_neither_training_process_nor_sender_load_what_they_need_not() -> None:
    code = (
        "import sys, sslang.track.recorder, sslang.track.sender, sslang.track.mlflow_client\n"
        "assert not {'torch', 'mlflow', 'matplotlib', 'PIL'} & set(sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": _ROOT}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.slow
def test_several_processes_make_one_store(tmp_path: Path) -> None:
    folders = [run_folder.create(tmp_path / "runs", f"run{n}") for n in range(3)]
    uri = store.tracking_uri(tmp_path / "runs")
    runs = [_recorder(folder, uri) for folder in folders]
    for run in runs:
        run.log(0, {"train/loss": 1.0})
    for run in runs:
        run.close("FINISHED")
    assert [_history(folder, "train/loss") for folder in folders] == [[(0, 1.0)]] * 3


@pytest.mark.slow
def test_a_server_that_dies_and_comes_back(tmp_path: Path) -> None:
    port = "58731"
    command = [*(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", port)]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "server")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True)

    def stop(server: subprocess.Popen[bytes]) -> None:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()

    folder = run_folder.create(tmp_path / "runs", "simclr")
    warnings: list[Diagnostic] = []
    server = start()
    try:
        run = _recorder(folder, f"http://127.0.0.1:{port}", warnings)
        run.log(0, {"train/loss": 1.0})
        _wait(lambda: unsent(folder) == (0, 0))
        stop(server)
        (folder.artifacts / "graph.png").write_bytes(b"x")
        run.log(1, {"train/loss": 2.0})
        deadline = time.monotonic() + 60
        while not any(w.code == "E717" for w in warnings) and time.monotonic() < deadline:
            run.log(2, {"other": 1.0})
            time.sleep(0.2)
        run.close("FINISHED")
        assert warnings[-1].code == "E718"
    finally:
        stop(server)
    server = start()
    try:
        deadline = time.monotonic() + 60
        while sync(folder).reason and time.monotonic() < deadline:
            time.sleep(1)
        assert unsent(folder) == (0, 0)
        assert _history(folder, "train/loss") == [(0, 1.0), (1, 2.0)]
        client, run_id = _client(folder)
        assert client.get_run(run_id).info.status == "FINISHED"
        assert [item.path for item in client.list_artifacts(run_id)] == ["graph.png"]
    finally:
        stop(server)


def test_a_resumed_run_forgets_what_was_logged_after_its_checkpoint(tmp_path: Path) -> None:
    folder = run_folder.create(tmp_path / "runs", "simclr")
    with _recorder(folder, None) as run:
        for step in (5, 10, 15):
            run.log(step, {"train/loss": 1.0})
    with Recorder(folder, tracking=None, experiment="e", params={}, tags={}, resumed=10) as run:
        run.log(15, {"train/loss": 2.0})
    assert [(row.step, row.metrics["train/loss"]) for row in folder.metrics()] == [
        (5, 1.0), (10, 1.0), (15, 2.0),
    ]  # fmt: skip


def test_the_log_of_a_live_run_is_not_touched_by_a_second_one(tmp_path: Path) -> None:
    """Not even where it was begun in the same moment, and both had looked for another."""
    folder = run_folder.create(tmp_path / "runs", "simclr")
    with _recorder(folder, None) as run:
        run.log(5, {"train/loss": 1.0})
        with pytest.raises(DiagnosticError, match="E714"):
            Recorder(folder, tracking=None, experiment="e", params={}, tags={}, resumed=0)
        assert [row.step for row in folder.metrics()] == [5]
        assert folder.record().status == "RUNNING"


def test_a_full_disk_at_the_end_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error that ended the run is the one to be told; the record shows a run that has died."""
    folder, warnings = run_folder.create(tmp_path / "runs", "simclr"), list[Diagnostic]()
    run = _recorder(folder, None, warnings)

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run_folder, "write_atomic", full)
        run.close("FAILED", exit_code=1)
    assert [w.code for w in warnings] == ["E716"]
    assert folder.record().status == "RUNNING"
    assert folder.status() == "KILLED"
