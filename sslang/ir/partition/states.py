"""Which states a graph reads, and which in such ways that no part needs all of their rows."""

from __future__ import annotations

from sslang.ir.graph import READ, Graph, Node
from sslang.types import TensorType


def reads(graph: Graph, state: str) -> frozenset[str]:
    """The nodes that read the state."""
    return frozenset(
        n.name for n in graph.nodes if n.op == READ and n.setting("state") == state
    )  # fmt: skip


def read_in_parts(graph: Graph, state: str) -> bool:
    """Whether every use of the state, if there is one, is `state[index]` or `x @ state.T`."""
    rows = reads(graph, state)
    columns = frozenset(n.name for n in graph.nodes if n.op == "transpose" and _reads(n, rows))
    if not (rows | columns).isdisjoint(graph.roots()):
        return False
    return all(
        n.name in columns or _takes_rows(n, rows) or _multiplies(n, graph, rows, columns)
        for n in graph.nodes if _reads(n, rows | columns)
    ) and all(_rank(graph.node(name)) == 2 for name in columns)  # fmt: skip


def _takes_rows(node: Node, rows: frozenset[str]) -> bool:
    return node.op == "gather" and node.references[0] in rows and node.references[1] not in rows


def _multiplies(node: Node, graph: Graph, rows: frozenset[str], columns: frozenset[str]) -> bool:
    if node.op != "matmul" or len(node.references) != 2 or node.references[1] not in columns:
        return False
    left = node.references[0]
    return left not in rows | columns and _rank(graph.node(left)) >= 2


def _reads(node: Node, names: frozenset[str]) -> bool:
    return not names.isdisjoint(node.references)


def _rank(node: Node) -> int:
    assert isinstance(node.type, TensorType)
    return node.type.rank
