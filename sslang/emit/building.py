"""What stands around the step, made from its plans: nets, weights, averages, what is frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sslang.emit.averages import average_
from sslang.emit.nets.net import build_net
from sslang.emit.selectors import matching
from sslang.emit.states import Weight, initial_value, size_of
from sslang.ir.program import AveragePlan, Program
from sslang.processes.shards import own_part
from sslang.types import Dim, Duration


@dataclass(frozen=True)
class Average:
    """The nets of a branch's copies, and those they follow."""

    plan: AveragePlan
    pairs: tuple[tuple[nn.Module, nn.Module], ...]

    def advance(self, momentum: float) -> None:
        """m * old + (1 - m) * new, of parameters, and of buffers where the plan says so.

        Tensors are looked up at each step: a module may replace them (another memory format).
        """
        targets = [own_part(p) for ours, _ in self.pairs for p in ours.parameters()]
        sources = [own_part(p) for _, theirs in self.pairs for p in theirs.parameters()]
        average_(targets, sources, momentum)
        if self.plan.buffers:
            average_(
                [b for ours, _ in self.pairs for b in _floating(ours)],
                [b for _, theirs in self.pairs for b in _floating(theirs)],
                momentum,
            )


def build_nets(
    program: Program,
    seed: int,
    dims: Mapping[str, int],
    weights: Mapping[str, Tensor],
    dtype: torch.dtype,
) -> nn.Module:
    """Every net and weight by name.

    Given `weights` replace the initial draws; an average that has none begins as a copy.
    """
    nets = nn.Module()
    for plan in program.nets:
        stages = [
            (path, {k: size_of(v, dims) if isinstance(v, Dim) else v for k, v in given.items()})
            for path, given in plan.stages
        ]
        _attach(nets, plan.name, build_net(stages, seed, plan.name))
    for weight in program.weights:
        value = initial_value(weight, seed, dims)
        _attach(nets, weight.name, Weight(value, weight.constraint))
    nets.to(dtype)  # before anything is loaded, lest it be rounded
    own = nets.state_dict()
    nets.load_state_dict({**own, **{k: v for k, v in weights.items() if k in own}})
    for average in program.averages:
        for copy, source in average.pairs:
            given = any(name.startswith(f"{copy}.") for name in weights)
            if not average.fresh and not given:
                nets.get_submodule(copy).load_state_dict(nets.get_submodule(source).state_dict())
    return nets


def _attach(root: nn.Module, name: str, net: nn.Module) -> None:
    """`target.f` becomes the module `f` inside the module `target`."""
    *path, last = name.split(".")
    for part in path:
        if not hasattr(root, part):
            root.add_module(part, nn.Module())
        root = root.get_submodule(part)
    root.add_module(last, net)


def average_of(nets: nn.Module, plan: AveragePlan) -> Average:
    find = nets.get_submodule
    return Average(plan, tuple((find(copy), find(source)) for copy, source in plan.pairs))


def _floating(net: nn.Module) -> list[Tensor]:
    return [b for b in net.buffers() if b.is_floating_point()]


Thawing = list[tuple[Duration, set[str]]]


def freeze(nets: nn.Module, program: Program) -> tuple[set[str], Thawing]:
    """Names of what is never trained, and of what is frozen until a time.

    Averages, nets that are only applied as fixed, and what the recipe freezes have no gradient
    at all.
    """
    nets.requires_grad_(True)
    for plan in program.nets:
        if plan.kind == "average" or plan.name in program.fixed:
            nets.get_submodule(plan.name).requires_grad_(False)
    frozen: set[str] = set()
    thawing: Thawing = []
    recipe = program.spec.recipe
    for selector in recipe.freeze if recipe is not None else ():
        if selector.operator == "until":
            what, time = selector.operands
            thawing.append((time, matching(what, nets, program)))
        else:
            frozen |= matching(selector, nets, program)
    for name, parameter in nets.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
    return frozen, thawing
