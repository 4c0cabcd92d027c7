from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from sslang.emit import draws
from sslang.evaluate.bootstrap import mcnemar, paired_difference


def _hits(site: str, shape: tuple[int, int], share: float) -> Tensor:
    drawn = draws.uniform(draws.stream_key(0, site), 0, *shape)
    return torch.from_numpy(drawn < share)


def test_standard_error_of_one_seed_is_that_of_a_mean() -> None:
    after, before = _hits("after", (1, 1000), 0.7)[0], _hits("before", (1, 1000), 0.6)[0]
    found = paired_difference(after, before)
    difference = after.double() - before.double()
    assert found.mean == pytest.approx(difference.mean().item())
    expected = difference.std(correction=0).item() / np.sqrt(1000)
    assert found.standard_error == pytest.approx(expected, rel=0.05)


def test_seeds_that_agree_add_no_certainty() -> None:
    after, before = _hits("after", (1, 500), 0.7), _hits("before", (1, 500), 0.6)
    once = paired_difference(after, before)
    assert paired_difference(after.repeat(3, 1), before.repeat(3, 1)) == once


def test_independent_seeds_do() -> None:
    after, before = _hits("after", (4, 500), 0.7), _hits("before", (4, 500), 0.6)
    one, four = paired_difference(after[0], before[0]), paired_difference(after, before)
    assert four.standard_error == pytest.approx(one.standard_error / 2, rel=0.15)


def test_pairing_removes_what_both_have() -> None:
    after = _hits("after", (1, 500), 0.5)
    assert paired_difference(after, after).mean == 0
    assert paired_difference(after, after).standard_error == 0


def test_mcnemar_is_the_exact_test_of_what_one_alone_gets_right() -> None:
    before = torch.tensor([False] * 10 + [True] * 2 + [True] * 30 + [False] * 8)
    after = torch.tensor([True] * 10 + [False] * 2 + [True] * 30 + [False] * 8)
    wanted = 2 * sum(math.comb(12, k) for k in range(3)) / 2**12
    assert mcnemar(after, before) == pytest.approx(wanted)
    assert mcnemar(before, after) == pytest.approx(wanted)
    assert mcnemar(before, before) == 1.0
