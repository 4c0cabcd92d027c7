"""Batch norm over several processes, here with one: the formula is that of torch's kernel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sslang.emit.nets.sync_norm import synchronised
from sslang.processes.group import ALONE


@pytest.mark.parametrize(("shape", "batches"), [((12, 5), 1), ((12, 5), 3), ((12, 5, 4, 4), 2)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_one_process_is_torch(shape: tuple[int, ...], batches: int, channels_last: bool) -> None:
    random = torch.Generator().manual_seed(0)

    def drawn(*size: int) -> Tensor:
        return torch.randn(size, dtype=torch.float64, generator=random)

    x, weight, bias, seed = drawn(*shape), drawn(5), drawn(5), drawn(*shape)
    if channels_last and len(shape) == 4:
        x = x.contiguous(memory_format=torch.channels_last)
    given = [x.requires_grad_(), weight.requires_grad_(), bias.requires_grad_()]
    out, means, variances = synchronised(x, weight, bias, 1e-5, batches, ALONE)
    parts = [
        torch.nn.functional.batch_norm(part, None, None, weight, bias, True, 0.1, 1e-5)
        for part in x.chunk(batches)
    ]
    expected = torch.cat(parts)
    torch.testing.assert_close(out, expected)
    assert out.stride() == x.stride()
    for ours, theirs in zip(
        torch.autograd.grad(out, given, seed), torch.autograd.grad(expected, given, seed),
        strict=True,
    ):  # fmt: skip
        torch.testing.assert_close(ours, theirs)
    for mean, variance, part in zip(means, variances, x.chunk(batches), strict=True):
        flat = part.movedim(1, -1).reshape(-1, 5)
        torch.testing.assert_close(mean, flat.mean(0))
        torch.testing.assert_close(variance, flat.var(0))


def test_without_scale_and_shift() -> None:
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    out, _, _ = synchronised(x, None, None, 1e-5, 1, ALONE)
    expected = torch.nn.functional.batch_norm(x, None, None, None, None, True, 0.1, 1e-5)
    torch.testing.assert_close(out, expected)
    (ours,) = torch.autograd.grad(out.square().sum() + out[0].sum(), x)
    (theirs,) = torch.autograd.grad(expected.square().sum() + expected[0].sum(), x)
    torch.testing.assert_close(ours, theirs)
