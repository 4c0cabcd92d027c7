"""Draws: functions of (seed, phase, step, site, row), and of nothing else."""

from __future__ import annotations

import numpy as np

from sslang.emit import draws


def test_a_row_is_the_same_whatever_else_is_drawn() -> None:
    key = draws.stream_key(0, "pretrain", "view/a/0")
    whole = draws.uniform(key, 7, 64, 5)
    for first, rows in ((0, 64), (0, 10), (10, 20), (63, 1), (33, 4)):
        part = draws.uniform(key, 7, rows, 5, first_row=first)
        np.testing.assert_array_equal(part, whole[first : first + rows])


def test_every_coordinate_matters() -> None:
    base = draws.uniform(draws.stream_key(0, "pretrain", "a"), 3, 8, 2)
    others = [
        draws.uniform(draws.stream_key(1, "pretrain", "a"), 3, 8, 2),
        draws.uniform(draws.stream_key(0, "finetune", "a"), 3, 8, 2),
        draws.uniform(draws.stream_key(0, "pretrain", "b"), 3, 8, 2),
        draws.uniform(draws.stream_key(0, "pretrain", "a"), 4, 8, 2),
    ]
    assert all(not np.intersect1d(base, other).size for other in others)


def test_path_parts_do_not_run_together() -> None:
    one, other = draws.stream_key(0, "ab", "c"), draws.stream_key(0, "a", "bc")
    assert (one != other).any()


def test_the_stream_is_the_published_one() -> None:
    """Frozen numbers: a later version that drew others would change every run."""
    found = draws.uniform(draws.stream_key(0, "pretrain", "view/a/0"), 0, 1, 3)
    again = draws.uniform(draws.stream_key(0, "pretrain", "view/a/0"), 0, 1, 3)
    np.testing.assert_array_equal(found, again)
    np.testing.assert_allclose(found, FROZEN, rtol=0, atol=0)


FROZEN = np.array([[0.5118156391654113, 0.5256456862835677, 0.9245597687738972]])


def test_moments() -> None:
    key = draws.stream_key(5, "x")
    u = draws.uniform(key, 0, 20_000, 1)
    n = draws.normal(key, 1, 20_000, 1)
    assert abs(u.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 20_000)
    assert abs(n.mean()) < 4 / np.sqrt(20_000)
    assert abs(n.std() - 1) < 0.03
    assert u.min() >= 0 and u.max() < 1
    assert np.isfinite(n).all()


def test_a_permutation_is_one() -> None:
    order = draws.permutation(draws.stream_key(0, "shuffle"), 4, 100)
    np.testing.assert_array_equal(np.sort(order), np.arange(100))
    assert (order != np.arange(100)).any()
