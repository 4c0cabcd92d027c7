"""Which operands of an op go along with the rows of its result, and which are used whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sslang.ir.graph import Node
from sslang.ops import PRIMITIVES
from sslang.ops.tensors.shaping import keeps_rows
from sslang.records import record
from sslang.types import TensorType, Type
from sslang.types.values import depends_on_batch

Role = Literal["rows", "whole"]


@record(frozen=True)
class Operands:
    """The operands of an op with the type of each: the text names of `Node.references`."""

    types: tuple[Type, ...]
    local: tuple[bool, ...]  # whether its rows are split


def roles(node: Node, operands: Operands) -> tuple[Role, ...] | None:
    """The role of each operand, where rows of the result need only the same rows of those in the
    role "rows"; None where the op mixes rows."""
    types = tuple(t for t in operands.types if isinstance(t, TensorType))
    if len(types) != len(operands.types) or not isinstance(node.type, TensorType):
        return None
    found = _roles(node, types, operands.local)
    if found is None:
        return None
    carried = [t for t, role, local in zip(types, found, operands.local, strict=True)
               if role == "rows" and local]  # fmt: skip
    if not carried or not node.type.rank:
        return None
    if any(t.shape[0] != node.type.shape[0] for t in carried):
        return None
    return found


def _roles(
    node: Node, types: Sequence[TensorType], local: Sequence[bool]
) -> tuple[Role, ...] | None:
    result = node.type
    assert isinstance(result, TensorType)
    settings = dict(node.settings)
    match node.op:
        case "transpose":
            return ("rows",) if types[0].rank > 2 else None
        case "matmul":
            return _matmul(types, local, result)
        case "gather":
            return ("whole", "rows") if local[1] else None
        case "take" | "one_hot":
            return tuple("rows" for _ in types)
        case "index":
            return ("rows",) if keeps_rows(settings["items"], types[0].rank) else None
    primitive = PRIMITIVES[node.op]
    if primitive.couples(list(types), settings):
        return None
    if primitive.rule.__module__.endswith("elementwise"):
        if any(t.rank != result.rank for t, split in zip(types, local, strict=True) if split):
            return None
        return tuple(_along(t, result) for t in types)
    return tuple(_along(t, types[0]) for t in types)  # a mask goes along with what it masks


def _along(value: TensorType, leading: TensorType) -> Role:
    """Whether the first axis of `value` is, by NumPy's rule, that of `leading`."""
    if value.rank != leading.rank or not value.rank:
        return "whole"
    return "rows" if depends_on_batch(value.shape[0]) else "whole"


def _matmul(
    types: Sequence[TensorType], local: Sequence[bool], result: TensorType
) -> tuple[Role, ...] | None:
    a, b = types
    if b.rank == 2:
        return ("rows", "whole") if local[0] else None
    return tuple(_along(t, result) for t in types) if a.rank == b.rank else None
