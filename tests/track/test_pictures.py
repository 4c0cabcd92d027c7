from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image

from sslang.track.metrics import Row
from sslang.track.pictures import loss_curve


def test_loss_curve_is_a_picture_with_a_curve(tmp_path: Path) -> None:
    rows = [Row(i, 0.0, {"train/loss": math.exp(-i / 100), "other": 1.0}) for i in range(300)]
    rows += [Row(300, 0.0, {"train/loss": math.nan}), Row(300, 0.0, {"eval/knn_top1": 0.5})]
    path = tmp_path / "loss.png"
    loss_curve(rows, path, title="simclr", metrics=("train/loss", "eval/knn_top1", "absent"))
    with Image.open(path) as image:
        assert image.size == (880, 726)
        pixels = np.asarray(image.convert("RGB")).astype(int)
        assert ((pixels[..., 2] > 150) & (pixels[..., 0] < 60)).sum() > 500


def test_a_run_without_metrics_has_an_empty_picture(tmp_path: Path) -> None:
    loss_curve([], tmp_path / "loss.png", title="simclr")
    assert (tmp_path / "loss.png").exists()
