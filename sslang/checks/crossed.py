"""Cross entropies between distributions that nets give: which side is which, cut, and sharper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.collapse import structure
from sslang.checks.gradient import carrying
from sslang.checks.products import SAME
from sslang.checks.terms import terms
from sslang.diagnostics import Diagnostic, Label
from sslang.ir.graph import APPLY, FIELD, SCHEDULE, SIZE, WEIGHT, Node
from sslang.ir.program import Program
from sslang.ops.schedules import ends_of
from sslang.records import record

_MOVES = SAME | {"index", "concat", "stack"}  # that leave numbers as they are
_NUMBERS = frozenset((SCHEDULE, SIZE))


@record(frozen=True)
class _Cross:
    """target * log_softmax(logits): the nodes."""

    product: Node
    target: Node
    prediction: Node


def cross_entropies(program: Program) -> Iterator[Diagnostic]:
    """E443 for sides exchanged, E444 for a target with a gradient, E448 for one that is flatter."""
    by_name = program.step.by_name
    found = [c for n in program.step.nodes if (c := _cross(n, by_name)) is not None]
    if not found or "loss" not in program.step.outputs:
        return
    carried = carrying(program)
    told: set[str] = set()
    alone = _nothing_else(program, found)
    for cross in found:
        code = ""
        if cross.target.name in carried and cross.prediction.name not in carried:
            code = "E443" if _is_raw(cross.target, by_name) else ""
        elif cross.target.name in carried:
            code = "E444" if alone and _is_distribution(cross.target, by_name) else ""
        elif cross.prediction.name in carried and _is_flatter(program, cross):
            code = "E448"
        if code and code not in told and structure(program).outcome != "error":
            told.add(code)
            yield _told(program, code, cross)


_SAID = {
    "E443": ("the logits have no gradient, and the target is no distribution",
             "the logits stand first: `cross_entropy(logits, target)`"),
    "E444": ("a gradient enters the target, a distribution that the nets give",
             "cut it: `stop_grad(...)` around the target"),
    "E448": ("the target's temperature is higher than the prediction's, so it is the flatter",
             "give the target the lower temperature: 0.04 beside 0.1"),
}  # fmt: skip


def _told(program: Program, code: str, cross: _Cross) -> Diagnostic:
    place, span = program.spans.get("loss"), cross.target.span
    own = span is not None and place is not None and span.source is place.source
    labels = (Label(span, "the target"),) if own and span is not None else ()
    message, hint = _SAID[code]
    return Diagnostic(code, message, place, labels, hint)


def _cross(node: Node, by_name: Mapping[str, Node]) -> _Cross | None:
    if node.op != "multiply" or len(set(node.references)) != 2:
        return None
    one, two = (by_name[name] for name in node.references)
    if one.op == "log_softmax" and two.op != "log_softmax":
        one, two = two, one
    return _Cross(node, one, two) if two.op == "log_softmax" != one.op else None


def _nothing_else(program: Program, found: list[_Cross]) -> bool:
    """Whether the loss is a sum of cross entropies: other terms may hold a free target."""
    products = {c.product.name for c in found}
    return all(t.name in products for t in terms(program.step))


def _is_raw(node: Node, by_name: Mapping[str, Node]) -> bool:
    """Whether it is what a net or a product gives, but for a number's multiple."""
    while node.references and (node.op in _MOVES or _is_multiple(node, by_name)):
        node = by_name[node.references[0]]
    return node.op in (APPLY, FIELD, "matmul")


def _is_distribution(node: Node, by_name: Mapping[str, Node]) -> bool:
    """Whether it is a softmax, or divided by a sum of itself, as Sinkhorn's rounds are."""
    while node.op in _MOVES or _is_multiple(node, by_name):
        values = [i for i in node.references if by_name[i].op not in _NUMBERS]
        if not values:
            return False
        node = by_name[values[0]]
    if node.op == "divide" and len(node.references) == 2:
        return by_name[node.references[1]].op == "sum"
    return node.op == "exp" and by_name[node.references[0]].op == "log_softmax"


def _is_multiple(node: Node, by_name: Mapping[str, Node]) -> bool:
    """A product with a number, or a quotient by one."""
    if node.op not in ("multiply", "divide"):
        return False
    return sum(by_name[i].op not in _NUMBERS for i in node.references) == 1


def _is_flatter(program: Program, cross: _Cross) -> bool:
    """Whether the target is a softmax of what the prediction is of, at a higher temperature."""
    by_name = program.step.by_name
    node = cross.target
    while node.op in SAME:
        node = by_name[node.references[0]]
    if node.op != "exp" or by_name[node.references[0]].op != "log_softmax":
        return False
    target = _tempered(program, by_name[node.references[0]])
    prediction = _tempered(program, cross.prediction)
    if not target.source or target.source != prediction.source:
        return False
    return target.lowest > prediction.highest


@record(frozen=True)
class _Tempered:
    """What a softmax is of, and the temperatures that it goes through."""

    source: str
    lowest: float
    highest: float


def _tempered(program: Program, softmax: Node) -> _Tempered:
    by_name = program.step.by_name
    node = by_name[softmax.references[0]]
    lowest = highest = 1.0
    while True:
        if node.op in SAME:
            node = by_name[node.references[0]]
        elif node.op == "divide" and _is_multiple(node, by_name) and node.inputs[0] is not None:
            ends = _ends(node.inputs[1], by_name)
            if not ends or not isinstance(node.inputs[0], str):
                return _Tempered("", lowest, highest)
            lowest, highest = lowest * min(ends), highest * max(ends)
            node = by_name[node.inputs[0]]
        elif node.op == "subtract" and isinstance(node.inputs[0], str):
            node = by_name[node.inputs[0]]  # a centre
        else:
            return _Tempered(_source(program, node), lowest, highest)


def _ends(operand: object, by_name: Mapping[str, Node]) -> tuple[float, ...]:
    if isinstance(operand, str):
        node = by_name[operand]
        return ends_of(node.setting("schedule")) if node.op == SCHEDULE else ()
    return (float(operand),) if isinstance(operand, int | float) else ()


def _source(program: Program, node: Node) -> str:
    """The trained net that gives the outputs, or the weight that they are products with."""
    by_name = program.step.by_name
    if node.op == "matmul":
        right = by_name[node.references[-1]]
        weight = by_name[right.references[0]] if right.op == "transpose" else right
        return str(weight.setting("net")) if weight.op == WEIGHT else ""
    if node.op != APPLY or node.setting("fixed"):
        return ""
    followed = {copy: source for a in program.averages for copy, source in a.pairs}
    net = str(node.setting("net"))
    return followed.get(net, net)
