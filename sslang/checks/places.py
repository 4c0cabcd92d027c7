"""Banks of all images, and the places at which they are read and written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.ancestors import state_of
from sslang.checks.declared import images
from sslang.diagnostics import Diagnostic, Label, Span
from sslang.diagnostics.fix import replacement
from sslang.ir.graph import INPUT, READ, Node
from sslang.ir.program import Program, StatePlan
from sslang.ir.rows import Rows, row_analysis
from sslang.types import Dim, Size, TensorType
from sslang.types.values import depends_on_batch

_ARRANGED = frozenset(("index", "flatten", "concat", "stack"))


def places(program: Program) -> Iterator[Diagnostic]:
    """E432 for a bank of all images that is read or written at places in the batch or at labels,
    and E450 for the places of images in what holds no row for each."""
    yield from _of_banks(program)
    yield from _of_others(program)


def _of_banks(program: Program) -> Iterator[Diagnostic]:
    banks = {s.name: s for s in program.states if s.kind == "bank" and _is_of_images(s.shape[0])}
    if not banks:
        return
    rows, by_name = row_analysis(program.step), program.step.by_name
    used = [(n, w.index) for n, w in program.step.writes.items() if n in banks and w.index]
    for node in program.step.nodes:
        if node.op in ("gather", "take"):
            bank = state_of(by_name, by_name[node.references[0]])
            if bank in banks and _is_of_images(_indexed(by_name, node)):
                used.append((bank, node.references[-1]))
    reported: set[str] = set()
    for name, index in used:
        for part in _parts(by_name, index):
            type_ = part.type
            rowwise = isinstance(type_, TensorType) and any(map(depends_on_batch, type_.shape))
            if not rowwise or name in reported:
                continue
            if rows[part.name] == Rows.NONE:
                reported.add(name)
                yield _misplaced(banks[name], part.span)
            elif _is_input(part, "label"):
                reported.add(name)
                yield _by_label(banks[name], by_name[index].span)


def _parts(by_name: Mapping[str, Node], name: str) -> list[Node]:
    """What an index is put together of, each part once."""
    found: list[Node] = []
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        node = by_name[waiting.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        if node.op not in _ARRANGED:
            found.append(node)
        elif node.op in ("concat", "stack"):
            waiting.extend(node.references)
        else:
            waiting.append(node.references[0])
    return found


def _is_input(node: Node, name: str) -> bool:
    return node.op == INPUT and node.setting("name") == name


def _of_others(program: Program) -> Iterator[Diagnostic]:
    by_name = program.step.by_name
    for node in program.step.nodes:
        if node.op not in ("gather", "take", "one_hot"):
            continue
        size = _indexed(by_name, node)
        if node.op == "gather" and by_name[node.references[0]].op == READ:
            continue  # of a bank that is too small E609 tells
        parts = _parts(by_name, node.references[-1])
        if _is_of_images(size) or not any(_is_input(part, "index") for part in parts):
            continue
        known = images(program)
        if not isinstance(size, int) or (known is not None and size < known):
            yield _of_no_image(program, node, size)


def _indexed(by_name: Mapping[str, Node], node: Node) -> Size:
    """How many an index chooses among."""
    if node.op == "one_hot":
        size: Size = node.setting("n")
        return size
    type_ = by_name[node.references[0]].type
    assert isinstance(type_, TensorType)
    return type_.shape[0 if node.op == "gather" else -1]


def _of_no_image(program: Program, node: Node, size: Size) -> Diagnostic:
    loss = program.spans.get("loss")
    place = node.place
    own = place is not None and loss is not None and place.source is loss.source
    message = (
        f"`index` is the place of each image in the data set, and here it chooses among {size}"
    )
    hint = "the class of an image is `label`, and its place in the batch `arange(batch)`"
    return Diagnostic("E450", message, place if own else loss, hint=hint)


def _by_label(state: StatePlan, span: Span | None) -> Diagnostic:
    own = span is not None and span.source is state.span.source
    label = Label(state.span, "one row for each image of the data")
    message = f"the bank `{state.name}` is used at labels: the images of a class share one row, and"
    hint = f"write `{state.name}[index]`, or declare `[classes]` rows"
    return Diagnostic("E432", f"{message} most rows are never written",
                      span if own else state.span, (label,) if own else (), hint)  # fmt: skip


def _is_of_images(size: Size) -> bool:
    return isinstance(size, Dim) and any(symbol == "dataset" for symbol, _ in size.terms)


def _misplaced(state: StatePlan, span: Span | None) -> Diagnostic:
    own = span is not None and span.source is state.span.source
    fix = replacement(span, "index") if span is not None and span.text == "arange(batch)" else None
    label = Label(state.span, "one row for each image of the data")
    message = f"the bank `{state.name}` is used at places in the batch, which other images have "
    return Diagnostic("E432", message + "in the next step", span if own else state.span,
                      (label,) if own else (), f"write `{state.name}[index]`", fix)  # fmt: skip
