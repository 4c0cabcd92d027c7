"""Forms on nets and values: `fixed`, `pretrained`, `weight_norm`, `until`, `repeat`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sslang.diagnostics import Span
from sslang.diagnostics.fix import replacement
from sslang.ir.build import advice
from sslang.ir.build.context import Context
from sslang.ir.build.ends import is_number
from sslang.ir.build.forms import SpecialForm, word_given
from sslang.ir.build.values import (
    Branch,
    Builtin,
    BuiltNet,
    Description,
    Function,
    NetSlice,
    Selector,
    describe,
)
from sslang.types import Duration

Given = dict[str, tuple[Any, Span]]
MAX_ROUNDS = 100
_GAINS = ("trained", "frozen")


def _fixed(ctx: Context, given: Given, span: Span) -> Branch:
    net, where = given.get("net", (None, span))
    if isinstance(net, BuiltNet | NetSlice):
        net = Branch("", (net,))
    if not isinstance(net, Branch):
        ctx.fail("E304", f"`fixed` takes a net or branch; this is {describe(net)}", where)
    return replace(net, name="", evaluation=True, fixed=True, average=None, applications=0)


def _pretrained(ctx: Context, given: Given, span: Span) -> Description:
    from sslang.ir.build.calls import ready

    net, where = given.get("net", (None, span))
    net = ready(ctx, net, where)
    if not isinstance(net, Description) or net.kind != "net" or not net.stages:
        ctx.fail("E304", f"`pretrained` takes a description of a net, not {describe(net)}", where,
                 hint='write e.g. `encoder f = pretrained(resnet50(), from = "...")`')  # fmt: skip
    source, at = given.get("from", (None, span))
    if not isinstance(source, str) or not source:
        ctx.fail("E301", "`from` is the path of a run or of a file of weights, in quotes", at)
    part, at = given.get("part", ("", span))
    if not isinstance(part, str):
        ctx.fail("E301", f'`part` is the name of the net in the run, such as "f", not '
                 f"{describe(part)}", at)  # fmt: skip
    return replace(net, origin=(str(source), str(part)))


def _weight_norm(ctx: Context, given: Given, span: Span) -> Description:
    from sslang.ir.build.calls import ready

    net, where = given.get("net", (None, span))
    net = ready(ctx, net, where)
    stages = net.stages if isinstance(net, Description) else ()
    if len(stages) != 1 or stages[0].primitive.name != "linear":
        ctx.fail("E304", f"`weight_norm` takes one linear layer, not {describe(net)}", where)
    gain = word_given(ctx, given, "gain", _GAINS)
    stage = replace(stages[0], settings=(*stages[0].settings, ("weight_norm", gain)))
    return Description("net", (stage,))


def _until(ctx: Context, given: Given, span: Span) -> Selector:
    from sslang.ir.build.operators import as_selector

    time, where = given.get("time", (None, span))
    what, at = given.get("what", (None, span))
    if not isinstance(time, Duration):
        hint, fix = "write e.g. `until(1 epochs, head)`", None
        if isinstance(what, Duration):
            text = f"{at.text}, {where.text}"
            hint, fix = f"the time comes first: `until({text})`", replacement(where.to(at), text)
        elif is_number(time):
            hint = f"write `{where.text} epochs` or `{where.text} steps`"
        ctx.fail("E308", f"`until` takes a time, not {describe(time)}", where, hint=hint, fix=fix)
    selector = as_selector(what, at)
    if selector is None or selector.operator == "until":
        reason, hint = advice.not_selected(what)
        message = f"`until` freezes nets, parts or weights; {reason or f'this is {describe(what)}'}"
        ctx.fail("E301", message, at, hint=hint)
    return Selector("until", (selector, time), span)


def _repeat(ctx: Context, given: Given, span: Span) -> Any:
    from sslang.ir.build.calls import applied

    rounds, where = given.get("n", (None, span))
    if isinstance(rounds, float) and rounds.is_integer():
        rounds = int(rounds)
    if isinstance(rounds, bool) or not isinstance(rounds, int) or not 0 <= rounds <= MAX_ROUNDS:
        ctx.fail("E309", f"`repeat` takes 0 to {MAX_ROUNDS} rounds, not {describe(rounds)}", where)
    step, at = given.get("step", (None, span))
    if not isinstance(step, Function | Builtin):
        ctx.fail("E304", f"`repeat` takes a function of one value, not {describe(step)}", at)
    value = given.get("x", (None, span))[0]
    for _ in range(rounds):
        value = applied(ctx, step, value, span)
    return value


FORMS = (
    SpecialForm(
        "fixed", ("net",),
        "A net or branch as it stands: evaluation mode, no gradient. What a phase applies only as\n"
        "`fixed` is not trained in it.",
        _fixed,
    ),
    SpecialForm(
        "pretrained", ("net", "from", "part"),
        "The description of a net whose parameters are loaded at the start:\n"
        '`encoder f = pretrained(resnet50(), from = "runs/simclr/...", part = "f")`.\n\n'
        "`from` is the folder of a run (its newest checkpoint), an exported encoder, or a file\n"
        "`.pt` or `.safetensors` with a state dict; `part` is the net's name in a run. Every\n"
        "parameter must be there, of the same shape.",
        _pretrained,
    ),
    SpecialForm(
        "weight_norm", ("net", "gain"),
        "A linear layer whose rows are g v / |v| (Salimans and Kingma, 2016), g beginning at 1:\n"
        "`weight_norm(linear(65536, bias = false), gain = frozen)`. A frozen gain stays 1.",
        _weight_norm, words={"gain": _GAINS},
    ),
    SpecialForm(
        "until", ("time", "what"),
        "In `freeze`: nets, parts or weights that are frozen until a time of the run:\n"
        "`freeze = [until(313 steps, prototypes)]`. A frozen parameter has no gradient at all:\n"
        "no momentum, no decay.",
        _until,
    ),
    SpecialForm(
        "repeat", ("n", "step", "x"),
        "A function applied n times: `repeat(3, step, x)` is `step(step(step(x)))`; n is a plain\n"
        "number. The only loop of the language.",
        _repeat,
    ),
)  # fmt: skip
