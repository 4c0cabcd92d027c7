"""The roots of a spec - loss, writes, features, recipe - evaluated into a program."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial

from sslang.diagnostics import Diagnostic, Label
from sslang.ir.build import undefined
from sslang.ir.build.context import Context, Scope
from sslang.ir.build.names import lookup
from sslang.ir.build.nets import agreed, net_of
from sslang.ir.build.recipe import places, recipe_of
from sslang.ir.build.step import training_step
from sslang.ir.build.text import hidden, resolved_text, settings_text
from sslang.ir.build.values import (
    BuiltNet,
    Initial,
    State,
    Value,
    describe,
)
from sslang.ir.graph import APPLY, Graph, Node
from sslang.ir.program import AveragePlan, NetPlan, Program, StatePlan
from sslang.model.recipe import REQUIRED, Recipe
from sslang.model.resolve import Entry, Resolved
from sslang.model.spec import Spec
from sslang.ops.nets import PARTS
from sslang.records import record
from sslang.syntax import tree
from sslang.types import BATCH, TensorType

COMPARED = 8  # recipes that were built last


def build(resolved: Resolved) -> Program:
    """The program of a resolved spec, its first phase; what is wrong is in its `diagnostics`.

    Phases after the first are in `later`; all share one text and one hash.
    """
    return Builder().program(resolved)


class Builder:
    """Builds a file under one recipe after another.

    Recipes that differ in nothing that steps and features read - in `length`, say - share graphs.
    """

    def __init__(self) -> None:
        self._built: deque[tuple[list[_Built], int]] = deque(maxlen=COMPARED)

    def program(self, resolved: Resolved) -> Program:
        """`build`."""
        phases = resolved.phases()
        contexts = [Context(phase, "recipe") for phase in phases]
        recipes = [recipe_of(context) for context in contexts]
        crops = [recipe.crop if recipe else 0.875 for recipe in recipes]
        built = self._alike(resolved, phases, crops)
        if built is None:
            before = resolved.work.steps
            built = [_built(*given) for given in zip(phases, crops, strict=True)]
            _see(built)
            self._built.append((built, resolved.work.steps - before))
        parts = [_Part(*given) for given in zip(phases, recipes, contexts, built, strict=True)]
        reached = [(part.resolved, part.touched) for part in parts]
        written = cache(partial(resolved_text, resolved, reached))
        settings = settings_text(resolved, parts[0].touched)
        found = _agree(built)
        first, *rest = (_program(part, resolved, written, settings) for part in parts)
        diagnostics = tuple(dict.fromkeys(d for p in (first, *rest) for d in p.diagnostics))
        used = frozenset().union(*(p.used for p in (first, *rest)))
        return replace(first, later=tuple(rest), diagnostics=(*diagnostics, *found), used=used)

    def _alike(
        self, resolved: Resolved, phases: Sequence[Resolved], crops: Sequence[float]
    ) -> list[_Built] | None:
        """What an earlier recipe made of the same: all phases or none, for they share nets.

        It counts as many steps, for checks take as long.
        """
        for built, steps in self._built:
            if all(map(_Built.is_of, built, phases, crops)):
                resolved.work.steps += steps
                return built
        return None


@record(frozen=True, eq=False)
class _Built:
    """What a phase computes, and which declarations that rests on."""

    training: Context
    evaluation: Context
    step: Graph
    features: Graph | None
    nets: Mapping[str, BuiltNet]
    averages: tuple[AveragePlan, ...]

    def is_of(self, resolved: Resolved, crop: float) -> bool:
        """Whether it would be made again of this phase."""
        before, now = self.training.resolved.namespace.entries, resolved.namespace.entries
        contexts = (self.training, self.evaluation)
        return (
            before.keys() == now.keys()
            and crop == self.evaluation.crop
            and not any(d.is_error for context in contexts for d in context.diagnostics)
            and all(_same(before[n], now[n]) for c in contexts for n in c.asked if n in now)
        )


def _same(a: Entry, b: Entry) -> bool:
    """Whether two recipes have a name's right side of one place."""
    return a is b or (
        a.value is b.value
        and a.target is b.target
        and a.declared is b.declared
        and a.layer == b.layer
    )


@record(frozen=True, eq=False)
class _Part:
    """A phase under a recipe."""

    resolved: Resolved
    recipe: Recipe | None
    context: Context  # of the recipe's fields
    built: _Built

    @property
    def contexts(self) -> tuple[Context, ...]:
        return (self.context, self.built.training, self.built.evaluation)

    @cached_property
    def touched(self) -> tuple[Entry, ...]:
        return tuple({key: e for c in self.contexts for key, e in c.touched.items()}.values())


def _built(resolved: Resolved, crop: float) -> _Built:
    training = Context(resolved, "training")
    outputs, writes = training_step(training)
    evaluation = Context(resolved, "evaluation", crop=crop)
    features = _features(evaluation)
    if features is not None:
        embedding = _embedding(training, features)
        if embedding is not None:
            outputs["embedding"] = embedding
    nets = _nets(training, evaluation)
    averages = tuple(_averages(training, evaluation, nets))
    return _Built(training, evaluation, training.graph(outputs, writes), features, nets, averages)


