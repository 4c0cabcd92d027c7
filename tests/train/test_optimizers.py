from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.optim.lars import Lars as TimmLars
from torch import Tensor

from sslang.train.optimizers import (
    LARS_RULES,
    Lars,
    LarsRule,
    clip_gradients,
    make_optimizer,
)

SHAPES = [(4, 3), (3,), (2, 3, 2, 2), (5, 4)]
RATES = [0.0, 0.4, 0.9, 0.55, 0.2, 1.3, 0.01]
MOMENTUM = 0.9


def _params(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    drawn = [torch.randn(s, generator=generator, dtype=dtype) for s in SHAPES]
    drawn[3].zero_()  # a zero norm
    return [p.requires_grad_() for p in drawn]


def _grads(step: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(100 + step)
    drawn = [torch.randn(s, generator=generator, dtype=dtype) for s in SHAPES]
    if step == 3:
        drawn[0].zero_()
    return drawn


Formula = Callable[[list[float], list[float], list[float], float, float, bool], None]


def _norm(x: list[float]) -> float:
    return math.sqrt(sum(v * v for v in x))


def _simclr(
    p: list[float], g: list[float], v: list[float], rate: float, decay: float, adapt: bool
) -> None:
    """Variant a: the rate is inside the momentum."""
    g = [b + decay * a for a, b in zip(p, g, strict=True)]
    ratio = 1.0
    if adapt and _norm(p) > 0 and _norm(g) > 0:
        ratio = 0.001 * _norm(p) / _norm(g)
    for i in range(len(p)):
        v[i] = MOMENTUM * v[i] + rate * ratio * g[i]
        p[i] -= v[i]


def _byol(
    p: list[float], g: list[float], v: list[float], rate: float, decay: float, adapt: bool
) -> None:
    """Variant b: the rate is outside the momentum."""
    g = [b + decay * a for a, b in zip(p, g, strict=True)]
    ratio = 1.0
    if adapt and _norm(p) > 0 and _norm(g) > 0:
        ratio = 0.001 * _norm(p) / _norm(g)
    for i in range(len(p)):
        v[i] = MOMENTUM * v[i] + ratio * g[i]
        p[i] -= rate * v[i]


def _swav(
    p: list[float], g: list[float], v: list[float], rate: float, decay: float, adapt: bool
) -> None:
    """Variant c: apex LARC without clipping; no decay where a norm is zero."""
    pn, gn = _norm(p), _norm(g)
    if not adapt:
        g = [b + decay * a for a, b in zip(p, g, strict=True)]
    elif pn != 0 and gn != 0:
        ratio = 0.001 * pn / (gn + decay * pn + 1e-8)
        g = [ratio * (b + decay * a) for a, b in zip(p, g, strict=True)]
    for i in range(len(p)):
        v[i] = MOMENTUM * v[i] + g[i]
        p[i] -= rate * v[i]


@pytest.mark.parametrize("adapt", [True, False])
@pytest.mark.parametrize("decay", [0.0, 1e-4, 0.5])
@pytest.mark.parametrize(
    ("name", "formula"), [("simclr", _simclr), ("byol", _byol), ("swav", _swav)]
)
def test_lars_is_the_published_formula(
    name: str, formula: Formula, decay: float, adapt: bool
) -> None:
    params = _params()
    group = {"params": params, "weight_decay": decay, "adapt": adapt}
    optimizer = make_optimizer("lars", [group], momentum=MOMENTUM, rule=LARS_RULES[name])
    expected = [p.detach().flatten().tolist() for p in params]
    velocities = [[0.0] * len(p) for p in expected]
    for step, rate in enumerate(RATES):
        optimizer.param_groups[0]["lr"] = rate
        for p, g in zip(params, _grads(step), strict=True):
            p.grad = g
        optimizer.step()
        for values, g, v in zip(expected, _grads(step), velocities, strict=True):
            formula(values, g.flatten().tolist(), v, rate, decay, adapt)
        torch.testing.assert_close(
            [p.detach().flatten() for p in params],
            [torch.tensor(e, dtype=torch.float64) for e in expected],
            rtol=1e-12,
            atol=1e-14,
        )


def _run(optimizer: torch.optim.Optimizer, params: list[Tensor], dtype: torch.dtype) -> None:
    for step, rate in enumerate(RATES):
        optimizer.param_groups[0]["lr"] = rate
        for p, g in zip(params, _grads(step, dtype), strict=True):
            p.grad = g
        optimizer.step()


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("decay", [1e-6, 0.5])
def test_lars_agrees_with_timm(decay: float, clip: bool) -> None:
    rule = LarsRule(decay_in_gradient=False, eps=1e-8, clip=clip)
    ours, theirs = _params(), _params()
    mine = Lars(ours, rule, momentum=MOMENTUM, weight_decay=decay)
    timms = TimmLars(
        theirs, lr=1.0, momentum=MOMENTUM, weight_decay=decay, trust_clip=clip, always_adapt=True
    )
    # Rates in (0, 1]: timm divides by the rate, and clips the ratio 1 of a zero norm as well.
    for step, rate in enumerate([1e-3, 0.4, 0.9, 0.55, 0.2, 1.0, 0.01]):
        for optimizer, params in ((mine, ours), (timms, theirs)):
            optimizer.param_groups[0]["lr"] = rate
            for p, g in zip(params, _grads(step), strict=True):
                p.grad = g
            optimizer.step()
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_variants_differ_only_once_the_rate_moves() -> None:
    ends = {}
    for rates in ((0.5, 0.5, 0.5), (0.5, 0.2, 0.7)):
        for name in ("simclr", "byol"):
            params = _params()
            optimizer = Lars(params, LARS_RULES[name])
            for step, rate in enumerate(rates):
                optimizer.param_groups[0]["lr"] = rate
                for p, g in zip(params, _grads(step), strict=True):
                    p.grad = g
                optimizer.step()
            ends[name, rates[1]] = params[1].detach().clone()
    torch.testing.assert_close(ends["simclr", 0.5], ends["byol", 0.5])
    assert (ends["simclr", 0.2] - ends["byol", 0.2]).abs().max() > 1e-5


def test_larc_clip_at_rate_zero_moves_by_momentum_alone() -> None:
    params = _params()
    optimizer = Lars(params, LarsRule(clip=True))
    before = [p.detach().clone() for p in params]
    for p, g in zip(params, _grads(0), strict=True):
        p.grad = g
    optimizer.step()
    torch.testing.assert_close([p.detach() for p in params], before, rtol=0, atol=0)
    assert all(bool(optimizer.state[p]["velocity"].isfinite().all()) for p in params)


KINDS: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {}),
    ("sgd", {"nesterov": True}),
    ("adamw", {}),
    *(("lars", {"rule": rule}) for rule in LARS_RULES.values()),
]


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_frozen_parameters_have_no_momentum_and_no_decay(
    kind: Any, settings: dict[str, Any]
) -> None:
    params = _params()
    groups = [{"params": params, "weight_decay": 0.1, "adapt": True}]
    optimizer = make_optimizer(kind, groups, **settings)
    optimizer.param_groups[0]["lr"] = 0.5
    for step in range(4):
        for p, g in zip(params, _grads(step), strict=True):
            p.grad = g
        if step in (0, 2):
            params[1].grad = None
        before = params[1].detach().clone()
        optimizer.step()
        assert torch.equal(params[1].detach(), before) == (step in (0, 2))


