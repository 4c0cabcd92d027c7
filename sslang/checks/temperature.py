"""Temperatures: what is divided by one is reversed by a negative, and flat under a large one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sslang.diagnostics import Diagnostic, Span
from sslang.ir.graph import Node
from sslang.ir.program import Program
from sslang.ops.schedules import Schedule

LARGEST = 10.0
_NAMED = re.compile(r"/\s*(\w*(?:temperature|temp|tau))\s*\)?$")


def temperatures(program: Program) -> Iterator[Diagnostic]:
    """E523 for a temperature of 0 or less, E524 for one above 10."""
    schedules = program.schedules
    reported: set[tuple[str, Span | None]] = set()
    for node in program.step.nodes:
        if node.op != "divide" or node.span is None:
            continue
        name = _named(node.span.text[-200:])
        ends = _ends(node, schedules) if name else ()
        if not ends:
            continue
        lowest, highest = min(ends), max(ends)
        if lowest > 0 and highest <= LARGEST:
            continue  # the search for its place reads every declaration
        place = _place(program, node, name, ends)
        if lowest <= 0 and ("E523", place) not in reported:
            reported.add(("E523", place))
            message = f"the temperature is {lowest:g}"
            yield Diagnostic("E523", message, place, hint="take a positive number, such as 0.1")
        elif highest > LARGEST and ("E524", place) not in reported:
            reported.add(("E524", place))
            message = f"the temperature is {highest:g}: all probabilities are nearly the same"
            hint = "temperatures are mostly 0.04 to 1"
            yield Diagnostic("E524", message, place, hint=hint)


def _named(text: str) -> str:
    found = _NAMED.search(text.strip())
    return found.group(1) if found is not None else ""


def _ends(node: Node, schedules: Mapping[str, Schedule]) -> tuple[float, ...]:
    """The values that the divisor takes, where it is a number or a schedule."""
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
