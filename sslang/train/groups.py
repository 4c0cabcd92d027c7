"""A recipe's parameter groups and its optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from sslang.emit.method import Method
from sslang.emit.selectors import matching
from sslang.ir.program import Program
from sslang.model.recipe import AdamW, Group, Lars, Recipe, Sgd
from sslang.train.optimizers import LarsRule, Norms, make_optimizer
from sslang.train.own import OwnParameters

_SCHEDULED = ("lr", "weight_decay", "momentum")


@dataclass(frozen=True)
class GroupPlan:
    """Parameters that share their numbers, each number perhaps a schedule."""

    names: tuple[str, ...]
    parameters: tuple[nn.Parameter, ...]
    numbers: Mapping[str, Any]
    adapt: bool


def parameter_groups(method: Method, program: Program) -> list[GroupPlan]:
    """The trained parameters by their settings; of the recipe's groups a later one wins."""
    recipe = program.spec.recipe
    assert recipe is not None
    base = {n: getattr(recipe.optimizer, n) for n in _SCHEDULED if hasattr(recipe.optimizer, n)}
    chosen = [(g, matching(g.selector, method.nets, program)) for g in recipe.groups]
    grouped: dict[tuple[int, ...], list[tuple[str, nn.Parameter]]] = {(): []}
    for name, parameter in method.trained():
        key = tuple(i for i, (_, names) in enumerate(chosen) if name in names)
        grouped.setdefault(key, []).append((name, parameter))
    return [
        _group([chosen[i][0] for i in key], members, base)
        for key, members in grouped.items() if members
    ]  # fmt: skip


def _group(
    settings: list[Group], members: list[tuple[str, nn.Parameter]], base: Mapping[str, Any]
) -> GroupPlan:
    numbers, adapt = dict(base), True
    for group in settings:
        for name in _SCHEDULED:
            if getattr(group, name) is not None:
                numbers[name] = getattr(group, name)
        adapt = adapt if group.adapt is None else group.adapt
    return GroupPlan(tuple(n for n, _ in members), tuple(p for _, p in members), numbers, adapt)


def optimizer_of(
    recipe: Recipe, groups: Sequence[GroupPlan], own: OwnParameters, norms: Norms
) -> torch.optim.Optimizer:
    """The recipe's optimizer, over what this process has of the parameters."""
    listed = [
        {"params": [own[p] for p in g.parameters], "weight_decay": 0.0, "adapt": g.adapt}
        for g in groups
    ]
    match recipe.optimizer:
        case Sgd(momentum=momentum, nesterov=nesterov):
            return make_optimizer("sgd", listed, momentum=momentum, nesterov=nesterov)
        case AdamW(beta1=beta1, beta2=beta2, eps=eps):
            return make_optimizer("adamw", listed, betas=(beta1, beta2), eps=eps)
        case Lars() as lars:
            rule = LarsRule(
                rate_inside=lars.rate_inside,
                decay_in_gradient=not lars.separate_norms,
                clip=lars.clip,
                zero_norm="plain" if lars.separate_norms else "decayed",
                trust=lars.trust,
                eps=lars.eps,
            )
            return make_optimizer("lars", listed, momentum=lars.momentum, rule=rule, norms=norms)
    raise AssertionError(recipe.optimizer)
