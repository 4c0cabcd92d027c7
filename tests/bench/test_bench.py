"""The benchmark's parts: the hand-written rivals compute a sane loss, the table adds up."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import sslang
from sslang.bench.handwritten import handwritten
from sslang.bench.measure import measure
from sslang.bench.results import raw_pixels, summarise, table
from sslang.ir.program import Program
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


def test_the_table_of_results(tmp_path: Path) -> None:
    folders = []
    for seed in (0, 1):
        made = program("simclr", "evaluate=[knn(), linear_probe()]")
        given = RunOptions(
            seed=seed, device="cpu", workers=0, out=tmp_path, tracking="off", quiet=True
        )
        folders.append(run.run(made, given, "", "simclr").folder)
    line = summarise(folders)
    assert line.method == "SimCLR"
    assert line.gain == pytest.approx(line.after - line.before)
    assert line.error > 0
    assert f"{line.after:.3f}" in table([line], 2)


def test_raw_pixels_are_better_standardised() -> None:
    found = raw_pixels()
    assert 0.3 < found["as they are"] < found["channels standardised"] < 0.7
