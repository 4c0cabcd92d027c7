"""A net is a sequence of parts, built once for its declared name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import cast

import torch
from torch import Tensor, nn

from sslang.emit.draws import torch_seed
from sslang.emit.nets.norms import NormPlan, set_plan

Stage = tuple[str, Mapping[str, object]]


class Net(nn.Sequential):
    """Parts applied in turn; slices are nets that share the parts."""

    def forward(self, x: Tensor, views: int = 1, joint: bool = True, group: int = 0) -> Tensor:
        """Apply to `views` members of B images each, joined along the rows of `x`.

        `joint` and `group` are those of `NormPlan`, and matter to batch norm alone.
        """
        set_plan(self, NormPlan(views, joint, group))
        for part in self:
            x = part(x)
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
