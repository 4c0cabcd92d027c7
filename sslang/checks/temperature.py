"""Temperatures: what is divided by one is reversed by a negative, and flat under a large one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sslang.checks.lengths import Length, row_lengths
from sslang.checks.products import products
from sslang.diagnostics import Diagnostic, Span
from sslang.ir.graph import SCHEDULE, SIZE, Graph, Node
from sslang.ir.program import Program
from sslang.ops.schedules import Schedule

LARGEST = 10.0
_NAMED = re.compile(r"([/*])\s*(\w*(?:temperature|temp|tau))\s*\)?$")
_SOFTMAXES = frozenset(("log_softmax", "log_sum_exp", "exp"))
_PASSED = frozenset((
    "concat", "index", "stack", "stop_grad", "scale_grad", "add", "subtract", "negative",
))  # fmt: skip
_SCALES = frozenset(("divide", "multiply"))


def temperatures(program: Program) -> Iterator[Diagnostic]:
    """E523 for a temperature of 0 or less, E524 for one above 10 or that logits are multiplied by.

    A temperature is a number that logits are divided by on their way into a softmax, or that is
    called one. Where neither its name says it nor cosines are divided, a large one may be a scale,
    such as the root of the width.
    """
    by_name, schedules = program.step.by_name, program.schedules
    within = _before_softmax(program.step)
    cosines: frozenset[str] | None = None
    reported: set[tuple[str, Span | None]] = set()
    for node in program.step.nodes:
        if node.op not in _SCALES or node.span is None:
            continue
        name = _named(node.span, "*") if node.op == "multiply" else ""
        if name and node.name in within and max(_ends(node, schedules), default=0) > 1:
            yield _multiplied(node.span, name)
            continue
        name = _named(node.span, "/") if node.op == "divide" else ""
        ends = _ends(node, schedules) if name or node.name in within else ()
        if not ends or (min(ends) > 0 and max(ends) <= LARGEST):
            continue  # the search for its place reads every declaration
        if max(ends) > LARGEST and min(ends) > 0 and not name:
            cosines = _cosines(program) if cosines is None else cosines
            if not _is_of(by_name, node, cosines):
                continue
        yield from _told(program, node, name, ends, reported)


def _multiplied(span: Span, name: str) -> Diagnostic:
    message = f"the logits are multiplied by `{name}`: all probabilities are nearly the same"
    return Diagnostic("E524", message, span, hint=f"divide by it: `/ {name}`")


def _told(
    program: Program,
    node: Node,
    name: str,
    ends: tuple[float, ...],
    reported: set[tuple[str, Span | None]],
) -> Iterator[Diagnostic]:
    place = _place(program, node, name, ends)
    lowest, highest = min(ends), max(ends)
    if lowest <= 0 and ("E523", place) not in reported:
        reported.add(("E523", place))
        message = f"the temperature is {lowest:g}"
        yield Diagnostic("E523", message, place, hint="take a positive number, such as 0.1")
    elif highest > LARGEST and ("E524", place) not in reported:
        reported.add(("E524", place))
        message = f"the temperature is {highest:g}: all probabilities are nearly the same"
        yield Diagnostic("E524", message, place, hint="temperatures are mostly 0.04 to 1")


def _before_softmax(graph: Graph) -> frozenset[str]:
    """The products with a number and quotients by one that lead into a softmax."""
    by_name = graph.by_name
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [n.references[0] for n in graph.nodes if n.op in _SOFTMAXES and n.references]
    while waiting:
        node = by_name[waiting.pop()]
        if node.name in seen:
            continue
        seen.add(node.name)
        if node.op in _PASSED:
            waiting.extend(node.references)
        elif node.op in _SCALES:
            values = [i for i in node.references if by_name[i].op not in (SCHEDULE, SIZE)]
            if len(values) == 1:
                found.add(node.name)
                waiting.extend(values)
    return frozenset(found)


def _cosines(program: Program) -> frozenset[str]:
    """Products of rows of length 1."""
    lengths = row_lengths(program)
    return frozenset(
        p.node.name
        for p in products(program.step)
        if lengths[p.left] is lengths[p.right] is Length.UNIT
    )


def _is_of(by_name: Mapping[str, Node], node: Node, cosines: frozenset[str]) -> bool:
    """Whether what is divided is made of cosines."""
    waiting = list(node.references)
    while waiting:
        at = by_name[waiting.pop()]
        if at.name in cosines:
            return True
        if at.op in _PASSED:
            waiting.extend(at.references)
    return False


def _named(span: Span, sign: str) -> str:
    """The temperature that an expression ends with, after this sign."""
    found = _NAMED.search(span.text[-200:].strip())
    return found.group(2) if found is not None and found.group(1) == sign else ""


def _ends(node: Node, schedules: Mapping[str, Schedule]) -> tuple[float, ...]:
    """The values that the temperature takes, where it is a number or a schedule.

    Logits times c have the temperature 1 / c; a negative c makes similarities of distances.
    """
    if node.op == "multiply":
        factors = [i for i in node.inputs if isinstance(i, int | float) and not isinstance(i, bool)]
        return tuple(1 / abs(f) for f in factors if f)
    by = node.inputs[1]
    if isinstance(by, str):
        return schedules[by].ends() if by in schedules else ()
    return () if by is None or isinstance(by, bool) else (float(by),)


def _place(program: Program, node: Node, name: str, ends: tuple[float, ...]) -> Span | None:
    """Where the author wrote it: the param, else the call that the division was inlined from."""
    loss = program.spans.get("loss")
    assert node.span is not None
    if loss is None:
        return node.span
    if node.span.source is loss.source and name in program.spans:
        return program.spans[name]
    called = re.compile(rf"\b{re.escape(node.scope.partition('/')[0])}\s*\(")
    own = [loss, *(s for s in program.spans.values() if s.source is loss.source)]
    calls = [s for s in own if node.scope and called.search(s.text)]
    written = {text for e in ends for text in (f"{e:g}", str(e))}
    for call in calls:
        for word in re.findall(r"\w+", call.text):
            given = program.spans.get(word)
            if given is not None and given.text in written:
                return given
    literal = re.compile("|".join(rf"(?<![\w.]){re.escape(w)}(?![\w.])" for w in written))
    stands = [s for s in calls if literal.search(s.text)]
    return (stands or calls or [node.span])[0]
