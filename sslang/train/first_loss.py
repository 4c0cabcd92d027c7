"""The loss of the first step beside what its form predicts."""

from __future__ import annotations

import math

from sslang.checks.expected import FAR, expected_loss
from sslang.train.learner import Learner


def first_loss(learner: Learner, loss: float, rows: int) -> tuple[dict[str, float], str]:
    """Metrics and a line for the log where the first loss is far above ln K, else nothing.

    `rows` are those of the first batch. A loss that is no number is E703's matter.
    """
    sizes = {"batch": rows, "dataset": learner.method.dims["dataset"]}
    expected = expected_loss(learner.program, sizes)
    if expected is None or not math.isfinite(loss) or expected.loss <= 0:
        return {}, ""
    if loss <= FAR * expected.loss:
        return {}, ""
    metrics = {"train/loss_at_init": loss, "train/loss_expected": expected.loss}
    text = (
        f"the first loss is {loss:.3g}; a loss of this form begins near {expected.loss:.3g}, where "
        f"all of {expected.classes} rows are alike: have they unit length, and is the temperature "
        "what was meant?"
    )
    return metrics, text
