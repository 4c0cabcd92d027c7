"""Is one classifier better than another on the same test images, beyond chance?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sslang.emit import draws


def mcnemar(after: Tensor, before: Tensor) -> float:
    """How likely a difference as large is by chance, between classifiers that are equally good.

    Both are hits, bool [M]. Of the images that one alone gets right each does half then; the test
    is two-sided and exact. Source: McNemar, Psychometrika, 1947.
    """
    from scipy.stats import binomtest

    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    return float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0


@dataclass(frozen=True)
class Difference:
    """The mean difference of accuracy and its standard error over test images."""

    mean: float
    standard_error: float


def paired_difference(after: Tensor, before: Tensor, *, resamples: int = 2000) -> Difference:
    """How much more of the test images `after` gets right than `before`.

    Both are hits: bool [M], or [S, M] for S seeds on the same M images. Seeds are pooled: an
    image's value is its difference averaged over seeds, and images are drawn with
    replacement `resamples` times, each with all of its seeds, so that what the seeds have in
    common on an image is not counted S times. Source: Efron and Tibshirani, "An Introduction
    to the Bootstrap", 1993, chapter 6. The draws do not depend on a seed of the run.
    """
    assert after.shape == before.shape
    assert after.shape[-1] > 0
    assert resamples > 1
    difference = (after.double() - before.double()).reshape(-1, after.shape[-1])
    image = difference.mean(dim=0).cpu().numpy()
    key = draws.stream_key(0, "evaluate", "bootstrap")
    means = np.empty(resamples)
    for number in range(resamples):
        drawn = draws.uniform(key, number, len(image), 1)[:, 0]
        means[number] = image[(drawn * len(image)).astype(np.int64)].mean()
    return Difference(float(image.mean()), float(means.std(ddof=1)))
