"""Which states a graph reads, and which by index alone, so that no part needs all of their rows."""

from __future__ import annotations

from sslang.ir.graph import READ, Graph

_BY_INDEX = "gather"


def reads(graph: Graph, state: str) -> frozenset[str]:
    """The nodes that read the state."""
    return frozenset(
        n.name for n in graph.nodes if n.op == READ and n.setting("state") == state
    )  # fmt: skip


def read_by_index(graph: Graph, state: str) -> bool:
    """Whether every use of the state, if there is one, is `state[index]`."""
    found = reads(graph, state)
    if not found.isdisjoint(graph.roots()):
        return False
    users = [node for node in graph.nodes if not found.isdisjoint(node.references)]
    return all(n.op == _BY_INDEX and n.references[1] not in found for n in users)
