"""A net applied to all members of one joined value is applied to the joined value itself.

Before:  f = apply(a, b)          After:  f = apply(a, b)
         m0, m1 = members of f            g = apply(f)
         g = apply(m0, m1)

The same for `concat` along rows. Keeps every bit: joining what was split is the identity.
"""

from __future__ import annotations

from dataclasses import replace

from sslang.ir.graph import APPLY, MEMBER, Graph, Node


def join_members(graph: Graph) -> Graph:
    nodes: list[Node] = []
    known: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    for node in graph.nodes:
        node = replace(
            node, inputs=tuple(renamed.get(i, i) if isinstance(i, str) else i for i in node.inputs)
        )
        joined = _joined(node, known)
        if joined is not None and node.op == "concat":
            renamed[node.name] = joined
            continue
        if joined is not None:
            node = replace(node, inputs=(joined,))
        nodes.append(node)
        known[node.name] = node
    return graph.replaced(renamed, nodes)


def _joined(node: Node, known: dict[str, Node]) -> str | None:
    """The value whose members, all and in order, the node reads."""
    along_rows = node.op == APPLY or (node.op == "concat" and node.setting("axis") == 0)
    if not along_rows or len(node.inputs) < 2 or node.setting("drop_path"):
        return None
    if node.setting("keep"):
        return None
    members = [known[i] for i in node.references]
    sources = {m.inputs[0] for m in members if m.op == MEMBER}
    places = [(m.setting("at"), m.setting("of")) for m in members if m.op == MEMBER]
    complete = places == [(i, len(members)) for i in range(len(members))]
    if len(sources) == 1 and complete:
        source = next(iter(sources))
        assert isinstance(source, str)
        return source
    return None
