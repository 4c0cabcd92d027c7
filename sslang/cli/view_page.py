"""What the page of a view op says beside its text, all of it read off the declaration."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from textwrap import fill
from typing import Any, Literal, Union, get_args, get_origin

from sslang.ir.build.accept import hints, one_of
from sslang.ir.build.chains import APPLIED
from sslang.ops import Misfit, Primitive
from sslang.ops.traits import MixesRows, Random
from sslang.types import BATCH, Interval, TensorType, ViewType

PLAIN = ViewType(3, 32)
_EVALUATION = {
    "drop": "left out",
    "keep": "stays",
    "sure": "stays where every image has it; with `@` left out",
    "crop": "a centre crop in its place",
}
_WORDS = {float: "number", int: "whole number", Interval: "range", str: "text"}
_TRIED = {float: (0.5, 45.0), int: (16, 48, 1, 0), Interval: (Interval(0.2, 0.5),)}


def shown(default: object) -> str:
    """Return a default as the language spells it."""
    if default is None:
        return "none"
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, Interval):
        return f"{default.low:g}..{default.high:g}"
    return str(default)


def facts(primitive: Primitive) -> str:
    """Return the parameters of a view op, what it takes and gives, draws and tells, in lines."""
    parts = [
        _block("Parameters", [*_parameters(primitive)]),
        _line("Computed by", "; ".join(_computed(primitive))),
        _line("Images", "; ".join(_images(primitive))),
        _line("Draws", _draws(primitive)),
        _line("In evaluation", _EVALUATION[primitive.evaluation]),
        _block("A loss can read", [*_numbers(primitive)]),
    ]
    return "\n".join(part for part in parts if part)


def _block(title: str, lines: list[str]) -> str:
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines)]) if lines else ""


def _line(title: str, text: str) -> str:
    return fill(f"{title}: {text}.", 96, subsequent_indent="  ")


def _parameters(primitive: Primitive) -> Iterator[str]:
    kornia = primitive.kornia
    for parameter in primitive.settings:
        name, default = parameter.name, parameter.default
        parts = [_type(hints(primitive)[name])]
        parts.append("required" if name in primitive.required else f"default {shown(default)}")
        if domain := _domain(primitive, name):
            parts.append(domain)
        if kornia is not None and name in kornia.arguments:
            theirs = kornia.arguments[name][0]
            if theirs != name:
                parts.append(f"kornia's `{theirs}`")
        yield f"{name}: {'; '.join(parts)}"


def _domain(primitive: Primitive, name: str) -> str:
    """Return where a setting may lie, as the shape rule says it of one that does not."""
    given = fitting(primitive, PLAIN) or {}
    for value in _beyond(hints(primitive)[name]):
        try:
            primitive.rule(PLAIN, **given | {name: value})
        except Misfit as misfit:
            if misfit.domain[0] == name:
                return misfit.domain[1]
    return ""


def _beyond(hint: Any) -> tuple[Any, ...]:
    """Values of a parameter that lie outside of any domain."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(value for one in reversed(get_args(hint)) for value in _beyond(one))
    most = 10**12
    return {float: (-most, most), int: (-most, most), Interval: (Interval(-most, most),)}.get(
        hint, ()
    )


