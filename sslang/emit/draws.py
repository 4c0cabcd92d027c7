"""Random draws as pure functions of (seed, phase, step, site, row).

There is no generator whose state could be lost or advance at another pace: a draw is read
from a Philox stream (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011)
whose key is a hash of (seed, phase, site) and whose counter holds the step. Row r of a draw
of k numbers is at positions r*k .. r*k+k-1, so rows may be split over workers, processes and
micro-batches without changing a number. Only raw 64-bit words are taken from NumPy, because
NumPy promises those to be the same in every version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_WORD_TO_UNIT = 2.0**-53


def stream_key(seed: int, *path: str) -> NDArray[np.uint64]:
    """The 128-bit key of the stream for `path` (phase, site, ...) under `seed`."""
    text = "\x1f".join((str(seed), *path)).encode()
    return np.frombuffer(hashlib.sha256(text).digest()[:16], dtype=np.uint64)


def torch_seed(seed: int, *path: str) -> int:
    """A 63-bit seed for `torch.manual_seed`, where a library draws initial weights itself."""
    return int(stream_key(seed, *path)[0] >> np.uint64(1))


def uniform(
    key: NDArray[np.uint64], step: int, rows: int, count: int, *, first_row: int = 0
) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1), shape [rows, count], for rows `first_row` onwards of `step`."""
    generator = np.random.Philox(key=key, counter=np.array([0, 0, step, 0], dtype=np.uint64))
    skip = first_row * count
    if skip:
        generator.advance(skip // 4)  # one Philox counter yields four words
    words = generator.random_raw(skip % 4 + rows * count)[skip % 4 :]
    return (words >> np.uint64(11)).astype(np.float64).reshape(rows, count) * _WORD_TO_UNIT


def words(key: NDArray[np.uint64], step: int, count: int) -> NDArray[np.uint64]:
    """The first `count` words of 64 bits of a stream at `step`."""
    generator = np.random.Philox(key=key, counter=np.array([0, 0, step, 0], dtype=np.uint64))
    return generator.random_raw(count)


def normal(
    key: NDArray[np.uint64], step: int, rows: int, count: int, *, first_row: int = 0
) -> NDArray[np.float64]:
    """Standard normal numbers, shape [rows, count], by Box and Muller's transform."""
    pairs = uniform(key, step, rows, 2 * count, first_row=first_row)
    radius = np.sqrt(-2.0 * np.log1p(-pairs[:, :count]))
    return radius * np.cos(2.0 * np.pi * pairs[:, count:])


def permutation(key: NDArray[np.uint64], step: int, length: int) -> NDArray[np.int64]:
    """A uniform permutation of 0 .. length-1."""
    return np.argsort(uniform(key, step, length, 1)[:, 0], kind="stable")


def between(u: NDArray[np.float64], bounds: Sequence[float]) -> NDArray[np.float64]:
    """Uniform numbers `u` in [0, 1) moved to the range `bounds` = (low, high)."""
    low, high = bounds
    return low + (high - low) * u
