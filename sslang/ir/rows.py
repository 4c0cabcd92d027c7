"""Row analysis: does a value depend on no row of the batch, on its own row, or on other rows?

One analysis for three questions: whether splitting a batch is exact, where a gather would stand,
and (later) the first test for collapse. Batch norm inside a net does not count.
"""

from __future__ import annotations

from enum import IntEnum

from sslang.ir.graph import Graph, Node
from sslang.ops import PRIMITIVES
from sslang.ops.traits import MixesRows
from sslang.types import TensorType, Type, ViewType
from sslang.types.values import depends_on_batch


class Rows(IntEnum):
    """What rows a value depends on; the larger includes the smaller."""

    NONE = 0
    OWN = 1
    OTHER = 2


def row_analysis(graph: Graph) -> dict[str, Rows]:
    """Of each node, the rows it depends on."""
    found: dict[str, Rows] = {}
    types: dict[str, Type] = {}
    for node in graph.nodes:
        found[node.name] = _of(node, [found[n] for n in node.references],
                               [types[n] for n in node.references])  # fmt: skip
        types[node.name] = node.type
    return found


def _of(node: Node, rows: list[Rows], types: list[Type]) -> Rows:
    match node.op:
        case "image" | "input":
            return Rows.OWN
        case "draw":
            return Rows.OWN if node.setting("per") == "row" else Rows.NONE
        case "schedule" | "size" | "permutation" | "weight":
            return Rows.NONE
        case "read" | "latch":
            return Rows.OTHER  # written from the rows of earlier batches
        case "apply" | "member" | "field" | "permute_rows" | "unpermute_rows":
            return max(rows)
        case "gather_rows" | "total" | "ask" | "fetch" | "product":
            return Rows.OTHER
        case "own_rows" | "enter" | "once":
            return max(rows)
    widest = max(rows, default=Rows.NONE)
    if widest != Rows.OWN:
        return widest
    primitive = PRIMITIVES[node.op]
    if primitive.kind == "view":
        return Rows.OTHER if primitive.has(MixesRows) else Rows.OWN
    carriers = [t for t, r in zip(types, rows, strict=True) if r == Rows.OWN]
    if primitive.couples(types, dict(node.settings)) or not all(
        _aligned(t, node.type) for t in carriers
    ):
        return Rows.OTHER
    return Rows.OWN


def _aligned(source: Type, result: Type) -> bool:
    """Whether the rows of the source are the rows of the result: the batch stays in front."""
    if isinstance(source, ViewType) or isinstance(result, ViewType):
        return True
    return (
        isinstance(source, TensorType)
        and source.rank >= 1
        and result.rank >= 1
        and depends_on_batch(source.shape[0])
        and source.shape[0] == result.shape[0]
        and not any(depends_on_batch(s) for s in source.shape[1:])
    )
