from __future__ import annotations

from pathlib import Path

import pytest

from sslang.track import run_folder, store
from sslang.track.run_folder import Tracking


@pytest.fixture(autouse=True)
def _no_mlflow_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)


def test_where_runs_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "runs"
    assert store.tracking_uri(root) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert store.tracking_uri(root) == "http://127.0.0.1:9"
    assert store.tracking_uri(root, "off") is None
    monkeypatch.chdir(tmp_path)
    assert store.tracking_uri(root, "sqlite:///a/b.db") == f"sqlite:///{tmp_path}/a/b.db"
    assert store.tracking_uri(root, "sqlite:////a/b.db") == "sqlite:////a/b.db"


def test_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert store.experiment_name("simclr") == "simclr"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    assert store.experiment_name("simclr") == "mine"


def test_params_are_flat_clean_and_short() -> None:
    flat = store.flat_params(
        {
            "optimizer": {"lr": {"base": 0.1}, "name": "sgd"},
            "a@b": 1,
            "a(b": 2,
            "long": "x" * 7000,
            "k" * 300: 1,
            "none": None,
        }
    )
    assert flat["optimizer.lr.base"] == "0.1"
    assert flat["optimizer.name"] == "sgd"
    assert flat["a_b"] == "1"
    assert flat["a_b_2"] == "2"
    assert len(flat["long"]) == 6000
    assert flat["long"].endswith("...")
    assert flat["k" * 250] == "1"
    assert flat["none"] == "None"


@pytest.mark.parametrize(
    ("name", "clean"),
    [("train/loss", "train/loss"), ("a=b,c%", "a_b_c_"), ("//x/../y/.", "x/y"), ("", "_")],
)
def test_clean_names(name: str, clean: str) -> None:
    assert store.clean_name(name) == clean


def test_mlflow_takes_clean_names() -> None:
    validation = pytest.importorskip("mlflow.utils.validation")
    for name in ("train/loss", "a@( [=%,b", "//x/../y/.", "", "é/ü", "..", "a" * 300, " a "):
        validation._validate_metric_name(store.clean_name(name))
        validation._validate_param_name(store.clean_name(name))


def test_the_ui_opens_the_store_of_the_last_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "runs"
    command = store.ui_command(root, port=5001)
    assert f"sqlite:///{tmp_path}/mlflow.db" in command
    assert command[:2] == ["env", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"]
    assert "--workers 1" in " ".join(command)
    assert store.ui_url(root, port=5001) == "http://127.0.0.1:5001"
    run = run_folder.create(root, "simclr")
    run.update(tracking=Tracking(uri="sqlite:////other.db", experiment="e"))
    assert "sqlite:////other.db" in store.ui_command(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://example.org")
    assert store.ui_command(root) == []
    assert store.ui_url(root) == "https://example.org"
