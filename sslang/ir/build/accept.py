"""Values into parameters: what a primitive's annotation admits, and how it is written down."""

from __future__ import annotations

import types
import typing
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal, Union

from sslang.ir.build.values import Builtin, Family, Special, Word
from sslang.model.recipe import Recipe
from sslang.model.recipe import Word as Configuration
from sslang.ops import Primitive
from sslang.types import Dim, Interval


class Unfit(Exception):
    """The value is not what the parameter takes; the text says what it takes."""


@cache
def hints(primitive: Primitive) -> dict[str, Any]:
    return typing.get_type_hints(primitive.rule)


def choices(hint: Any) -> tuple[str, ...]:
    """The words that a parameter of this annotation gives a sense to."""
    if typing.get_origin(hint) is Literal:
        return tuple(c for c in typing.get_args(hint) if isinstance(c, str))
    return tuple(c for part in typing.get_args(hint) for c in choices(part))


@cache
def choices_of(model: type[Configuration] | type[Recipe]) -> dict[str, tuple[str, ...]]:
    """By field of a recipe, or argument of a word in it, the words that it gives a sense to."""
    return {name: choices(info.annotation) for name, info in model.model_fields.items()}


def accept(value: Any, hint: Any) -> Any:
    """`value` as the annotation `hint` wants it; Unfit where it does not fit."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return _word(value, choices(hint))
    if origin in (Union, types.UnionType):
        return _any_of(value, typing.get_args(hint))
    if origin is tuple:
        return _tuple(value, typing.get_args(hint)[0])
    return _plain(value, hint)


def _word(value: Any, allowed: tuple[str, ...]) -> str:
    text = word_of(value)
    if text is None or text not in allowed:
        raise Unfit(f"one of {', '.join(f'`{a}`' for a in allowed)}")
    return text


def one_of(words: Sequence[str]) -> str:
    """`a`, `b` or `c`."""
    quoted = [f"`{word}`" for word in words]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def word_of(value: Any) -> str | None:
    """The word that a value is spelled as, where it can stand for one."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Builtin):
        return value.primitive.name
    if isinstance(value, Special):
        return value.name
    if isinstance(value, type) and issubclass(value, Configuration):
        return value.word
    return None


def _any_of(value: Any, parts: tuple[Any, ...]) -> Any:
    wanted = []
    for part in parts:
        try:
            return accept(value, part)
        except Unfit as unfit:
            wanted.append(str(unfit))
    raise Unfit(" or ".join(dict.fromkeys(wanted)))


def _tuple(value: Any, item: Any) -> tuple[Any, ...]:
    if not isinstance(value, Family):
        raise Unfit("a list in brackets")
    return tuple(accept(v, item) for v in value.members)


def _plain(value: Any, hint: Any) -> Any:
    if hint is type(None):
        if value is None:
            return None
        raise Unfit("`none`")
    if hint is bool:
        if isinstance(value, bool):
            return value
        raise Unfit("`true` or `false`")
    if hint is int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        if isinstance(value, float) and value.is_integer():
            return int(value)
        raise Unfit("a whole number")
    if hint is float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        raise Unfit("a number")
    if hint is Interval:
        if isinstance(value, Interval):
            return value
        raise Unfit("a range such as 0.2..1")
    if hint is Dim:
        if isinstance(value, Dim):
            return value
        raise Unfit("a size")
    if hint is str:
        if isinstance(value, str) and not isinstance(value, Word):
            return value
        raise Unfit("a text in quotes")
    raise AssertionError(f"a primitive declares a parameter of type {hint}")
