"""Policies of `kornia.augmentation.auto`: what an image is put through is drawn for each image.

kornia draws one choice for the whole batch. Here each image has its own, and the rows with the same
choice are applied together; with `per = step` there is one choice, which is kornia's way.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sslang.emit.augmentations.form import Form, Indices, Numbers, Source, built, seeded
from sslang.emit.views.rows import to_device

CHOSEN = "chosen"


class Policy(Form):
    """A policy: of each of its children the numbers are drawn for the whole batch.

    Numbers are called `SLOT/CHILD/OP/NAME`, and `chosen`, [n, slots], has the child in each slot.
    """

    slots = 1

    def build(self, kind: type[nn.Module], given: Mapping[str, Any]) -> nn.Module:
        policy: nn.Module = built(kind, given)
        self.children = [name for name, _ in policy.named_children()]
        return policy

    def choices(self, u: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the child of each row in each slot, [n, slots], of its uniform numbers."""
        return np.floor(u[:, :1] * len(self.children)).astype(np.int64)

    def numbers(self, source: Source, rows: Indices) -> Numbers:
        u = source.uniform(len(self.children))
        chosen = self.choices(np.repeat(u[:1], len(u), axis=0) if self.per_step else u)[rows]
        found: Numbers = {CHOSEN: torch.from_numpy(chosen)}
        taken = torch.from_numpy(rows)
        for slot, child in sorted({(s, int(c)) for row in chosen for s, c in enumerate(row)}):
            drawn = source.once((slot, child), partial(self._of_child, source, slot, child))
            for name, value in drawn.items():
                found[f"{slot}/{child}/{name}"] = value[taken]
        return found

    def _of_child(self, source: Source, slot: int, child: int) -> Numbers:
        """Return kornia's numbers of one child for the whole batch, `OP/NAME` each."""
        only = torch.tensor([child])
        self.module.get_forward_sequence = lambda params=None: (  # type: ignore[assignment]
            self.module.get_children_by_indices(only)  # type: ignore[operator]
            if params is None
            else self.module.get_children_by_params(params)  # type: ignore[operator]
        )
        with seeded(source.seed(slot * len(self.children) + child)):
            (item,) = self.module.forward_parameters(torch.Size(source.shape))  # type: ignore[operator]
        found = {}
        for op in item.data:
            for name, value in op.data.items():
                if name != "forward_input_shape":
                    found[f"{op.name}/{name}"] = value
        return found

    def apply(self, x: Tensor, numbers: Numbers) -> Tensor:
        chosen = numbers[CHOSEN].numpy()
        x = x.clone()
        for slot in range(chosen.shape[1]):
            for child in np.unique(chosen[:, slot]):
                rows = np.flatnonzero(chosen[:, slot] == child)
                at = torch.from_numpy(rows)
                prefix = f"{slot}/{child}/"
                own = {k.removeprefix(prefix): v[at] for k, v in numbers.items()
                       if k.startswith(prefix)}  # fmt: skip
                on_device = to_device(rows, x.device)
                changed = self.apply_child(x.index_select(0, on_device), int(child), own)
                x.index_copy_(0, on_device, changed)
        return x

    def apply_child(self, x: Tensor, child: int, numbers: Numbers) -> Tensor:
        """Return `x` put through one child, by the numbers of its rows."""
        from kornia.augmentation.container.params import ParamItem

        by_op: dict[str, dict[str, Any]] = {}
        for name, value in numbers.items():
            op, _, key = name.partition("/")
            by_op.setdefault(op, {"forward_input_shape": torch.tensor(x.shape)})[key] = value
        items = [ParamItem(op, given) for op, given in by_op.items()]
        changed: Tensor = self.module.transform_inputs(  # type: ignore[operator]
            x, [ParamItem(self.children[child], items)]
        )
        return changed.detach()


class RandAugment(Policy):
    """n different children, in a random order."""

    def choices(self, u: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.argsort(u, axis=1, kind="stable")[:, : self.settings["n"]]


class TrivialAugment(Policy):
    """One child."""


class AutoAugment(Policy):
    """One child, a pair of ops."""
