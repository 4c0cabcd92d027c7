"""Content analysis: what of the data a value carries beside embeddings that are trained.

A target made of pixels, labels, the place of an image in the data set or what an op of a view drew
(by how much an image was turned) cannot be brought to a constant by training. What a net makes of
such things is no content if the net is trained, for it can learn to leave them out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping

from sslang.ir.graph import APPLY, DRAW, INPUT, READ, Graph, Node
from sslang.ir.program import Program
from sslang.ops import PRIMITIVES
from sslang.ops.traits import MixesRows
from sslang.types import ViewType

PIXELS = "pixels"
FIXED = "what an untrained net gives"
DRAWN = "what an op of a view drew"
_INPUTS = {"label": "labels", "index": "index"}


def content_of(program: Program, untrained: Container[str]) -> dict[str, frozenset[str]]:
    """Of each node of the step: `pixels`, `labels`, `index`, what an op of a view drew, or what an
    untrained net gives."""
    graph = program.step
    trained = {n.name for n in graph.nodes if n.op == APPLY and n.setting("net") not in untrained}
    users = _users(graph)
    sources: dict[str, list[str]] = defaultdict(list)
    for node in graph.nodes:
        if isinstance(node.type, ViewType):
            sources[PIXELS].append(node.name)
        elif node.op == INPUT:
            sources[_INPUTS[node.setting("name")]].append(node.name)
        elif _tells(node):
            sources[DRAWN].append(node.name)
    applied = {n.name for n in graph.nodes if n.op == APPLY}
    found: dict[str, set[str]] = {node.name: set() for node in graph.nodes}
    for content, begin in sources.items():
        closed = applied if content == PIXELS else trained
        for name in _carried(begin, users, closed):
            found[name].add(content)
    made = [
        n for n in applied - trained if any(PIXELS in found[i] for i in graph.node(n).references)
    ]
    for name in _carried(made, users, trained):
        found[name].add(FIXED)
    return {name: frozenset(content) for name, content in found.items()}


def _tells(node: Node) -> bool:
    """Whether this is a number that a view was made by and shows, as the angle that it was turned.

    What says who was mixed in tells embeddings apart, which are compared.
    """
    number = node.setting("number") if node.op == DRAW else None
    return (
        number is not None
        and number.name != "applied"
        and not PRIMITIVES[number.op.op].has(MixesRows)
    )


def _users(graph: Graph) -> Mapping[str, list[str]]:
    """Of each node those that read it, at once or by way of a state."""
    users: dict[str, list[str]] = defaultdict(list)
    for node in graph.nodes:
        for name in node.references:
            users[name].append(node.name)
        write = graph.writes.get(node.setting("state")) if node.op == READ else None
        if write is not None:
            users[write.value].append(node.name)
    return users


def _carried(
    begin: Iterable[str], users: Mapping[str, list[str]], closed: Container[str]
) -> Iterator[str]:
    """The nodes that something at these comes to, each once; nothing enters those `closed`."""
    waiting = list(begin)
    seen = set(waiting)
    while waiting:
        name = waiting.pop()
        yield name
        for user in users.get(name, ()):
            if user not in seen and user not in closed:
                seen.add(user)
                waiting.append(user)
