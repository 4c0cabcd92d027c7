"""Functions of the standard library that no spec uses, against torch and the formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

import sslang
from sslang.api import load_source
from sslang.diagnostics import Source

ROWS, WIDTH = 24, 6
SPEC = """method "x"
view a = random_resized_crop(16)
encoder f = resnet18(width = 0.125, stem = small)
head g = linear({width})
z = g(f(a))
assume no_collapse "one function at a time"
loss = {loss}
features = z
data = embedded()
batch = {rows}
length = 2 steps
optimizer = sgd(lr = 0.1)
"""


def _koleo(z: Tensor) -> Tensor:
    z = z / z.norm(dim=1, keepdim=True)
    distances = torch.cdist(z.detach(), z.detach()) + 9 * torch.eye(ROWS)
    return -((z - z[distances.argmin(1)]).norm(dim=1) + 1e-8).log().mean()


def _whitened(z: Tensor) -> Tensor:
    share = 0.999 * torch.cov(z.T) + 0.001 * torch.eye(WIDTH)
    rows = torch.linalg.inv(torch.linalg.cholesky(share)) @ (z - z.mean(0)).T
    return (rows.T[: ROWS // 2] - rows.T[ROWS // 2 :]).square().mean()


def _place(z: Tensor) -> Tensor:
    """How many entries of a row are smaller than its first: [B, 1]."""
    return (z < z[:, :1]).sum(1, keepdim=True)


CASES: dict[str, Callable[[Tensor], Tensor]] = {
    "mean(covariance(z)**2)": lambda z: torch.cov(z.T).square().mean(),
    "mean((whiten(z)[:12] - whiten(z)[-12:])**2)": _whitened,
    "koleo(l2_normalize(z))": _koleo,
    "sum(singular_values(covariance(z)))": lambda z: torch.linalg.svdvals(torch.cov(z.T)).sum(),
    "mean(entropy(softmax(z)))": lambda z: torch.special.entr(z.softmax(1)).sum(1).mean(),
    "mean(take(z, rank(z)[:, 0]))": lambda z: z.gather(1, _place(z)).mean(),
    "mean(z * linspace(0, 1, 6))": lambda z: (z * torch.linspace(0, 1, 6)).mean(),
    "mean(unflatten(z, axis = 1, first = 2)[:, 1])": lambda z: z[:, 3:].mean(),
}  # fmt: skip


@pytest.mark.parametrize("loss", CASES)
def test_value_and_gradient(loss: str) -> None:
    program = load_source(Source("x.ssl", SPEC.format(loss=loss, width=WIDTH, rows=ROWS)))
    learner = sslang.compile(program, images=64, seed=1, dtype=torch.float64)
    head = learner.method.nets.get_submodule("g.0")
    found: dict[str, Tensor] = {}
    head.register_forward_hook(lambda _m, x, y: found.update(x=x[0].detach()))  # type: ignore[arg-type]
    grad: dict[str, Tensor] = {}
    head.weight.register_post_accumulate_grad_hook(lambda p: grad.update(g=p.grad.clone()))
    before = (head.weight.detach().clone(), head.bias.detach().clone())
    pixels = torch.randint(0, 256, (ROWS, 3, 20, 20), dtype=torch.uint8)
    report = learner.train_step(pixels)
    weight = before[0].requires_grad_()
    with _precision(torch.float64):
        expected = CASES[loss](found["x"] @ weight.T + before[1])
    torch.testing.assert_close(report.loss, expected.detach(), atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(
        grad["g"], torch.autograd.grad(expected, weight)[0], atol=1e-8, rtol=1e-8
    )


@contextmanager
def _precision(dtype: torch.dtype) -> Iterator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
