"""A spec under its recipes: the graphs of its phases, and what a run must know besides."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial

from sslang.diagnostics import Diagnostic
from sslang.ir.build.context import Context
from sslang.ir.build.graphs import Graphs, agree, graphs_of, tell_unseen
from sslang.ir.build.recipe import places, recipe_of
from sslang.ir.build.text import hidden, resolved_text, settings_text
from sslang.ir.build.values import BuiltNet, Initial, State
from sslang.ir.graph import APPLY, Graph
from sslang.ir.program import NetPlan, Program, StatePlan
from sslang.model.recipe import REQUIRED, Recipe
from sslang.model.resolve import Entry, Resolved
from sslang.model.spec import Spec
from sslang.ops.nets import PARTS
from sslang.records import record
from sslang.syntax import tree

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
        self._earlier: deque[_Made] = deque(maxlen=COMPARED)

    def program(self, resolved: Resolved) -> Program:
        """`build`."""
        phases = resolved.phases()
        contexts = [Context(phase, "recipe") for phase in phases]
        recipes = [recipe_of(context) for context in contexts]
        crops = [recipe.crop if recipe else 0.875 for recipe in recipes]
        made = self._made(resolved, phases, crops)
        given = zip(phases, recipes, contexts, made.graphs, strict=True)
        parts = [_Part(*of) for of in given]
        reached = [(part.resolved, part.touched) for part in parts]
        written = cache(partial(resolved_text, resolved, reached))
        first, *rest = (_program(part, resolved, written) for part in parts)
        found = [d for p in (first, *rest) for d in p.diagnostics]
        diagnostics = (*dict.fromkeys(found), *made.diagnostics)
        used = frozenset().union(*(p.used for p in (first, *rest)))
        return replace(first, later=tuple(rest), diagnostics=diagnostics, used=used)

    def _made(
        self, resolved: Resolved, phases: Sequence[Resolved], crops: Sequence[float]
    ) -> _Made:
        """The graphs of all phases; those of an earlier recipe, where all of them serve.

        They count as many steps then, for checks take as long.
        """
        for made in self._earlier:
            if all(map(Graphs.serve, made.graphs, phases, crops)):
                resolved.work.steps += made.steps
                return made
        before = resolved.work.steps
        graphs = tuple(map(graphs_of, phases, crops))
        tell_unseen(graphs)
        made = _Made(graphs, tuple(agree(graphs)), resolved.work.steps - before)
        self._earlier.append(made)
        return made


@record(frozen=True, eq=False)
class _Made:
    """The graphs of all phases, what is wrong between them, and the steps that they took."""

    graphs: tuple[Graphs, ...]
    diagnostics: tuple[Diagnostic, ...]
    steps: int


@record(frozen=True, eq=False)
class _Part:
    """A phase under a recipe."""

    resolved: Resolved
    recipe: Recipe | None
    context: Context  # of the recipe's fields
    graphs: Graphs

    @property
    def contexts(self) -> tuple[Context, ...]:
        return (self.context, self.graphs.training, self.graphs.evaluation)

    @cached_property
    def touched(self) -> tuple[Entry, ...]:
        return tuple({key: e for c in self.contexts for key, e in c.touched.items()}.values())


def _program(part: _Part, resolved: Resolved, written: Callable[[], str]) -> Program:
    method = resolved.module.method
    spec = Spec(
        method=method.name if method is not None else "",
        paper=_paper(method),
        recipe_name=resolved.recipe,
        overrides=resolved.overrides,
        written=written,
        recipe=part.recipe,
        settings=settings_text(part.resolved, part.touched),
        assumes=tuple((a.name, a.reason) for a in resolved.assumes),
    )
    graphs = part.graphs
    plans = [_state(s) for s in graphs.training.states.values()]
    return Program(
        spec=spec,
        phase=part.resolved.phase,
        step=graphs.step,
        features=graphs.features,
        nets=tuple(_plan(net) for net in graphs.nets.values()),
        averages=graphs.averages,
        states=tuple(p for p in plans if p.kind != "weight"),
        weights=tuple(p for p in plans if p.kind == "weight"),
        fixed=_fixed(graphs.step),
        diagnostics=(*_diagnostics(part.resolved, *part.contexts), *hidden(part.touched)),
        spans=dict(places(part.resolved, part.recipe, part.contexts)),
        used=frozenset(_used(part)),
        drops=graphs.training.drops,
        views=graphs.views,
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


def _plan(net: BuiltNet) -> NetPlan:
    parts = tuple(PARTS.get(s.primitive.name, {}) for s in net.description.stages)
    origin = net.description.origin
    return NetPlan(net.name, net.kind, tuple(net.arguments), parts, net.span, origin)


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
