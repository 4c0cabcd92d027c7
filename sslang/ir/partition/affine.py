"""Is the loss a weighted sum of what the parts compute? Then gradients simply add up.

Where the loss is affine in the embeddings that carry a gradient, with weights that depend on no
row, the gradient of an embedding is known before any embedding is: each micro-batch can run its
backward pass at once (plain accumulation). Elsewhere all embeddings are needed first (gradient
caching: Gao et al., "Scaling Deep Contrastive Learning Batch Size", 2021).
"""

from __future__ import annotations

from enum import IntEnum

from sslang.ir.graph import (
    APPLY,
    ENTER,
    GATHER_ROWS,
    MEMBER,
    ONCE,
    OWN_ROWS,
    TOTAL,
    UNPERMUTE,
    WEIGHT,
    Node,
)
from sslang.ir.partition.partition import Partition
from sslang.types import TensorType

_LINEAR = frozenset((
    "negative", "sum", "mean", "concat", "stack", "index", "flatten", "unflatten", "transpose",
    "roll", MEMBER, GATHER_ROWS, OWN_ROWS, ENTER, TOTAL, ONCE, UNPERMUTE,
))  # fmt: skip


class _Kind(IntEnum):
    """What a value is in the embeddings; the larger wins."""

    CONSTANT = 0  # depends on none of them
    FIXED = 1  # depends on them, without gradient
    AFFINE = 2
    OTHER = 3


def is_affine(split: Partition) -> bool:
    """Whether the loss is affine in the embeddings that carry a gradient."""
    trained = carrying(split)
    embeddings = set(split.embeddings)
    kinds: dict[str, _Kind] = {}
    for node in split.graph.nodes:
        if node.name in embeddings:
            kinds[node.name] = _Kind.AFFINE if node.name in trained else _Kind.FIXED
        elif not split.is_embedding(node):
            kinds[node.name] = _of(node, [kinds.get(n, _Kind.CONSTANT) for n in node.references])
    return kinds[split.graph.outputs["loss"]] < _Kind.OTHER


def _of(node: Node, inputs: list[_Kind]) -> _Kind:
    most = max(inputs, default=_Kind.CONSTANT)
    if node.op in (APPLY, WEIGHT):  # its own gradient needs the embeddings
        return _Kind.OTHER
    if node.op == "stop_grad":
        return min(most, _Kind.FIXED)
    if most < _Kind.AFFINE:
        return most
    if most == _Kind.OTHER:
        return most
    others = [kind for kind in inputs if kind != _Kind.AFFINE]
    match node.op:
        case "add" | "subtract":
            return _Kind.AFFINE
        case "multiply":
            scaled = inputs.count(_Kind.AFFINE) == 1 and all(k == _Kind.CONSTANT for k in others)
            return _Kind.AFFINE if scaled else _Kind.OTHER
        case "divide":
            by = inputs[1] if len(inputs) == 2 else _Kind.CONSTANT
            numerator = isinstance(node.inputs[0], str)
            scaled = numerator and by == _Kind.CONSTANT
            return _Kind.AFFINE if scaled else _Kind.OTHER
    linear = node.op in _LINEAR and all(k == _Kind.CONSTANT for k in others)
    if node.op in ("concat", "stack"):
        linear = True
    return _Kind.AFFINE if linear else _Kind.OTHER


def asked(split: Partition) -> set[str]:
    """Values of which the loss's gradient asks for theirs."""
    found = {split.graph.outputs["loss"]}
    for node in reversed(split.graph.nodes):
        number = isinstance(node.type, TensorType) and node.type.dtype == "float"
        if node.name in found and node.op != "stop_grad" and number:
            found.update(node.references)
    return found


def carrying(split: Partition) -> set[str]:
    """Values into which a gradient may go on to parameters."""
    found: set[str] = set()
    for node in split.graph.nodes:
        if node.op == "stop_grad":
            continue
        if node.op in (APPLY, WEIGHT) or any(n in found for n in node.references):
            found.add(node.name)
    return found
