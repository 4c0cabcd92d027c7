"""A step split by rows: its graph, and where the rows of each value are."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from sslang.ir.graph import DRAW, FETCH, INPUT, OWN_ROWS, TOTAL, Graph, Node
from sslang.ir.partition.placement import Local, Placement, Sharded, Whole
from sslang.records import record
from sslang.types import ViewType


@record(frozen=True)
class Partition:
    """The graph with what the parts tell each other, and where each of its values is."""

    graph: Graph
    placed: Mapping[str, Placement]

    def local(self, name: str) -> Local | None:
        found = self.placed[name]
        return found if isinstance(found, Local) else None

    @property
    def orders(self) -> tuple[str | None, ...]:
        """The orders of the batch in which embeddings are computed, the batch's own first."""
        found = {p.order for p in self.placed.values() if isinstance(p, Local)}
        permuted = [n.name for n in self.graph.nodes if n.name in found]
        return (None, *permuted)

    def is_free(self, node: Node) -> bool:
        """Whether a part can make the value wherever it is used: it depends on no image."""
        if node.op in (DRAW, INPUT) or (node.op == OWN_ROWS and not node.setting("batch")):
            return True
        placement = self.placed[node.name]
        if isinstance(placement, Sharded) or node.name in self.fetched:
            return True
        return isinstance(placement, Whole) and not placement.batch

    def is_embedding(self, node: Node) -> bool:
        """Whether the value is computed from the part's images alone."""
        placement = self.placed[node.name]
        is_local = isinstance(placement, Local) and placement.embedding
        return is_local and not self.is_free(node) and not isinstance(node.type, ViewType)

    @cached_property
    def embeddings(self) -> tuple[str, ...]:
        """The embeddings that the rest of the step reads, or that are outputs."""
        by_name = self.graph.by_name
        read = {
            name for node in self.graph.nodes
            if not self.is_embedding(node) and node.name not in self.fetched
            for name in node.references
        } | set(self.graph.roots())  # fmt: skip
        return tuple(
            n.name for n in self.graph.nodes
            if n.name in read and self.is_embedding(by_name[n.name])
        )  # fmt: skip

    @cached_property
    def fetched(self) -> tuple[str, ...]:
        """Rows of shared states, known before any image is seen: fetched once for all parts."""
        return tuple(n.name for n in self.graph.nodes if n.op == FETCH and self._is_early(n.name))

    def _is_early(self, name: str) -> bool:
        match self.placed[name]:
            case Local(embedding=early):
                return early
            case Whole(batch=late):
                return not late
        return False

    @cached_property
    def partial(self) -> frozenset[str]:
        """Values that are sums over the rows of a part."""
        return frozenset(n.references[0] for n in self.graph.nodes if n.op == TOTAL)
