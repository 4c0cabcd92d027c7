"""The IR as text: a node a line, with its type, the rows it depends on, and where it came from."""

from __future__ import annotations

from sslang.ir.graph import Graph, Node, Operand
from sslang.ir.rows import Rows, row_analysis
from sslang.types import Interval

_ROWS = {Rows.NONE: "no row", Rows.OWN: "own row", Rows.OTHER: "other rows"}


def graph_text(graph: Graph) -> str:
    """The whole graph, outputs and writes last."""
    rows = row_analysis(graph)
    left = [f"{n.name} = {n.op}({', '.join(_arguments(n))})" for n in graph.nodes]
    right = [
        f"{n.type}; {_ROWS[rows[n.name]]}" + (f"; {n.span}" if n.span is not None else "")
        for n in graph.nodes
    ]
    width = min(72, max((len(line) for line in left), default=0))
    lines = [f"{a.ljust(width)}  # {b}" for a, b in zip(left, right, strict=True)]
    lines += [f"output {key} = {name}" for key, name in graph.outputs.items()]
    for state, write in graph.writes.items():
        place = state if write.index is None else f"{state}[{write.index}]"
        lines.append(f"write {place} <- {write.value}")
    return "\n".join(lines) + "\n"


def _arguments(node: Node) -> list[str]:
    return [_operand(i) for i in node.inputs] + [f"{k}={_value(v)}" for k, v in node.settings]


def _operand(operand: Operand) -> str:
    return operand if isinstance(operand, str) else f"{operand!r}"


def _value(value: object) -> str:
    match value:
        case str() | Interval():
            return str(value)
        case slice():
            parts = ("" if b is None else str(b) for b in (value.start, value.stop))
            return ":".join(parts)
        case tuple():
            return f"({', '.join(_value(v) for v in value)})"
        case int() | float() | None:
            return f"{value}"
    return str(value)
