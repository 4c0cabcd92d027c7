"""The benchmark's parts: the hand-written rivals compute a sane loss, the table adds up."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import sslang
from sslang.bench.handwritten import handwritten
from sslang.bench.lines import length
from sslang.bench.measure import measure
from sslang.bench.results import BEGIN, END, between_marks, raw_pixels, summarise, table
from sslang.diagnostics import Source
from sslang.ir.program import Program
from sslang.model.resolve import read
from sslang.train import run
from sslang.train.options import RunOptions
from tests.conftest import ROOT, TINY


def program(name: str, *more: str) -> Program:
    return sslang.load(ROOT / "specs" / f"{name}.ssl", None, (*TINY[name], *more))


@pytest.mark.parametrize("name", ["simclr", "mocov2"])
def test_the_rival_trains(name: str) -> None:
    step = handwritten(program(name), torch.device("cpu"))
    assert step is not None
    pixels = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    losses = [float(step(pixels)) for _ in range(4)]
    assert all(math.isfinite(loss) for loss in losses)
    assert len(set(losses)) == len(losses)  # it moves


def test_a_method_without_a_rival_has_none() -> None:
    assert handwritten(program("byol"), torch.device("cpu")) is None


def test_measure_reports_every_contestant() -> None:
    report = measure(program("mocov2"), RunOptions(device="cpu", workers=0), rounds=2)
    assert [row.name.split(",")[0] for row in report.rows] == [
        "sslang", "hand-written", "forward",
    ]  # fmt: skip
    assert report.rows[0].ratio == 1.0
    assert all(row.images_per_second > 0 for row in report.rows)
    assert 0 < report.views_share < 1


@pytest.mark.slow
def test_the_table_of_results(tmp_path: Path) -> None:
    folders = []
    for seed in (0, 1):
        made = program("simclr", "evaluate=[knn(), linear_probe()]")
        given = RunOptions(
            seed=seed, device="cpu", workers=0, out=tmp_path, tracking="off", quiet=True
        )
        folders.append(run.run(made, given, "", "simclr").folder)
    line = summarise(ROOT / "specs/simclr.ssl", folders)
    assert line.method == "SimCLR"
    assert line.lines == "17"
    assert line.gain == pytest.approx(line.after - line.before)
    assert line.error > 0
    assert f"{line.after:.3f}" in table([line], 2)


def test_the_table_stands_between_its_marks() -> None:
    page = f"before {BEGIN}\nold\n{END} after"
    assert between_marks(page, "new") == f"before {BEGIN}\nnew\n{END} after"
    with pytest.raises(AssertionError):
        between_marks("no marks", "new")


def test_a_body_has_at_most_thirty_lines(spec: Path) -> None:
    found = length(read(spec))
    assert 10 <= found.body <= 30
    assert all(lines <= 30 for lines in found.phases.values())


def test_lines_leave_out_blanks_and_comments_and_count_phases_apart() -> None:
    text = 'method "x"  # a comment\n\n# another\nparam a = 1\n'
    text += "phase p {\n    loss = 1\n}\nrecipe r {}\n"
    assert str(length(Source("x", text))) == "2 + 3"


def test_raw_pixels_are_better_standardised() -> None:
    found = raw_pixels()
    assert 0.3 < found["as they are"] < found["channels standardised"] < 0.7
