"""Rows that are compared by inner products, and whose rows they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sslang.ir.graph import MEMBER, PERMUTE, READ, UNPERMUTE, Graph, Node
from sslang.ir.program import Program, StatePlan
from sslang.types import TensorType

SAME = frozenset(("stop_grad", "scale_grad", MEMBER, PERMUTE, UNPERMUTE))  # as what they read
_JOINS = frozenset(("concat", "stack", "roll"))


class Product(NamedTuple):
    """Rows compared by their inner products: names of the nodes that hold them."""

    node: Node
    left: str
    right: str


Uses = list[tuple[Product, str]]  # products with the rows of a state, and what they are with


def products(graph: Graph) -> Iterator[Product]:
    """`a @ b.T` and `sum(a * b, axis = -1)`, unless a is b."""
    by_name = graph.by_name
    for node in graph.nodes:
        if node.op == "matmul" and len(node.references) == 2:
            left, right = node.references
            if by_name[right].op == "transpose":
                yield Product(node, left, by_name[right].references[0])
        elif node.op == "sum" and node.references and along_last(node, by_name):
            inner = by_name[node.references[0]]
            if inner.op == "multiply" and len(set(inner.references)) == 2:
                yield Product(node, *inner.references)


def along_last(node: Node, by_name: Mapping[str, Node]) -> bool:
    type_ = by_name[node.references[0]].type
    axis = node.setting("axis")
    return isinstance(type_, TensorType) and axis in (-1, type_.rank - 1)


def rows_read(node: Node, by_name: Mapping[str, Node]) -> tuple[str, ...]:
    """The nodes whose rows are, unchanged, the rows of this one."""
    if node.op in SAME or (node.op == "index" and _keeps_last(node, by_name)):
        return node.references[:1]
    if node.op == "gather":
        source = by_name[node.references[0]].type
        return node.references[:1] if isinstance(source, TensorType) and source.rank > 1 else ()
    if node.op == "flatten" and not _joins_last(node, by_name):
        return node.references[:1]
    if node.op == "matmul" and len(node.references) == 2:
        chosen = by_name[node.references[0]].op == "one_hot"
        return node.references[1:] if chosen else ()
    if node.op in _JOINS and isinstance(node.type, TensorType) and node.type.rank > 1:
        last = node.setting("axis", 0) % node.type.rank == node.type.rank - 1
        return () if last else node.references
    return ()


def _joins_last(node: Node, by_name: Mapping[str, Node]) -> bool:
    """Whether what is flattened includes the last axis."""
    source = by_name[node.references[0]].type
    return not isinstance(source, TensorType) or node.setting("last") in (-1, source.rank - 1)


def _keeps_last(node: Node, by_name: Mapping[str, Node]) -> bool:
    """Whether the last axis of `x[items]` is that of x, whole."""
    items, source = node.setting("items"), by_name[node.references[0]].type
    if not isinstance(source, TensorType):
        return False
    given = sum(i is not None and i is not Ellipsis for i in items)
    if given < source.rank and Ellipsis not in items:
        return True
    return bool(items[-1] is Ellipsis or items[-1] == slice(None))


def held_rows(program: Program) -> dict[str, frozenset[str]]:
    """Of each node the states whose rows are among its rows."""
    by_name = program.step.by_name
    found: dict[str, frozenset[str]] = {}
    for node in program.step.nodes:
        if node.op == READ:
            found[node.name] = frozenset((node.setting("state"),))
        else:
            parts = [found[i] for i in rows_read(node, by_name) if i in found]
            if parts:
                found[node.name] = frozenset().union(*parts)
    return found


def uses_of(state: StatePlan, held: Mapping[str, frozenset[str]], compared: list[Product]) -> Uses:
    """The products with rows of the state, each with the node on the other side."""
    found = [(p, p.right) for p in compared if state.name in held.get(p.left, ())]
    return found + [(p, p.left) for p in compared if state.name in held.get(p.right, ())]
