"""Optimisers: torch's SGD and AdamW, and the LARS variants as one function with switches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from sslang.processes.group import ALONE, Processes


@dataclass(frozen=True)
class LarsRule:
    """What published LARS optimisers (You et al. 2017) disagree about.

    Let g be the gradient, p the parameter and wd the decay of its group. The update is
    u = ratio * (g + wd * p), with ratio = `trust` * |p| / denominator.

    rate_inside: v <- m * v + rate * u and p <- p - v; else v <- m * v + u, p <- p - rate * v.
    decay_in_gradient: the denominator is |g + wd * p| + eps, else |g| + wd * |p| + eps.
    clip: ratio <- min(ratio / rate, 1), which bounds the local rate by the global one (LARC).
    zero_norm: if |p| or the gradient's norm is 0, the ratio is 1 and the decay is kept
        ("decayed") or left out ("plain").
    """

    rate_inside: bool = False
    decay_in_gradient: bool = True
    clip: bool = False
    zero_norm: Literal["decayed", "plain"] = "decayed"
    trust: float = 0.001
    eps: float = 0.0


LARS_RULES: dict[str, LarsRule] = {
    "simclr": LarsRule(rate_inside=True),  # google-research/simclr, lars_optimizer.py
    "byol": LarsRule(),  # also MoCo v3, Barlow Twins, VICReg
    "swav": LarsRule(decay_in_gradient=False, zero_norm="plain", eps=1e-8),  # apex LARC
}


class Norms:
    """2-norms of tensors that go with parameters: of `pieces`, that of all processes' together."""

    def __init__(self, pieces: Iterable[Tensor] = (), processes: Processes = ALONE) -> None:
        self._pieces = {id(parameter) for parameter in pieces}
        self._processes = processes

    def of(self, tensors: Sequence[Tensor], parameters: Sequence[Tensor]) -> Tensor:
        """[n], of tensors that belong to these parameters; called by all processes alike."""
        norms = torch.stack(torch._foreach_norm(list(tensors)))
        pieces = [id(parameter) in self._pieces for parameter in parameters]
        if not any(pieces):
            return norms
        squares = norms.square()
        self._processes.sum_([squares])
        return torch.where(torch.tensor(pieces, device=norms.device), squares.sqrt(), norms)


WHOLE = Norms()


@torch.no_grad()
def lars_update(
    params: list[Tensor],
    grads: list[Tensor],
    velocities: list[Tensor],
    *,
    rate: float,
    momentum: float,
    weight_decay: float,
    adapt: bool,
    rule: LarsRule,
    norms: Norms = WHOLE,
) -> None:
    """One step of LARS, in place on `params` and `velocities`; waits for no device.

    Without `adapt` the ratio is 1 and the decay is kept.
    """
    updates = grads
    if adapt:
        updates = _adapted(params, grads, rate, weight_decay, rule, norms)
    elif weight_decay:
        updates = list(torch._foreach_add(grads, params, alpha=weight_decay))
    torch._foreach_mul_(velocities, momentum)
    torch._foreach_add_(velocities, updates, alpha=rate if rule.rate_inside else 1.0)
    torch._foreach_add_(params, velocities, alpha=-1.0 if rule.rate_inside else -rate)


def _adapted(
    params: list[Tensor],
    grads: list[Tensor],
    rate: float,
    weight_decay: float,
    rule: LarsRule,
    norms: Norms,
) -> list[Tensor]:
    """The updates ratio * (g + wd * p) of `LarsRule`."""
    measured = grads
    if rule.decay_in_gradient:
        measured = list(torch._foreach_add(grads, params, alpha=weight_decay))
    param_norms, grad_norms = norms.of(params, params), norms.of(measured, params)
    extra = rule.eps if rule.decay_in_gradient else rule.eps + weight_decay * param_norms
    ratios = rule.trust * param_norms / (grad_norms + extra)
    if rule.clip:
        ratios = (ratios / rate).clamp(max=1.0) if rate > 0 else torch.ones_like(ratios)
    usable = (param_norms > 0) & (grad_norms > 0)
    ratios = ratios.where(usable, 1.0)
    if rule.zero_norm == "plain":
        decays = usable.to(ratios.dtype) * weight_decay
        updates = list(torch._foreach_mul(params, list(decays.unbind())))
        torch._foreach_add_(updates, grads)
    elif rule.decay_in_gradient:
        updates = measured
    else:
        updates = list(torch._foreach_add(grads, params, alpha=weight_decay))
    torch._foreach_mul_(updates, list(ratios.unbind()))
    return updates


class Lars(torch.optim.Optimizer):
    """LARS by a `LarsRule`. A group may set lr, momentum, weight_decay and adapt.

    A parameter without gradient is left alone: no momentum, no decay.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        rule: LarsRule,
        lr: float = 0.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        adapt: bool = True,
        norms: Norms = WHOLE,
    ) -> None:
        self.rule, self.norms = rule, norms
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "adapt": adapt}
        super().__init__(params, defaults)

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        assert closure is None, "the gradient is there before the step"
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            for p in params:
                if not self.state[p]:
                    self.state[p]["velocity"] = torch.zeros_like(p)
            lars_update(
                params,
                [p.grad for p in params],
                [self.state[p]["velocity"] for p in params],
                rate=group["lr"],
                momentum=group["momentum"],
                weight_decay=group["weight_decay"],
                adapt=group["adapt"],
                rule=self.rule,
                norms=self.norms,
            )


def make_optimizer(
    kind: Literal["sgd", "adamw", "lars"],
    groups: Sequence[Mapping[str, Any]],
    *,
    momentum: float = 0.9,
    nesterov: bool = False,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    rule: LarsRule | None = None,
    norms: Norms = WHOLE,
) -> torch.optim.Optimizer:
    """An optimiser over `groups`: {"params": tensors, "weight_decay": float, "adapt": bool}.

    The rate of each group, `lr`, starts at 0 and is set before every step, as is any other
    scheduled value. `adapt` and `norms` matter to LARS alone, which needs its `rule`.
    """
    copies = [dict(group) for group in groups]
    if kind == "lars":
        assert rule is not None, "LARS is several optimisers: name the rule"
        return Lars(copies, rule, momentum=momentum, norms=norms)
    for group in copies:
        group.pop("adapt", None)
    if kind == "sgd":
        # Not fused: torch's kernel fails when a parameter gets its first gradient later.
        return torch.optim.SGD(copies, lr=0.0, momentum=momentum, nesterov=nesterov)
    tensors = [p for group in copies for p in group["params"]]
    fusible = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in tensors)
    return torch.optim.AdamW(copies, lr=0.0, betas=betas, eps=eps, fused=fusible or None)


@torch.no_grad()
def clip_gradients(
    params: Iterable[Tensor], max_norm: float, per_tensor: bool, norms: Norms = WHOLE
) -> Tensor:
    """Scale gradients down in place to a 2-norm of `max_norm`: together, or each alone (DINO).

    Returns the norm of all gradients before, a scalar tensor; waits for no device.
    """
    moved = [p for p in params if p.grad is not None]
    grads = [p.grad for p in moved if p.grad is not None]
    if not grads:
        return torch.zeros(())
    lengths = norms.of(grads, moved)
    total: Tensor = torch.linalg.vector_norm(lengths)
    scales = (max_norm / ((lengths if per_tensor else total) + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(grads, list(scales.unbind()) if per_tensor else scales)
    return total