def _nets(training: Context, evaluation: Context) -> dict[str, BuiltNet]:
    """Every net by name; one that both use has the larger of what is flexible."""
    nets = {**evaluation.nets, **training.nets}
    for name, net in nets.items():
        other = evaluation.nets.get(name)
        if other is not None and other is not net:
            both = agreed(net.arguments, other.arguments, net.flexible)
            if both is None:
                evaluation.diagnostics.append(_differs(net, other))
            net.arguments = net.arguments if both is None else both
    return nets


def _see(phases: Sequence[_Built]) -> None:
    """Tell of what no phase's step reads."""
    seen = {entry.name for built in phases for entry in built.training.touched.values()}
    for built in phases:
        built.evaluation.diagnostics.extend(_seen_by_no_loss(built, seen))


def _seen_by_no_loss(built: _Built, seen: set[str]) -> Iterator[Diagnostic]:
    """E435 for a view that only `features` reads, though its chain is drawn at random.

    `seen` are the names that the step of some phase reads.
    """
    contexts = (built.training, built.evaluation)
    if any(d.is_error for context in contexts for d in context.diagnostics):
        return
    for entry in built.evaluation.touched.values():
        if entry.kind != "view" or entry.name in seen:
            continue
        context = Context(built.evaluation.resolved, "training")
        with context.collecting():
            lookup(context, entry.name, entry.span, Scope())
        if any(node.setting("site") is not None for node in context.nodes):
            message = f"no loss sees the view `{entry.name}`: `features` alone reads it"
            yield Diagnostic("E435", message, entry.span, (),
                             "let the loss read it, or evaluate a view that it reads")  # fmt: skip


def _differs(net: BuiltNet, other: BuiltNet) -> Diagnostic:
    """E305 for a net that the step and `features` apply to inputs that do not fit one net."""
    labels = (Label(net.first_use, f"used on {net.input} here"),) if net.first_use else ()
    message = f"the net `{net.name}` is for {net.input}, and `features` gives it {other.input}"
    return Diagnostic("E305", message, other.first_use, labels)


def _program(
    part: _Part, resolved: Resolved, written: Callable[[], str], settings: dict[str, str]
) -> Program:
    method = resolved.module.method
    spec = Spec(
        method=method.name if method is not None else "",
        paper=_paper(method),
        recipe_name=resolved.recipe,
        overrides=resolved.overrides,
        written=written,
        recipe=part.recipe,
        settings=settings,
        assumes=tuple((a.name, a.reason) for a in resolved.assumes),
    )
    built = part.built
    plans = [_state(s) for s in built.training.states.values()]
    return Program(
        spec=spec,
        phase=part.resolved.phase,
        step=built.step,
        features=built.features,
        nets=tuple(_plan(net) for net in built.nets.values()),
        averages=built.averages,
        states=tuple(p for p in plans if p.kind != "weight"),
        weights=tuple(p for p in plans if p.kind == "weight"),
        fixed=_fixed(built.step),
        diagnostics=(*_diagnostics(part.resolved, *part.contexts), *hidden(part.touched)),
        spans=dict(places(part.resolved, part.recipe, part.contexts)),
        used=frozenset(_used(part)),
        drops=built.training.drops,
    )


def _used(part: _Part) -> Iterator[str]:
    """Names of the file that the phase reaches; those of a phase's block as `phase.name`."""
    for entry in part.touched:
        if entry.home is None:
            own = entry.name in part.resolved.own
            yield f"{part.resolved.phase}.{entry.name}" if own else entry.name


def _fixed(step: Graph) -> frozenset[str]:
    """Nets that every application holds fixed."""
    applied = [n for n in step.nodes if n.op == APPLY]
    trained = {n.setting("net") for n in applied if not n.setting("fixed")}
    return frozenset(n.setting("net") for n in applied) - trained


def _agree(phases: Sequence[_Built]) -> list[Diagnostic]:
    """E305 where two phases need a net of one name built in two ways."""
    found: list[Diagnostic] = []
    known: dict[str, BuiltNet] = {}
    for built in phases:
        for name, net in built.nets.items():
            before = known.setdefault(name, net)
            both = agreed(before.arguments, net.arguments, net.flexible)
            if both is None:
                message = f"the net `{name}` was built for {before.input} and meets {net.input}"
                use = before.first_use
                labels = () if use is None else (Label(use, "in an earlier phase"),)
                found.append(Diagnostic("E305", message, net.first_use, labels))
                continue
            before.arguments = net.arguments = both
    return found