@pytest.mark.parametrize(("kind", "settings"), KINDS)
def test_state_dict_resumes_to_the_bit(kind: Any, settings: dict[str, Any]) -> None:
    def fresh(params: list[Tensor]) -> torch.optim.Optimizer:
        groups = [
            {"params": params[:2], "weight_decay": 0.1, "adapt": True},
            {"params": params[2:], "weight_decay": 0.0, "adapt": False},
        ]
        return make_optimizer(kind, groups, **settings)

    params = _params(torch.float32)
    optimizer = fresh(params)
    _run(optimizer, params, torch.float32)
    copies = [p.detach().clone().requires_grad_() for p in params]
    resumed = fresh(copies)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    _run(optimizer, params, torch.float32)
    _run(resumed, copies, torch.float32)
    assert all(torch.equal(a, b) for a, b in zip(params, copies, strict=True))


def test_sgd_and_adamw_are_their_formulas() -> None:
    decay = 0.1
    for kind in ("sgd", "adamw"):
        params = _params()
        groups = [{"params": params, "weight_decay": decay, "adapt": False}]
        optimizer = make_optimizer(kind, groups, momentum=MOMENTUM, betas=(0.9, 0.95))
        expected = [p.detach().clone() for p in params]
        first = [torch.zeros_like(p) for p in expected]
        second = [torch.zeros_like(p) for p in expected]
        for step, rate in enumerate(RATES):
            for i, g in enumerate(_grads(step)):
                if kind == "sgd":
                    first[i] = MOMENTUM * first[i] + g + decay * expected[i]
                    expected[i] = expected[i] - rate * first[i]
                else:
                    first[i] = 0.9 * first[i] + 0.1 * g
                    second[i] = 0.95 * second[i] + 0.05 * g * g
                    root = (second[i] / (1 - 0.95 ** (step + 1))).sqrt() + 1e-8
                    move = first[i] / (1 - 0.9 ** (step + 1)) / root
                    expected[i] = expected[i] * (1 - rate * decay) - rate * move
        _run(optimizer, params, torch.float64)
        torch.testing.assert_close([p.detach() for p in params], expected, rtol=1e-10, atol=1e-12)


def test_lars_without_a_rule_is_refused() -> None:
    with pytest.raises(AssertionError, match="name the rule"):
        make_optimizer("lars", [{"params": _params()}])


@pytest.mark.parametrize("max_norm", [0.5, 3.0, 1e6])
def test_clip_all_together_is_torchs(max_norm: float) -> None:
    ours, theirs = _params(), _params()
    for params in (ours, theirs):
        for p, g in zip(params, _grads(0), strict=True):
            p.grad = g.clone()
        params[1].grad = None
    total = clip_gradients(ours, max_norm, per_tensor=False)
    torch.testing.assert_close(total, torch.nn.utils.clip_grad_norm_(theirs, max_norm))
    torch.testing.assert_close([p.grad for p in ours], [p.grad for p in theirs])


def test_clip_each_alone() -> None:
    params = _params()
    for p, g in zip(params, _grads(0), strict=True):
        p.grad = g * (0.01 if g.dim() == 1 else 1.0)
    before = [p.grad for p in params if p.grad is not None]
    before = [g.clone() for g in before]
    total = clip_gradients(params, 1.0, per_tensor=True)
    torch.testing.assert_close(total, torch.cat([g.flatten() for g in before]).norm())
    for p, g in zip(params, before, strict=True):
        expected = g * min(1.0, 1.0 / (g.norm().item() + 1e-6))
        torch.testing.assert_close(p.grad, expected)


def test_clip_without_gradients() -> None:
    assert clip_gradients(_params(), 1.0, per_tensor=True) == 0
