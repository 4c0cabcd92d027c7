"""A net is a sequence of parts, built once for its declared name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from sslang.emit.draws import torch_seed
from sslang.emit.nets.norms import NormPlan, set_plan
from sslang.emit.nets.paths import drops_of


@runtime_checkable
class Record(Protocol):
    """A part whose result has several fields, the first of them what `forward` gives."""

    def record(self, x: Tensor, *drops: object, **keep: Tensor) -> dict[str, Tensor]: ...


Stage = tuple[str, Mapping[str, object]]


class Net(nn.Sequential):
    """Parts applied in turn; slices are nets that share the parts."""

    def forward(
        self,
        x: Tensor,
        views: int = 1,
        joint: bool = True,
        group: int = 0,
        *,
        start: int = 0,
        stop: int | None = None,
        grid: tuple[int, int] | None = None,
        evaluation: bool = False,
        alike: bool = False,
        drop_path: float = 0.0,
        drops: Tensor | None = None,
        fields: tuple[str, ...] = (),
        keep: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, ...]:
        """Apply the parts start..stop to `views` members of B images each, joined along rows.

        `joint`, `group`, `evaluation`, `alike` are those of `NormPlan`. `grid` = (h, w): the rows
        are patches, those of an image together; the first part takes each as an image of its own,
        and from there on the patches of an image are one row, [images, h, w, D].
        `keep` [rows, N] is true for the patches that the first part, a transformer, is shown.
        With `fields` the result is the last part's record: a tuple of the values by these names.
        `drop_path` is the rate at the deepest block, `drops` the uniform numbers [rows, n] that
        decide it, two for each block applied; in evaluation nothing is dropped.
        """
        plan = NormPlan(views, joint, group, evaluation, alike)
        if evaluation or not self.training or not drop_path:
            drops = None
        at = 0
        parts = list(self)[start:stop]
        for place, part in enumerate(parts):
            if place == 0 and grid is not None:
                set_plan(part, replace(plan, group=group * grid[0] * grid[1]))
            else:
                set_plan(part, plan)
            taken = drops_of(part) if drops is not None else 0
            given = (drop_path, drops[:, at : at + taken]) if drops is not None and taken else ()
            at += taken
            shown = {"keep": keep} if keep is not None and place == 0 else {}
            if fields and place == len(parts) - 1:
                record = cast(Record, part).record(x, *given, **shown)
                return tuple(record[name] for name in fields)
            x = part(x, *given, **shown)
            if place == 0 and grid is not None:
                x = x.reshape(-1, *grid, *x.shape[1:])
        return x


def build_net(stages: Sequence[Stage], seed: int, name: str) -> Net:
    """Build a net from (dotted path of a builder, keyword arguments) in order.

    The initial draw follows (seed, name) and the stages alone: it is made on the CPU, and
    neither reads nor moves torch's global random state.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(torch_seed(seed, "net", name))
        return Net(*(_builder(path)(**arguments) for path, arguments in stages))


def _builder(path: str) -> Callable[..., nn.Module]:
    module, _, function = path.rpartition(".")
    return cast(Callable[..., nn.Module], getattr(import_module(module), function))
