"""A first loss far from what its form predicts is told in the log and the metrics."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import sslang
from sslang.train import run
from sslang.train.first_loss import first_loss
from sslang.train.options import RunOptions
from tests.conftest import ROOT, TINY

SIMCLR = ROOT / "specs" / "simclr.ssl"


def test_far_above_is_told_and_near_is_not() -> None:
    learner = sslang.compile(sslang.load(SIMCLR, None, TINY["simclr"]), images=640)
    expected = 2 * math.log(2 * 64 - 1)
    assert first_loss(learner, 2.9 * expected, 64) == ({}, "")
    assert first_loss(learner, math.nan, 64) == ({}, "")
    metrics, text = first_loss(learner, 3.1 * expected, 64)
    assert metrics == pytest.approx(
        {"train/loss_at_init": 3.1 * expected, "train/loss_expected": expected}
    )
    assert f"begins near {expected:.3g}" in text


@pytest.mark.parametrize(("temperature", "told"), [("0.1", False), ("0.001", True)])
def test_a_run_tells_it_once(temperature: str, told: bool, tmp_path: Path) -> None:
    overrides = (*TINY["simclr"], f"temperature={temperature}", "length=2 steps")
    program = sslang.load(SIMCLR, None, overrides)
    options = RunOptions(device="cpu", workers=0, out=tmp_path, tracking="off", quiet=True)
    folder = run.run(program, options, SIMCLR.read_text(), "simclr").folder
    rows = [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]
    told_at = [row["step"] for row in rows if "train/loss_at_init" in row]
    assert told_at == ([0] if told else [])
    assert ("the first loss is" in folder.log_path.read_text()) == told
