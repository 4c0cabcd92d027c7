"""Invariants of the IR. A broken one is a fault of the compiler, so these are assertions."""

from __future__ import annotations

from sslang.ir.graph import (
    APPLY,
    CROSSINGS,
    DRAW,
    FIELD,
    IMAGE,
    INPUT,
    LATCH,
    MEMBER,
    PERMUTATION,
    PERMUTE,
    READ,
    SCHEDULE,
    SIZE,
    UNPERMUTE,
    WEIGHT,
    Graph,
)
from sslang.ops import PRIMITIVES
from sslang.types import TensorType, Type
from sslang.types.dims import scale

_OWN = frozenset((
    IMAGE, INPUT, DRAW, APPLY, MEMBER, FIELD, PERMUTATION, PERMUTE, UNPERMUTE, READ, LATCH,
    WEIGHT, SCHEDULE, SIZE,
))  # fmt: skip


def verify(graph: Graph) -> None:
    """Names are unique, uses follow definitions, ops are known, members add up."""
    types: dict[str, Type] = {}
    for node in graph.nodes:
        assert node.name.isidentifier(), f"`{node.name}` is no identifier"
        assert node.name not in types, f"two nodes are called `{node.name}`"
        assert node.op in _OWN | CROSSINGS or node.op in PRIMITIVES, f"unknown op `{node.op}`"
        for name in node.references:
            assert name in types, f"`{node.name}` uses `{name}` before it is made"
        if node.op == FIELD:
            assert graph.node(node.references[0]).op == APPLY, f"`{node.name}` is no field"
        if node.op == MEMBER:
            whole, of = types[node.references[0]], node.setting("of")
            assert isinstance(node.type, TensorType) and isinstance(whole, TensorType)
            assert scale(node.type.shape[0], of) == whole.shape[0], f"`{node.name}` is no member"
        types[node.name] = node.type
    for name in graph.roots():
        assert name in types, f"the output `{name}` is not made"