def _type(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return one_of([word for word in get_args(hint) if isinstance(word, str)])
    if get_origin(hint) in (Union, types.UnionType):
        parts = dict.fromkeys(_type(part) for part in get_args(hint) if part is not type(None))
        return " or ".join([*parts, *(["`none`"] if type(None) in get_args(hint) else [])])
    if get_origin(hint) is tuple:
        return f"list of {_type(get_args(hint)[0])}s"
    return "`true` or `false`" if hint is bool else _WORDS[hint]


def _computed(primitive: Primitive) -> Iterator[str]:
    kornia = primitive.kornia
    if kornia is None or not primitive.is_augmentation:
        place = "" if kornia is None else f", in the place of `{kornia.path}`"
        if primitive.fused:
            yield f"kornia's functions on our draws, or a faster form of ours{place}"
        else:
            yield f"this package{place}"
        return
    yield f"`{kornia.path}`"
    made = [p.name for p in primitive.settings if p.name not in (*kornia.arguments, "per")]
    settings = fitting(primitive, PLAIN)
    if kornia.combined is not None and settings is not None:
        known = {**primitive.all_settings(settings), "image_size": PLAIN.size}
        theirs = list(kornia.combined(known))
        if theirs != made:
            verb = "is" if len(theirs) == 1 else "are"
            yield f"its {_list(theirs)} {verb} made of {_list(made)}"


def _list(names: list[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def _images(primitive: Primitive) -> Iterator[str]:
    """What the shape rule takes and gives, found by trying it."""
    in_unit = not _takes(primitive, replace(PLAIN, unit=False))
    grey = _takes(primitive, ViewType(1, 32, "gray"))
    kind = ("RGB or grey" if in_unit else "any channels") if grey else "RGB"
    size = "any size" if _takes(primitive, replace(PLAIN, size=None)) else "one size"
    yield f"takes {kind}{' in 0..1' if in_unit else ''}, of {size}"
    if in_unit:
        yield "not after `normalize`"
    if not _takes(primitive, replace(PLAIN, grid=(2, 2))):
        yield "not after `patches`"
    given = fitting(primitive, PLAIN)
    if given is None:
        return
    result = primitive.rule(PLAIN, **given)
    if result.grid is not None:
        yield "makes patches"
    elif result.size != PLAIN.size:
        yield "changes the size"
    if result.channels != PLAIN.channels:
        yield "changes the channels"
    elif result.space != PLAIN.space:
        yield f"the result is {result.space}"
    if not result.unit:
        yield "the result leaves 0..1"
    elif not in_unit and primitive.rule(replace(PLAIN, unit=False), **given).unit:
        yield "the result lies in 0..1"


def _takes(primitive: Primitive, x: ViewType) -> bool:
    return fitting(primitive, x) is not None


def fitting(primitive: Primitive, x: ViewType) -> dict[str, Any] | None:
    """Return settings with which the shape rule takes `x`; None where it takes it with none.

    Defaults are kept where they will do; there are few parameters without one.
    """
    required = [p for p in primitive.settings if p.name in primitive.required]
    unset = [p for p in primitive.settings if p.default is None or p.default == 0.0]
    for chosen in (required, [*required, *(p for p in unset if p.default is not False)]):
        for values in product(*(_tried(hints(primitive)[p.name], x) for p in chosen)):
            settings = dict(zip((p.name for p in chosen), values, strict=True))
            try:
                primitive.rule(x, **settings)
            except Misfit:
                continue
            return settings
    return None


def _tried(hint: Any, x: ViewType) -> tuple[Any, ...]:
    """Values to try for a parameter."""
    if get_origin(hint) in (Union, types.UnionType):
        return _tried(get_args(hint)[0], x)
    if get_origin(hint) is tuple:
        return ((0.5,) * x.channels,)
    return _TRIED.get(hint, ())


def _draws(primitive: Primitive) -> str:
    if not primitive.random:
        return "nothing"
    if primitive.has(Random):
        whole = not _takes(primitive, replace(PLAIN, grid=(2, 2)))
        told = "once an image" if whole else "once an image, after `patches` once a patch"
    else:
        told = "only whether an image has it, with `@`"
    if any(p.name == "per" for p in primitive.settings):
        told += "; with `per = step` once for the batch"
    if primitive.has(MixesRows):
        told += "; mixes each image with others of the batch"
    return told


def _numbers(primitive: Primitive) -> Iterator[str]:
    """The numbers of the op, each with its shape, which may follow from the settings."""
    if not primitive.random:
        return
    settings = primitive.all_settings(fitting(primitive, PLAIN) or {})
    for name, number in {**primitive.numbers, "applied": APPLIED}.items():
        shape = TensorType((BATCH, *number.shape_of(settings, PLAIN)), number.dtype)
        example = "e.g. " if callable(number.shape) else ""
        idle = number.idle_of(settings, PLAIN)
        told = "the row itself" if name == "partner" else shown(idle)
        otherwise = "" if name == "applied" else f"; {told} where the op was not applied"
        yield f"view.{primitive.name}.{name}: {example}{shape}; {number.doc}{otherwise}."
