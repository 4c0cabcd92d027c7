"""Banks of all images, and the places at which they are read and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.diagnostics import Diagnostic, Label, Span
from sslang.diagnostics.fix import replacement
from sslang.ir.graph import INPUT, READ, Node
from sslang.ir.program import Program, StatePlan
from sslang.ir.rows import Rows, row_analysis
from sslang.types import Dim, TensorType
from sslang.types.values import depends_on_batch


def places(program: Program) -> Iterator[Diagnostic]:
    """E432 for a bank of all images that is read or written at places in the batch or at labels."""
    banks = {s.name: s for s in program.states if s.kind == "bank" and _is_of_images(s)}
    if not banks:
        return
    rows, by_name = row_analysis(program.step), program.step.by_name
    used = [(n, w.index) for n, w in program.step.writes.items() if n in banks and w.index]
    for node in program.step.nodes:
        source = by_name[node.references[0]] if node.op == "gather" else node
        if node.op == "gather" and source.op == READ and source.setting("state") in banks:
            used.append((source.setting("state"), node.references[-1]))
    reported: set[str] = set()
    for name, index in used:
        type_ = by_name[index].type
        rowwise = isinstance(type_, TensorType) and any(map(depends_on_batch, type_.shape))
        if not rowwise or name in reported:
            continue
        if rows[index] == Rows.NONE:
            reported.add(name)
            yield _misplaced(banks[name], by_name[index].span)
        elif _is_label(by_name, index):
            reported.add(name)
            yield _by_label(banks[name], by_name[index].span)


def _is_label(by_name: Mapping[str, Node], name: str) -> bool:
    """Whether it is the label of each row, arranged or not."""
    node = by_name[name]
    while node.op in ("index", "flatten", "concat", "stack"):
        node = by_name[node.references[0]]
    return node.op == INPUT and node.setting("name") == "label"


def _by_label(state: StatePlan, span: Span | None) -> Diagnostic:
    own = span is not None and span.source is state.span.source
    label = Label(state.span, "one row for each image of the data")
    message = f"the bank `{state.name}` is used at labels: the images of a class share one row, and"
    hint = f"write `{state.name}[index]`, or declare `[classes]` rows"
    return Diagnostic("E432", f"{message} most rows are never written",
                      span if own else state.span, (label,) if own else (), hint)  # fmt: skip


def _is_of_images(state: StatePlan) -> bool:
    rows = state.shape[0]
    return isinstance(rows, Dim) and any(symbol == "dataset" for symbol, _ in rows.terms)


def _misplaced(state: StatePlan, span: Span | None) -> Diagnostic:
    own = span is not None and span.source is state.span.source
    fix = replacement(span, "index") if span is not None and span.text == "arange(batch)" else None
    label = Label(state.span, "one row for each image of the data")
    message = f"the bank `{state.name}` is used at places in the batch, which other images have "
    return Diagnostic("E432", message + "in the next step", span if own else state.span,
                      (label,) if own else (), f"write `{state.name}[index]`", fix)  # fmt: skip
