"""The ordered pipeline of passes, with the IR verified before and after each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from sslang.ir.graph import Graph
from sslang.ir.verify import verify
from sslang.passes.fuse_views import fuse_views
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
    Pass(fuse_views, "rounding"),
)


def default_passes(device: str) -> tuple[Pass, ...]:
    """The passes that a run on a kind of device takes, if none are named.

    On a GPU views are computed by kornia's ops until ours have been measured to be better there.
    """
    return tuple(p for p in PIPELINE if device == "cpu" or p.run is not fuse_views)


def passes_named(text: str | None) -> tuple[Pass, ...] | None:
    """Passes by their names, with commas between, or `none`; None for the device's own.

    Raises ValueError with what is known for another name.
    """
    if text is None:
        return None
    known = {step.name: step for step in PIPELINE}
    names = [] if text == "none" else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in known:
            raise ValueError(f"there is no pass `{name}`: none, or of {', '.join(known)}")
    return tuple(step for step in PIPELINE if step.name in names)


def optimise(graph: Graph, passes: Sequence[Pass] = PIPELINE) -> Graph:
    """The graph after every pass, pruned."""
    verify(graph)
    for step in passes:
        graph = step.run(graph).pruned()
        verify(graph)
    return graph
