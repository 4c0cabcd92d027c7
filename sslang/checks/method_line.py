"""The words of the `method` line."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.diagnostics import Diagnostic, keyword, meant, nearest
from sslang.model.resolve import Module

_KNOWN = ("paper", "labels")


def method_line(module: Module) -> Iterator[Diagnostic]:
    """E303 for a keyword that `method` does not take."""
    for argument in module.method.arguments if module.method is not None else ():
        if argument.name is not None and argument.name not in _KNOWN:
            place = keyword(argument.name, argument.value.span)
            message = f"`method` has no argument `{argument.name}`"
            hint = nearest(argument.name, _KNOWN) or "it takes `paper` and `labels`"
            fix = meant(argument.name, _KNOWN, place)
            yield Diagnostic("E303", message, place, hint=hint, fix=fix)
