"""Names whose calls the builder itself understands: schedules, averages, batch-norm settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from sslang.diagnostics import Span
from sslang.ir.build import advice, choices, draws, ends, net_forms
from sslang.ir.build.context import Context
from sslang.ir.build.forms import SpecialForm, flag_of, time_of, word_given
from sslang.ir.build.values import (
    Arrow,
    Average,
    BatchNorm,
    Branch,
    BuiltNet,
    Description,
    Durations,
    Family,
    Function,
    Momentum,
    State,
    Value,
    describe,
)
from sslang.ops.schedules import Piecewise, Ramp, Schedule
from sslang.types import Duration


def _ramp(shape: Literal["cosine", "linear"]) -> Callable[..., Ramp]:
    def build(ctx: Context, given: dict[str, tuple[Any, Span]], span: Span) -> Ramp:
        value, where = given.get("ramp", (None, span))
        if not isinstance(value, Arrow):
            hint, fix = ends.ramp(shape, given, where)
            ctx.fail("E301", f"`{shape}` takes `a -> b`; this is {describe(value)}", where,
                     hint=hint, fix=fix)  # fmt: skip
        per = word_given(ctx, given, "per", _PER)
        over = time_of(ctx, given, "over")
        if over is not None and over.value == 0:
            ctx.fail("E309", "`over` is longer than nothing", given["over"][1])
        return Ramp(
            shape,
            value.start,
            value.end,
            warmup=time_of(ctx, given, "warmup"),
            over=over,
            shift=time_of(ctx, given, "shift"),
            per_epoch=per == "epoch",
            closed=flag_of(ctx, given, "closed"),
        )

    return build


def _piecewise(ctx: Context, given: dict[str, tuple[Any, Span]], span: Span) -> Piecewise:
    values, where = given.get("values", (None, span))
    times, at = given.get("at", (None, span))
    if isinstance(times, Duration):
        times = Durations((times,))
    if not isinstance(values, Family) or not isinstance(times, Durations):
        ctx.fail("E301", "`piecewise` takes values and times", where,
                 hint="write e.g. `piecewise([0.1, 0.01], at = [60] epochs)`")  # fmt: skip
    numbers = [v for v in values.members if isinstance(v, int | float) and not isinstance(v, bool)]
    if len(numbers) != len(values) or len(values) != len(times.items) + 1:
        ctx.fail("E303", f"{len(times.items)} times need {len(times.items) + 1} numbers", where)
    starts = [t.value for t in times.items]
    if starts != sorted(starts):
        ctx.fail("E309", "the times of `piecewise` must grow", at)
    return Piecewise(tuple(map(float, numbers)), times.items)


def _ema(ctx: Context, given: dict[str, tuple[Any, Span]], span: Span) -> Momentum:
    net, where = given.get("net", (None, span))
    if not isinstance(net, Branch | BuiltNet):
        hint, fix = "", None
        if isinstance(net, Description | Function):
            hint, fix = advice.of_description(ctx, where)
        elif isinstance(net, State | Value):
            hint = "a state averages by its write: `c <- 0.9 * c + 0.1 * mean(x, axis = 0)`"
        ctx.fail("E304", f"`ema` follows a net or branch; this is {describe(net)}", where,
                 hint=hint, fix=fix)  # fmt: skip
    if "momentum" not in given:
        ctx.fail("E303", "`ema` needs a momentum", span, hint="write e.g. `ema(online, 0.99)`")
    momentum, at = given["momentum"]
    if isinstance(momentum, Arrow):
        ends.bare_arrow(ctx, momentum, at)
    if isinstance(momentum, bool) or not isinstance(momentum, int | float | Schedule):
        ctx.fail("E301", f"`momentum` is a number or a schedule, not {describe(momentum)}", at,
                 hint=ends.scheduled(momentum))  # fmt: skip
    values = momentum.ends() if isinstance(momentum, Schedule) else (momentum,)
    if not all(0 <= m <= 1 for m in values):
        ctx.fail("E309", "a momentum lies in 0..1", at)
    init = word_given(ctx, given, "init", _INIT)
    average = Average(momentum, init == "fresh", flag_of(ctx, given, "buffers"), at)
    return Momentum(net, average)


def _images(ctx: Context, given: dict[str, tuple[Any, Span]], span: Span) -> int:
    value, where = given.get("images", (None, span))
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        ctx.fail("E301", f"a group has a number of images, not {describe(value)}", where)
    return value


def _groups(ctx: Context, given: dict[str, tuple[Any, Span]], span: Span) -> BatchNorm:
    return BatchNorm(_images(ctx, given, span), span=span)


def _shuffle(ctx: Context, given: dict[str, tuple[Any, Span]], span: Span) -> BatchNorm:
    return BatchNorm(_images(ctx, given, span), shuffled=True, span=span)


_PER, _INIT = ("step", "epoch"), ("copy", "fresh")
_RAMP = ("ramp", "warmup", "per", "over", "shift", "closed")

SPECIALS: dict[str, SpecialForm] = {
    form.name: form
    for form in (
        *choices.FORMS,
        *draws.FORMS,
        *net_forms.FORMS,
        SpecialForm(
            "cosine", _RAMP,
            "From a to b along half a cosine over the run: a + (b - a) (1 - cos(pi p)) / 2.\n\n"
            "At step t of n the progress p is t / n. With `warmup` of w steps the value is\n"
            "a t / w below w, then p = (t - w) / (n - w). `per = epoch` floors t to its epoch;\n"
            "`over` ends it early; `closed = true` reaches b at the last step; `shift` looks\n"
            "ahead. (The similarity is `cosine_similarity`.)",
            _ramp("cosine"), words={"per": _PER},
        ),
        SpecialForm(
            "linear", _RAMP,
            "From a to b along a straight line over the run; parameters as those of `cosine`.\n"
            "(With a width, `linear(128)` is a fully connected layer.)",
            _ramp("linear"), words={"per": _PER},
        ),
        SpecialForm(
            "piecewise", ("values", "at"),
            "Constant pieces: `piecewise([a, b, c], at = [120, 160] epochs)` is a, from epoch 120\n"
            "on b, from epoch 160 on c.",
            _piecewise,
        ),
        SpecialForm(
            "ema", ("net", "momentum", "init", "buffers"),
            "A momentum average of a net or branch (Tarvainen and Valpola, 2017).\n\n"
            "Copies its parameters at the start (`init = fresh`: draws its own), and after each\n"
            "step moves them: momentum * old + (1 - momentum) * the net's of t + 1. Parameters\n"
            "only, unless `buffers = true`. Runs in training mode with statistics of its own, is\n"
            "never trained, and must pass `stop_grad` where it enters a loss.",
            _ema, words={"init": _INIT},
        ),
        SpecialForm(
            "groups", ("images",),
            "Batch norm by runs of so many images of the global batch, each with all its views\n"
            "where the net is applied to a family: what per-device batch norm computes.",
            _groups,
        ),
        SpecialForm(
            "shuffle", ("images",),
            "Batch norm by groups, after one random permutation of the batch (MoCo's shuffled\n"
            "batch norm; He et al., 2020).",
            _shuffle,
        ),
    )
}  # fmt: skip
