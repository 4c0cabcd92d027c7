"""A name whose call the builder itself understands, and what such forms take."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from sslang.diagnostics import Span
from sslang.ir.build import habits
from sslang.ir.build.accept import one_of, word_of
from sslang.ir.build.context import Context
from sslang.ir.build.values import describe
from sslang.records import record
from sslang.types import Duration

Given = Sequence[tuple[Any, Span]]
Named = Mapping[str, tuple[Any, Span]]


@record(frozen=True)
class SpecialForm:
    """A form, with the parameters it takes and its reference page."""

    name: str
    parameters: tuple[str, ...]
    doc: str
    build: Callable[[Context, dict[str, tuple[Any, Span]], Span], Any]
    variadic: str = ""  # takes any number of arguments by place, under this name
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # that parameters know

    def call(self, ctx: Context, positional: Given, named: Named, span: Span) -> Any:
        if self.variadic:
            listed = {self.variadic: (list(positional), span)} if positional else {}
            return self._called(ctx, listed, named, span)
        if len(positional) > len(self.parameters):
            message = f"`{self.name}` takes at most {len(self.parameters)} arguments"
            ctx.fail("E303", message, positional[len(self.parameters)][1])
        return self._called(ctx, dict(zip(self.parameters, positional, strict=False)), named, span)

    def _called(
        self, ctx: Context, given: dict[str, tuple[Any, Span]], named: Named, span: Span
    ) -> Any:
        for key, value in named.items():
            if key not in self.parameters:
                habits.unknown_keyword(ctx, f"`{self.name}`", key, value[1], self.parameters)
            if key in given:
                ctx.fail("E303", f"`{key}` is given twice", value[1])
            given[key] = value
        return self.build(ctx, given, span)


def time_of(ctx: Context, given: Mapping[str, tuple[Any, Span]], key: str) -> Duration | None:
    if key not in given:
        return None
    value, span = given[key]
    if isinstance(value, int | float) and not isinstance(value, bool):
        ctx.fail("E308", f"`{key}` is a time, and {value:g} has no unit", span,
                 hint=f"write `{value:g} epochs` or `{value:g} steps`")  # fmt: skip
    if not isinstance(value, Duration):
        ctx.fail("E301", f"`{key}` is a time; this is {describe(value)}", span)
    return value


def flag_of(ctx: Context, given: Mapping[str, tuple[Any, Span]], key: str) -> bool:
    value, span = given.get(key, (False, None))
    if not isinstance(value, bool):
        ctx.fail("E301", f"`{key}` is `true` or `false`, not {describe(value)}", span)
    return value


def word_given(
    ctx: Context, given: Mapping[str, tuple[Any, Span]], key: str, allowed: tuple[str, ...]
) -> str:
    """The word that a parameter is given, else the first it knows; E301 for none of them."""
    if key not in given:
        return allowed[0]
    value, span = given[key]
    word = word_of(value)
    if word is None or word not in allowed:
        ctx.fail("E301", f"`{key}` is {one_of(allowed)}, not {describe(value)}", span)
    return word
