"""The ordered pipeline of passes, with the IR verified before and after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from sslang.ir.graph import Graph
from sslang.ir.verify import verify
from sslang.passes.join_members import join_members
from sslang.passes.merge_views import merge_views
from sslang.records import record


@record(frozen=True)
class Pass:
    """A function on graphs, and whether it keeps results to the bit or to rounding."""

    run: Callable[[Graph], Graph]
    keeps: Literal["bits", "rounding"]

    @property
    def name(self) -> str:
        return self.run.__name__


PIPELINE: tuple[Pass, ...] = (
    Pass(merge_views, "rounding"),
    Pass(join_members, "bits"),
)


def optimise(graph: Graph, passes: Sequence[Pass] = PIPELINE) -> Graph:
    """The graph after every pass, pruned."""
    verify(graph)
    for step in passes:
        graph = step.run(graph).pruned()
        verify(graph)
    return graph
