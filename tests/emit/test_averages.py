from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from sslang.emit.averages import average_


def _tensors(seed: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(3, 4), (5,), (), (2, 3, 1, 1)]
    return [torch.randn(shape, generator=generator, dtype=dtype) for shape in shapes]


def test_average_is_its_formula_under_a_moving_momentum() -> None:
    target, expected = _tensors(0), _tensors(0)
    for step in range(10):
        source, momentum = _tensors(step + 1), 0.9 + 0.01 * step
        average_(target, source, momentum)
        expected = [
            momentum * e + (1 - momentum) * s for e, s in zip(expected, source, strict=True)
        ]
        torch.testing.assert_close(target, expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ends_and_fixed_points_are_exact(dtype: torch.dtype) -> None:
    old, new = _tensors(0, dtype), _tensors(1, dtype)
    for momentum, expected in ((1.0, old), (0.0, new)):
        target = [t.clone() for t in old]
        average_(target, new, momentum)
        assert all(torch.equal(t, e) for t, e in zip(target, expected, strict=True))
    for momentum in (0.3, 0.996, 0.9999):
        target = [t.clone() for t in old]
        average_(target, old, momentum)
        assert all(torch.equal(t, o) for t, o in zip(target, old, strict=True))


def test_parameters_that_need_a_gradient_are_averaged_in_place() -> None:
    online, target = nn.Linear(3, 2), nn.Linear(3, 2)
    target.load_state_dict(online.state_dict())
    assert torch.equal(target.weight, online.weight)
    with torch.no_grad():
        online.weight.add_(1.0)
    before = target.weight.detach().clone()
    average_(list(target.parameters()), list(online.parameters()), 0.75)
    torch.testing.assert_close(target.weight.detach(), before + 0.25)
    assert target.weight.is_leaf and target.weight.grad_fn is None


def test_nothing_to_average() -> None:
    average_([], [], 0.9)


def test_unequal_nets_and_momenta_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(AssertionError, match="parameters of its net"):
        average_(_tensors(0), _tensors(1)[:2], 0.9)
    with pytest.raises(AssertionError, match=r"momentum 1\.5"):
        average_(_tensors(0), _tensors(1), 1.5)
