"""What a node is made of."""

from __future__ import annotations

from collections.abc import Mapping

from sslang.ir.graph import Node
from sslang.types import ViewType


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