def _diagnostics(resolved: Resolved, *contexts: Context) -> tuple[Diagnostic, ...]:
    found = [*resolved.module.diagnostics, *resolved.diagnostics]
    for context in contexts:
        found.extend(context.diagnostics)
    unread = _words_of_unread_lines(resolved.module.diagnostics)
    if any(d.code == "E103" for d in found):  # nothing of the file is read after it
        found = [d for d in found if d.code not in ("E409", "E501")]
    return tuple(d for d in _once_a_cause(found) if not _is_echo(d, unread))


def _once_a_cause(found: Iterable[Diagnostic]) -> Iterator[Diagnostic]:
    """What is said in the same words of the same cause elsewhere is said where it shows first."""
    seen: set[object] = set()
    for diagnostic in found:
        told = (diagnostic.code, diagnostic.message, diagnostic.labels)
        key: object = told if diagnostic.labels else diagnostic
        if key not in seen:
            seen.add(key)
            yield diagnostic


def _words_of_unread_lines(found: Iterable[Diagnostic]) -> set[str]:
    """The words of the lines that syntax errors, or a missing file, kept from being read."""
    spans = [d.span for d in found if d.span is not None and d.code.startswith(("E1", "E206"))]
    return {word for s in spans for word in re.findall(r"\w+", s.source.line(s.line))}


def _is_echo(diagnostic: Diagnostic, unread: set[str]) -> bool:
    """Whether something is only missing because the line that has it could not be read."""
    match diagnostic.code:
        case "E409":
            return "loss" in unread
        case "E501":
            return not unread.isdisjoint(REQUIRED)
        case "E201" | "E205":
            return diagnostic.span is not None and diagnostic.span.text in unread
    return False


def _paper(method: tree.Method | None) -> str | None:
    for argument in method.arguments if method is not None else ():
        if argument.name == "paper" and isinstance(argument.value, tree.Text):
            return argument.value.value
    return None


def _features(ctx: Context) -> Graph | None:
    entries = ctx.resolved.namespace.entries
    if "features" not in entries:
        return None
    with ctx.collecting():
        value = lookup(ctx, "features", entries["features"].span, Scope())
        if isinstance(value, State) or not isinstance(value, Value):
            ctx.fail(
                "E301",
                f"`features` is {describe(value)}; it must be a tensor of one row an image",
                entries["features"].value.span,
                hint="write e.g. `features = f(a)`",
            )
        if value.type.rank != 2 or value.type.shape[0] != BATCH:
            ctx.fail("E302", f"`features` is {value.type}; it must be [batch, width]",
                     entries["features"].value.span,
                     hint="reduce it, such as by `mean(x, axis = 1)`, or `flatten` it")  # fmt: skip
        if value.type.shown:
            undefined.refuse(ctx, "`features` has holes", entries["features"].value.span)
        return ctx.graph({"features": value.node}, {})
    return None


def _embedding(training: Context, features: Graph) -> str | None:
    """What the step has of the features: the nets it applies, and what follows them, made again.

    None where the step applies one of the nets otherwise, or not at all.
    """
    applied = {n.setting("net"): n for n in training.nodes if n.op == APPLY}
    made: dict[str, Node] = {}
    for node in features.nodes:
        if node.op == APPLY:
            same = applied.get(node.setting("net"))
            alone = node.name == features.outputs["features"]
            if same is None or same.setting("keep") or not (alone or same.type == node.type):
                return None
            made[node.name] = same
        elif isinstance(node.type, TensorType):
            if not all(name in made for name in node.references):
                return None
            inputs = [made[i].name if isinstance(i, str) else i for i in node.inputs]
            made[node.name] = training.add(
                node.op, inputs, node.type, None, dict(node.settings), hint="features"
            )
    return made[features.outputs["features"]].name


def _plan(net: BuiltNet) -> NetPlan:
    parts = tuple(PARTS.get(s.primitive.name, {}) for s in net.description.stages)
    origin = net.description.origin
    return NetPlan(net.name, net.kind, tuple(net.arguments), parts, net.span, origin)


def _averages(
    training: Context, evaluation: Context, nets: dict[str, BuiltNet]
) -> list[AveragePlan]:
    plans = []
    for name, branch in {**evaluation.branches, **training.branches}.items():
        if branch.average is None:
            continue
        average = branch.average
        pairs = tuple(
            (net.name, net.source.name)
            for net in dict.fromkeys(map(net_of, branch.stages))
            if net is not None and net.source is not None and net.name in nets
        )
        if pairs:
            plans.append(AveragePlan(name, pairs, average.momentum, average.fresh, average.buffers))
    return plans


def _state(state: State) -> StatePlan:
    shape = state.type.shape
    if state.capacity:
        shape = (state.capacity, *shape[1:])
    initial = state.initial
    name, settings = "zeros", {}
    if isinstance(initial, Initial):
        name, settings = initial.primitive.name, dict(initial.settings)
    elif isinstance(initial, int | float):
        name, settings = "constant", {"value": float(initial)}
    return StatePlan(
        state.name, state.kind, shape, name, settings, state.span, state.latched, state.start,
        state.every, state.constraint,
    )  # fmt: skip
