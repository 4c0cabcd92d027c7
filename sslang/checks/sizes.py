"""Sizes of crops: beside the images, where the data have one size, and beside each other."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.checks.declared import side
from sslang.diagnostics import Diagnostic, Label, Span
from sslang.ir.graph import IMAGE, Node
from sslang.ir.program import Program
from sslang.types import Interval, ViewType

ENLARGED = 3  # times: CIFAR at 96 pixels is done on purpose, at 224 mostly by a forgotten `size`
_CROPS = frozenset(("random_resized_crop", "resize_and_crop", "random_crop"))


def sizes(program: Program) -> Iterator[Diagnostic]:
    """E513 for a crop that the images cannot hold, E514 for one that enlarges them, E515 for a
    view of a small part that is larger than one of a large part."""
    images = {node.name for node in program.step.nodes if node.op == IMAGE}
    first = [n for n in program.step.nodes if n.op in _CROPS and n.references[0] in images]
    known = side(program)
    reported: set[Span | None] = set()
    for node in first:
        place = _place(program, node)
        if known is not None and place not in reported:
            found = list(_beside_images(program, node, known, place))
            reported |= {place} if found else set()
            yield from found
    yield from _beside_each_other(program, first)


def _side(node: Node) -> int:
    assert isinstance(node.type, ViewType)
    assert node.type.size is not None
    return node.type.size


def _place(program: Program, node: Node) -> Span | None:
    """The chain of the view that the op belongs to, in the author's file."""
    name = str(node.setting("site", "")).partition("/")[2].partition("/")[0]
    family = name.rpartition("_")[0]
    return program.spans.get(name) or program.spans.get(family) or node.span


def _beside_images(
    program: Program, node: Node, known: int, place: Span | None
) -> Iterator[Diagnostic]:
    size, padding = _side(node), node.setting("padding", 0)
    recipe = program.spec.recipe
    assert recipe is not None
    data = f"`{recipe.data.word}` has images of {known} pixels"
    labels = _data_label(program, known)
    if node.op == "random_crop":
        if size > known + 2 * padding:
            yield Diagnostic("E513", f"{data}, and the crop takes {size}", place, labels,
                             f"take {known} pixels or less, or `random_resized_crop`")  # fmt: skip
    elif size > ENLARGED * known:
        times = f"{size / known:.2g} times the side, {(size / known) ** 2:.0f} times the work"
        yield Diagnostic("E514", f"{data}, and the view enlarges them to {size}: {times}", place,
                         labels, f"write `size = {known}` in the recipe")  # fmt: skip


def _data_label(program: Program, known: int) -> tuple[Label, ...]:
    span = program.spans.get("data")
    return (Label(span, f"images of {known} x {known}"),) if span is not None else ()


def _beside_each_other(program: Program, crops: list[Node]) -> Iterator[Diagnostic]:
    drawn = [(n, n.setting("scale", Interval(0.08, 1.0)), _side(n)) for n in crops
             if n.op == "random_resized_crop"]  # fmt: skip
    reported: set[Span | None] = set()
    for small, share, size in drawn:
        for large, whole, other in drawn:
            if share.high > whole.low or size <= other or share == whole:
                continue
            place, beside = _place(program, small), _place(program, large)
            if place in reported:
                continue
            reported.add(place)
            message = (
                f"this view shows {share} of the image in {size} pixels, and another {whole} of "
                f"it in {other}"
            )
            labels = (Label(beside, "the view of the larger part"),) if beside is not None else ()
            hint = "give views of small parts fewer pixels, or exchange the shares"
            yield Diagnostic("E515", message, place, labels, hint)
