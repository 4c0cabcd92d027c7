"""Applications of one net to several values of one type become one, each with its own statistics.

Before:  p = apply(a) net=f       After:  f = apply(a, b) net=f, joint=False
         q = apply(b) net=f               p, q = members of f

Only values that do not depend on each other are merged. Batch statistics stay those of each
value alone (rule 5 of the language). Keeps results to rounding: the convolutions' gradients are
summed in another order.
"""

from __future__ import annotations

from dataclasses import replace

from sslang.ir.graph import APPLY, FIELD, MEMBER, PERMUTE, UNPERMUTE, Graph, Node
from sslang.types import TensorType
from sslang.types.dims import scale


def merge_views(graph: Graph) -> Graph:
    for group in _candidates(graph):
        graph = _merge(graph, group)
    return graph


def _candidates(graph: Graph) -> list[list[str]]:
    """Groups of applications alike but for their input, in order of their first."""
    groups: dict[object, list[str]] = {}
    types = {n.name: n.type for n in graph.nodes}
    orders = _orders(graph)
    records = {n.references[0] for n in graph.nodes if n.op == FIELD}
    for node in graph.nodes:
        if node.op != APPLY or len(node.inputs) != 1 or node.setting("views") != 1:
            continue
        if node.name in records:
            continue
        source = node.inputs[0]
        assert isinstance(source, str)
        key = (node.settings, types[source], orders[source])
        groups.setdefault(key, []).append(node.name)
    return [names for names in groups.values() if len(names) > 1]


def _orders(graph: Graph) -> dict[str, str | None]:
    """Of each node, the permutation in whose order its rows stand."""
    found: dict[str, str | None] = {}
    for node in graph.nodes:
        if node.op == PERMUTE:
            found[node.name] = node.references[1]
        elif node.op == UNPERMUTE:
            found[node.name] = None
        else:
            orders = [found[n] for n in node.references]
            found[node.name] = next((order for order in orders if order is not None), None)
    return found


def _merge(graph: Graph, group: list[str]) -> Graph:
    """One application in the place of the last of the group, if what is between allows it."""
    by_name = graph.by_name
    members = [by_name[name] for name in group]
    depends = _dependants(graph, group)
    if any(i in depends for m in members for i in m.references):
        return graph  # one reads what another made
    first = members[0]
    assert isinstance(first.type, TensorType)
    rows = replace(
        first.type, shape=(scale(first.type.shape[0], len(group)), *first.type.shape[1:])
    )
    name = f"{first.name}_all"
    changed = {**dict(first.settings), "views": len(group), "joint": False}
    settings = tuple(changed.items())
    merged = Node(name, APPLY, tuple(m.inputs[0] for m in members), settings, rows, first.span)
    parts = [
        Node(m.name, MEMBER, (name,), (("at", at), ("of", len(group))), m.type, m.span)
        for at, m in enumerate(members)
    ]
    before = [n for n in graph.nodes if n.name not in depends and n.name not in group]
    after = [n for n in graph.nodes if n.name in depends and n.name not in group]
    return Graph((*before, merged, *parts, *after), graph.outputs, graph.writes)


def _dependants(graph: Graph, names: list[str]) -> set[str]:
    found: set[str] = set()
    for node in graph.nodes:
        if any(i in found or i in names for i in node.references):
            found.add(node.name)
    return found
