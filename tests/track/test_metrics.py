from __future__ import annotations

import json
import math
import resource
from pathlib import Path

import pytest

from sslang.diagnostics import DiagnosticError
from sslang.track import metrics
from sslang.track.metrics import MetricsWriter


def _write(path: Path, steps: range) -> None:
    writer = MetricsWriter(path)
    for step in steps:
        writer.append(step, {"train/loss": step / 2})
    writer.close()


def test_a_line_is_there_at_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    writer = MetricsWriter(path)
    writer.append(3, {"train/loss": 0.1, "eval/knn_top1": 1})
    fields = json.loads(path.read_text())
    assert list(fields) == ["step", "time", "train/loss", "eval/knn_top1"]
    assert fields["step"] == 3
    assert fields["train/loss"] == 0.1


def test_numbers_that_json_lacks(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    MetricsWriter(path).append(0, {"a": math.inf, "b": -math.inf, "c": math.nan})
    json.loads(path.read_text(), parse_constant=pytest.fail)
    ((row,), _) = metrics.read_rows(path)
    assert row.metrics["a"] == math.inf
    assert row.metrics["b"] == -math.inf
    assert math.isnan(row.metrics["c"])


def test_reads_on_from_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert metrics.read_rows(path) == ([], 0)
    _write(path, range(3))
    rows, offset = metrics.read_rows(path)
    assert [row.step for row in rows] == [0, 1, 2]
    assert metrics.read_rows(path, offset) == ([], offset)
    _write(path, range(3, 5))
    assert [row.step for row in metrics.read_rows(path, offset)[0]] == [3, 4]


def test_half_a_last_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    _write(path, range(3))
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"step": 3, "tim')
    assert len(metrics.read_rows(path)[0]) == 3
    _write(path, range(3, 4))
    assert [row.step for row in metrics.read_rows(path)[0]] == [0, 1, 2, 3]


def test_truncate(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    assert metrics.truncate(path, 5) == 0
    _write(path, range(10))
    with path.open("ab") as file:
        file.write(b'{"step": 1')
    assert metrics.truncate(path, 5) == 6
    assert [row.step for row in metrics.read_rows(path)[0]] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("line", ["no json", "[]", '{"step": 1}', '{"step":1,"time":2,"a":"x"}'])
def test_a_line_that_is_none(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DiagnosticError, match="E715"):
        metrics.read_rows(path)


def test_full_disk(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer = MetricsWriter(tmp_path / "metrics.jsonl")
    writer.append(0, {"train/loss": 1.0})
    resource.setrlimit(resource.RLIMIT_FSIZE, (70, limits[1]))
    try:
        with pytest.raises(DiagnosticError, match="E716"):
            writer.append(1, {"train/loss": 1.0})  # the disk takes half of the line
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "metrics.jsonl").read_bytes().count(b"{") == 1
    writer.append(2, {"train/loss": 1.0})
    rows, _ = metrics.read_rows(tmp_path / "metrics.jsonl")
    assert [row.step for row in rows] == [0, 2]
