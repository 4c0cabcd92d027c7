"""`sslang runs`: which runs there are, filtered, ordered, for people and for programs."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sslang.cli.main import main
from sslang.track import run_folder
from sslang.track.run_folder import DataSet
from sslang.track.run_folder import Result as Reached


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three runs: two on one data set, the third on another."""
    for name, temperature, rate, data in (
        ("a", 0.1, 0.3, "first"), ("a", 0.2, 0.6, "first"), ("b", 0.4, 0.5, "second"),
    ):  # fmt: skip
        folder = run_folder.create(tmp_path, name, f"specs/{name}.ssl")
        record = folder.record()
        folder.update(
            status="FINISHED", method=name.upper(), dataset=data,
            label=f"{name} temperature={temperature} #{record.number}",
            params={"temperature": str(temperature), "optimizer.lr": "0.05"},
            inputs=(DataSet(data, data * 2, "", "training", 10),),
            results=(Reached("eval/knn_top1", rate, 0.01, 0.2, rate - 0.2, 0.02),),
        )  # fmt: skip
    return tmp_path


def call(out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["runs", "--out", str(out), *arguments])


def rates(out: Path, *arguments: str) -> list[float]:
    found = json.loads(call(out, "--json", *arguments).stdout)
    return [row["eval/knn_top1"] for row in found]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("temperature < 0.2", [0.3]),
        ("temperature<=0.2 and knn_top1 > 0.5", [0.6]),
        ("method = B", [0.5]),
        ("method != B", [0.3, 0.6]),
        ("optimizer.lr = 0.05", [0.3, 0.6, 0.5]),
        ("eval/knn_top1 >= 0.5", [0.6, 0.5]),
        ("dataset = 'second'", [0.5]),
        ("temperature > 1", []),
    ],
)
def test_conditions(out: Path, condition: str, expected: list[float]) -> None:
    assert sorted(rates(out, "--where", condition)) == sorted(expected)


def test_orders(out: Path) -> None:
    assert rates(out, "--sort", "knn_top1") == [0.3, 0.5, 0.6]
    assert rates(out, "--sort=-knn_top1") == [0.6, 0.5, 0.3]
    assert rates(out, "--sort=-name") == [0.5, 0.6, 0.3]


def test_data_sets_stand_apart_and_runs_can_be_told_apart(out: Path) -> None:
    shown = call(out).stdout
    first, second = shown.split("second (")
    assert "temperature=0.1 #1" in first
    assert "temperature=0.2 #2" in first
    assert "0.600 ± 0.010" in first
    assert "+0.400 ± 0.020" in first
    assert "temperature=0.4 #1" in second
    assert "temperature=0.4" not in first


def test_csv_has_all_that_is_known(out: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(call(out, "--csv").stdout)))
    assert sorted(row["temperature"] for row in rows) == ["0.1", "0.2", "0.4"]
    assert {row["optimizer.lr"] for row in rows} == {"0.05"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--where", "tempertaure < 1"), "did you mean `temperature`?"),
        (("--where", "temperature"), "is no condition"),
        (("--where", "temperature < "), "is no condition"),
        (("--sort", "nothing"), "no run has a `nothing`"),
        (("--csv", "--json"), "exclude each other"),
    ],
)
def test_what_is_wrong_is_a_usage_error(out: Path, arguments: tuple[str, ...], told: str) -> None:
    result = call(out, *arguments)
    assert result.exit_code == 2
    assert told in result.output
