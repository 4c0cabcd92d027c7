"""Ramps that move once an epoch, and whose times are in steps."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.checks.summands import roots, walk
from sslang.diagnostics import Diagnostic
from sslang.model.resolve import Module
from sslang.syntax import tree

_TIMES = frozenset(("over", "warmup"))


def epochwise(module: Module) -> Iterator[Diagnostic]:
    """E516 for `linear(a -> b, over = 30 steps, per = epoch)`: it moves once, if at all."""
    for root in roots(module):
        for node in walk(root):
            if isinstance(node, tree.Call) and _moves_by_the_epoch(node):
                yield from _in_steps(node)


def _moves_by_the_epoch(call: tree.Call) -> bool:
    return any(a.name == "per" and a.value.span.text == "epoch" for a in call.arguments)


def _in_steps(call: tree.Call) -> Iterator[Diagnostic]:
    for argument in call.arguments:
        time = argument.value
        if argument.name in _TIMES and isinstance(time, tree.Quantity) and time.unit == "steps":
            text = time.span.text
            message = f"`{argument.name}` is {text}, and this moves once an epoch: `per = epoch`"
            hint = f"write `{argument.name} = {text.replace('step', 'epoch')}`, or leave out `per`"
            yield Diagnostic("E516", message, time.span, hint=hint)
