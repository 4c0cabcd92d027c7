"""Pictures of a run: its curves."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sslang.track.files import write_atomic
from sslang.track.metrics import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SMOOTHING_SHARE = 0.02


def loss_curve(
    rows: Sequence[Row], path: Path, *, title: str, metrics: Sequence[str] = ("train/loss",)
) -> None:
    """Draw each of `metrics` over the steps, one below the other, as a PNG.

    Metrics that `rows` lack are left out; of one with more than 100 values a running mean is
    drawn over the values. Values that are not finite are gaps. Raises OSError.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    present = [name for name in metrics if any(name in row.metrics for row in rows)]
    count = max(1, len(present))
    height = 0.6 + 3.0 * count
    figure = Figure(figsize=(8, height))
    figure.subplots_adjust(
        left=0.11, right=0.98, bottom=0.5 / height, top=1 - 0.45 / height, hspace=0.08
    )
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    panels = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    for axes, name in zip(panels, present, strict=False):
        _draw(axes, name, [(row.step, row.metrics[name]) for row in rows if name in row.metrics])
    panels[-1].set_xlabel("step")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomic(path, buffer.getvalue())


def _draw(axes: Axes, name: str, points: list[tuple[int, float]]) -> None:
    steps = [step for step, _ in points]
    values = [value if math.isfinite(value) else math.nan for _, value in points]
    if len(points) <= 100:
        axes.plot(steps, values, color="tab:blue", linewidth=1.5, marker=".", markersize=4)
    else:
        axes.plot(steps, values, color="tab:blue", linewidth=0.6, alpha=0.35)
        window = max(5, round(len(values) * _SMOOTHING_SHARE))
        axes.plot(steps, _running_mean(values, window), color="tab:blue", linewidth=1.5)
    axes.set_ylabel(name)
    axes.grid(alpha=0.3)


def _running_mean(values: list[float], window: int) -> list[float]:
    """The mean of the finite values among the last `window`."""
    smooth = []
    for end in range(1, len(values) + 1):
        finite = [v for v in values[max(0, end - window) : end] if math.isfinite(v)]
        smooth.append(sum(finite) / len(finite) if finite else math.nan)
    return smooth
