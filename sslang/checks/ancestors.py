"""What a node is made of."""

from __future__ import annotations

from collections.abc import Mapping

from sslang.ir.graph import APPLY, FIELD, MEMBER, READ, Node
from sslang.types import ViewType

_CARRIES = frozenset(("transpose", "divide", "multiply", "log_softmax", "exp", "log", "negative"))


def state_of(by_name: Mapping[str, Node], node: Node) -> str:
    """The state whose rows these are, or the products of others with its rows; ``""``: none."""
    while node.op != READ:
        if node.op == "matmul":
            node = by_name[node.references[-1]]
        elif node.references and node.op in _CARRIES:
            node = by_name[node.references[0]]
        else:
            return ""
    name = node.setting("state")
    assert isinstance(name, str)
    return name


def views_of(by_name: Mapping[str, Node], node: Node) -> frozenset[str]:
    """The views that the node is computed from, each as its last operation gives it."""
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if at.name in seen:
            continue
        seen.add(at.name)
        if isinstance(at.type, ViewType):
            found.add(at.name)
        else:
            waiting.extend(by_name[i] for i in at.references)
    return frozenset(found)


def side_of(by_name: Mapping[str, Node], node: Node, at: int) -> frozenset[str]:
    """The views that one member of what a net gives, or what follows it, is computed from."""
    found: set[str] = set()
    seen: set[tuple[str, int]] = set()
    waiting = [(node, at)]
    while waiting:
        node, at = waiting.pop()
        if (node.name, at) in seen:
            continue
        seen.add((node.name, at))
        if isinstance(node.type, ViewType):
            found.add(node.name)
        elif node.op == APPLY and 1 < node.setting("views") <= len(node.references):
            waiting.append((by_name[node.references[at]], 0))
        elif node.op in (APPLY, FIELD):
            waiting.append((by_name[node.references[0]], at))
        elif node.op == MEMBER:
            waiting.append((by_name[node.references[0]], node.setting("at")))
        else:
            waiting.extend((by_name[name], at) for name in node.references)
    return frozenset(found)
