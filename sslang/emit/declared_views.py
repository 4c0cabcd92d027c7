"""The declared views of some images of a batch, also those that no net reads itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslang.emit.graph import Emitted, emit_views
from sslang.emit.view_draws import Drawing
from sslang.ir.graph import Graph
from sslang.ir.program import Program
from sslang.types import ViewType


@dataclass(frozen=True)
class DeclaredViews:
    """What a program declares as views; `graph` is its step, after the passes."""

    program: Program
    graph: Graph

    @cached_property
    def code(self) -> Emitted:
        """The code that makes all of them."""
        return emit_views(self.graph, tuple(dict.fromkeys(self.program.views.values())))

    @property
    def mixes(self) -> bool:
        """Whether the view of an image may need other images of the batch."""
        return any(draw.mixes for draw in self.code.draws)

    def type_of(self, name: str) -> ViewType:
        """Return the type of a view, by the name that a spec writes."""
        found = self.graph.node(self.program.views[name]).type
        assert isinstance(found, ViewType)
        return found

    @torch.no_grad()
    def make(
        self, pixels: Tensor, sizes: NDArray[np.int64], drawing: Drawing, rows: int
    ) -> dict[str, Tensor]:
        """Return each view of the first `rows` rows, [rows * patches, C, H, W], by its name.

        `pixels`, uint8 [B, 3, H, W], and `sizes`, [B, 2], are those of the whole batch, for which
        numbers are drawn; where no op mixes, its first rows will do.
        """
        needed = drawing.closure(self.code.draws, np.arange(rows))
        taken = pixels[torch.from_numpy(needed).to(pixels.device)]
        drawn = drawing.all(self.code.draws, needed)
        made = dict(
            zip(self.code.views, self.code.module(taken, sizes[needed], *drawn), strict=True)
        )
        return {
            name: made[node][: rows * self.type_of(name).patches]
            for name, node in self.program.views.items()
        }
