"""Sweeps: a grid is checked before anything is trained, and what is done is not done again."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import sslang
from sslang.diagnostics import DiagnosticError
from sslang.track import run_folder
from sslang.track.run_folder import Result, RunFolder
from sslang.train.data import open_data
from sslang.train.sweep import (
    Cell,
    Grid,
    Group,
    Sweep,
    axis,
    groups,
    metric_of,
    seeds_of,
    write_plot,
    write_table,
)
from tests.conftest import ROOT

SPEC = ROOT / "specs/simclr.ssl"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("temperature=0.1,0.2", ("temperature", ("0.1", "0.2"))),
        (" a = 1 , 2 ", ("a", ("1", "2"))),
        ("backbone=resnet18(width = 1, stem = small),resnet34()",
         ("backbone", ("resnet18(width = 1, stem = small)", "resnet34()"))),
        ('data=image_folder("a,b"),embedded()', ("data", ('image_folder("a,b")', "embedded()"))),
        ("size=32", ("size", ("32",))),
    ],
)  # fmt: skip
def test_axes(text: str, expected: tuple[str, tuple[str, ...]]) -> None:
    assert axis(text) == expected


@pytest.mark.parametrize("text", ["temperature", "=1", "a=", "a=1,,2", "a=1,1"])
def test_what_is_no_axis(text: str) -> None:
    with pytest.raises(ValueError, match=r"no axis|twice"):
        axis(text)


def test_seeds() -> None:
    assert seeds_of(("0..3",)) == (0, 1, 2, 3)
    assert seeds_of(("5", "1", "5")) == (5, 1)
    for wrong in (("a",), ("3..1",), ("1.5",)):
        with pytest.raises(ValueError, match="seed"):
            seeds_of(wrong)


def test_a_grid_is_checked_as_a_whole() -> None:
    cells = Grid(SPEC, None, {"temperature": ("0.1", "0.2"), "dim": ("32", "64")}, (0, 1)).cells()
    assert len(cells) == 8
    assert len({cell.spec_hash for cell in cells}) == 4
    with pytest.raises(DiagnosticError, match="E523"):
        Grid(SPEC, None, {"temperature": ("0.1", "-1")}, (0,)).cells()


def _run(root: Path, cell: Cell, value: float, **changes: object) -> RunFolder:
    folder = run_folder.create(root, "simclr", "specs/simclr.ssl")
    result = Result("eval/knn_top1", value, 0.01, 0.2, value - 0.2, 0.01)
    known = {"status": "FINISHED", "spec_hash": cell.spec_hash, "seed": cell.seed,
             "data": {"pretrain": cell.digest}, "results": (result,)}  # fmt: skip
    folder.update(**{**known, **changes})
    return folder


def test_what_is_done_is_found_by_spec_seed_and_data(tmp_path: Path) -> None:
    one, other = Grid(SPEC, None, {}, (0, 1)).cells()
    sweep = Sweep(Grid(SPEC, None, {}, (0, 1)), tmp_path, (), 1, lambda text: None)
    for changes in ({"seed": 7}, {"spec_hash": "x"}, {"data": {"pretrain": "x"}}):
        _run(tmp_path, one, 0.5, **changes)
    assert sweep.find(one, finished=True) is None
    begun = _run(tmp_path, one, 0.5, status="KILLED")
    assert sweep.find(one, finished=False) is None, "it has no checkpoint to go on from"
    (begun.checkpoints / "step-00000001.pt").touch()
    assert sweep.find(one, finished=False) == begun
    done = _run(tmp_path, one, 0.5)
    assert sweep.find(one, finished=True) == done
    assert sweep.find(other, finished=True) is None
    assert one.digest == open_data(sslang.load(SPEC)).train.digest


def test_means_and_deviations_over_seeds(tmp_path: Path) -> None:
    cells = [Cell((("temperature", t),), seed, "", "") for t in ("0.1", "0.5") for seed in (0, 1)]
    reached = dict(zip(cells, (0.3, 0.5, 0.6, None), strict=True))
    found = {cell: None if value is None else _run(tmp_path, cell, value)
             for cell, value in reached.items()}  # fmt: skip
    assert metric_of(found, None) == "eval/knn_top1"
    best, second = groups(found, "eval/knn_top1")
    assert (best.name, best.values) == ("temperature=0.5", (0.6,))
    assert math.isnan(best.deviation)
    assert second.mean == pytest.approx(0.4)
    assert second.deviation == pytest.approx(math.sqrt(0.02))
    with pytest.raises(DiagnosticError, match="E720"):
        groups(found, "eval/linear_top1")
    write_table(tmp_path / "table.csv", found, "eval/knn_top1")
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["eval/knn_top1"] for row in rows] == ["0.3", "0.5", "0.6", ""]
    assert [row["seed"] for row in rows] == ["0", "1", "0", "1"]


@pytest.mark.parametrize("names", [("0.1", "0.5"), ("resnet18()", "resnet34()")])
def test_the_plot(names: tuple[str, ...], tmp_path: Path) -> None:
    made = [Group((("x", name),), (0.1 * i, 0.2 * i)) for i, name in enumerate(names)]
    write_plot(tmp_path / "plot.png", made, "eval/knn_top1", "title")
    with Image.open(tmp_path / "plot.png") as drawn:
        assert drawn.width > 400


@pytest.mark.slow
def test_a_sweep_is_one_run_with_children_in_mlflow(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sslang", "sweep", str(SPEC), "temperature=0.1,0.5",
               "backbone=resnet18(width = 0.0625, stem = small)", "length=2 steps", "batch=32",
               "optimizer=adamw(lr = 0.001)", "evaluate=knn()", "seed=0,1", "--json"]  # fmt: skip
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(first.stdout) == json.loads(again.stdout)
    runs = run_folder.list_runs(tmp_path / "runs")
    assert len(runs) == 4, "the second time nothing was left to do"
    from mlflow import MlflowClient

    tracking = runs[0].record().tracking
    assert tracking is not None
    client = MlflowClient(tracking_uri=tracking.uri)
    found = client.search_runs([tracking.experiment_id])
    (parent,) = (run for run in found if "mlflow.parentRunId" not in run.data.tags)
    children = [run for run in found if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert len(children) == 4
    best = max(json.loads(first.stdout)["settings"], key=lambda group: group["mean"])
    assert parent.data.metrics["eval/knn_top1/best_mean"] == pytest.approx(best["mean"])
    assert {item.path for item in client.list_artifacts(parent.info.run_id)} == {
        "table.csv", "plot.png"}  # fmt: skip
