"""The loss that a contrastive form predicts for nets that know nothing yet: ln K."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sslang.ir.graph import INPUT, Node
from sslang.ir.program import Program
from sslang.records import record
from sslang.types import Size, TensorType

FAR = 3.0  # times the prediction, beyond which the first loss is worth a word


@record(frozen=True)
class Expected:
    """`loss` at the start, where each row's softmax is over `classes` rows alike."""

    loss: float
    classes: int


def expected_loss(program: Program, sizes: Mapping[str, int]) -> Expected | None:
    """What the loss is when all similarities are alike; None where its form does not say it.

    The form: sums, means and multiples of -log_softmax(...), of which each row takes one entry
    (InfoNCE, NT-Xent). With unit rows nets that are drawn at random stay near it or below it:
    their views of one image are more alike than others. Entries that a label names, and targets
    that are a distribution, are left out: there an untrained net may be wrong with confidence.
    `sizes` are `batch` and `dataset`.
    """
    loss = program.step.outputs.get("loss")
    by_name = program.step.by_name
    labelled: set[str] = set()
    known: dict[str, Expected] = {}
    for node in program.step.nodes:
        if node.op == INPUT or labelled.intersection(node.references):
            labelled.add(node.name)
        found = _of(by_name, node, known, labelled, sizes)
        if found is not None:
            known[node.name] = found
    return known.get(loss) if loss is not None else None


def _of(
    by_name: Mapping[str, Node],
    node: Node,
    known: Mapping[str, Expected],
    labelled: set[str],
    sizes: Mapping[str, int],
) -> Expected | None:
    """What a node is where all similarities are alike."""
    if node.op in ("take", "index"):
        return _entry(by_name, node, labelled, sizes)
    parts: list[float] = []
    for operand in node.inputs:
        if isinstance(operand, str) and operand in known:
            parts.append(known[operand].loss)
        elif isinstance(operand, int | float) and not isinstance(operand, bool):
            parts.append(float(operand))
        else:
            return None
    value = _combined(node, parts)
    classes = [known[name].classes for name in node.references]
    return Expected(value, max(classes)) if value is not None and classes else None


def _entry(
    by_name: Mapping[str, Node], node: Node, labelled: set[str], sizes: Mapping[str, int]
) -> Expected | None:
    """One entry of the log-softmax of each row, at a place that no label gives."""
    source = by_name[node.references[0]]
    if source.op != "log_softmax" or not isinstance(source.type, TensorType):
        return None
    if node.op == "index":
        items = node.setting("items")
        one = len(items) == source.type.rank and isinstance(items[-1], int)
    else:
        one = node.references[-1] not in labelled
    count = _number(source.type.shape[-1], sizes)
    if not one or count is None or source.setting("axis") not in (-1, source.type.rank - 1):
        return None
    if len(source.references) > 1:
        count -= 1  # a mask leaves the own row out
    return Expected(-math.log(count), count) if count > 1 else None


def _number(size: Size, sizes: Mapping[str, int]) -> int | None:
    if isinstance(size, int):
        return size
    return size.at(dict(sizes)) if all(name in sizes for name, _ in size.terms) else None


def _combined(node: Node, parts: list[float]) -> float | None:
    match node.op, parts:
        case "add", [a, b]:
            return a + b
        case "subtract", [a, b]:
            return a - b
        case "negative", [a]:
            return -a
        case "multiply", [a, b]:
            return a * b
        case "divide", [a, b] if b:
            return a / b
        case "mean", [a]:
            return a
    return None
