"""Gradient flow: averages are cut before the loss, and some phase trains every net and weight."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sslang.checks.selected import covers
from sslang.diagnostics import Diagnostic, Fix, Label, Span
from sslang.diagnostics.fix import wrapped
from sslang.ir.graph import APPLY, WEIGHT, Graph, Node
from sslang.ir.program import NetPlan, Program
from sslang.records import record

_MAX_LABELS = 3


def cut_averages(program: Program) -> Iterator[Diagnostic]:
    """E401 for an average that enters the loss uncut."""
    averages = {net.name: net for net in program.nets if net.kind == "average"}
    reported: set[str] = set()
    for node in program.step.reached.values() if averages else ():
        if node.op != APPLY or node.setting("net") not in averages:
            continue
        branch = node.setting("net").split(".")[0]
        if branch in reported:
            continue
        reported.add(branch)
        declared = averages[node.setting("net")].span
        labels = (Label(declared, "the average is declared here"),)
        message = f"the average `{branch}` enters the loss without stop_grad"
        yield Diagnostic("E401", message, node.span, labels,
                         f"write `stop_grad({branch}(...))`",
                         _cut(program, node, averages))  # fmt: skip


def _cut(program: Program, node: Node, averages: Mapping[str, NetPlan]) -> Fix | None:
    """`stop_grad` around the application, unless the same text applies a trained net, too."""
    place = node.span
    if not gradient_of(program) - averages.keys():
        return None  # it is the wrong net: with a cut nothing would be trained at all
    others = (n.setting("net") for n in program.step.nodes if n.op == APPLY and n.span == place)
    if place is None or any(net not in averages for net in others):
        return None
    return wrapped(place, "stop_grad(", ")")


def untrained(program: Program) -> Iterator[Diagnostic]:
    """E402 for nets and weights that a phase uses, and that no gradient of any phase reaches."""
    phases = [p for p in program.phases if "loss" in p.step.outputs]
    trained = {name for p in phases for name in gradient_of(p)}
    reported: set[str] = set()
    for phase in phases:
        for use in _uses(phase):
            if use.name in trained | reported:
                continue
            reported.add(use.name)
            yield _untrained(phase, use)


@record(frozen=True)
class _Use:
    """A net or weight as a phase uses it: where it is declared, and the nodes that apply it."""

    name: str
    what: str  # net or weight
    declared: Span
    nodes: tuple[Node, ...]
    loaded: bool = False


def used(program: Program) -> tuple[str, ...]:
    """The nets and weights that a phase should train, or evaluates."""
    return tuple(use.name for use in _uses(program))


def _uses(program: Program) -> Iterator[_Use]:
    """The nets and weights that a phase should train, or evaluates as `features` has them."""
    step = _that_use(program.step)
    evaluated = _that_use(program.features) if program.features is not None else {}
    for what, plans in (("net", program.nets), ("weight", program.weights)):
        for plan in plans:
            if plan.kind == "average" or is_frozen(program, plan.name):
                continue
            loaded = getattr(plan, "origin", None) is not None
            if plan.name in step:
                if plan.name not in program.fixed:
                    yield _Use(plan.name, what, plan.span, tuple(step[plan.name]), loaded)
            elif not loaded and not all(n.setting("fixed") for n in evaluated.get(plan.name, ())):
                yield _Use(plan.name, what, plan.span, ())


def _that_use(graph: Graph) -> dict[str, list[Node]]:
    """By net and weight the nodes that apply it."""
    found: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.op in (APPLY, WEIGHT):
            found.setdefault(node.setting("net"), []).append(node)
    return found


def _untrained(program: Program, use: _Use) -> Diagnostic:
    message = f"no gradient of the loss reaches the {use.what} `{use.name}`"
    if not use.nodes:
        message = f"`features` uses the {use.what} `{use.name}`, which no loss trains"
        hint = "evaluate what the loss trains, or give this a part in the loss"
        place = program.spans.get("features")
        labels = [Label(place, "evaluated here")] if place is not None else []
        return Diagnostic("E402", message, use.declared, tuple(labels), hint)
    first = next((n.span for n in use.nodes if n.span is not None), None)
    labels = [Label(first, "applied here")] if first is not None and use.what == "net" else []
    cuts = _cuts_behind(program.step, use.nodes)
    for node in cuts[:_MAX_LABELS]:
        assert node.span is not None
        text = "the gradient is cut here" if node.op == "stop_grad" else "this has no gradient"
        labels.append(Label(node.span, text))
    return Diagnostic("E402", message, use.declared, tuple(labels), _hint(use, cuts))


def _hint(use: _Use, cuts: list[Node]) -> str:
    freeze = f"`freeze = [{use.name}]`"
    if use.loaded:
        return f"a net that is loaded and not trained is written `fixed({use.name})(...)`"
    if any(n.op == "stop_grad" for n in cuts):
        which = "this" if len(cuts) == 1 else "one"
        other = "declare a `state`" if use.what == "weight" else f"hold the net fixed: {freeze}"
        return f"take away {which} stop_grad, or {other}"
    if cuts:
        return f"give the loss a value that has a gradient, such as softmax, or write {freeze}"
    return f"what it gives does not enter the loss; let the loss read it, or write {freeze}"


def _cuts_behind(graph: Graph, nodes: tuple[Node, ...]) -> list[Node]:
    """Where the gradient is cut on the ways from these nodes to the loss, each place once."""
    needed = _ancestors(graph, graph.outputs["loss"])
    users: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.references:
            users.setdefault(name, []).append(node)
    found: dict[Span, Node] = {}
    seen: set[str] = set()
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if node.name in seen or node.name not in needed:
            continue
        seen.add(node.name)
        if not node.is_cut:
            waiting.extend(users.get(node.name, ()))
        elif node.span is not None:
            found.setdefault(node.span, node)
    return sorted(found.values(), key=lambda n: n.span.start if n.span else 0)


def _ancestors(graph: Graph, name: str) -> set[str]:
    by_name = graph.by_name
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(by_name[name].references)
    return found


def gradient_of(program: Program) -> frozenset[str]:
    """The nets and weights that the loss of a phase trains: reached, and not frozen for good."""
    nodes = program.step.reached.values()
    reached = {n.setting("net") for n in nodes if n.op in (APPLY, WEIGHT)}
    return frozenset(name for name in reached - program.fixed if not is_frozen(program, name))


def reached_by_loss(program: Program) -> Mapping[str, Node]:
    """The nodes that the gradient of the loss flows into, by name."""
    return program.step.reached


def carrying(program: Program) -> frozenset[str]:
    """The nodes by which the gradient of the loss comes to something that it trains."""
    reached, trained = reached_by_loss(program), gradient_of(program)
    found: set[str] = set()
    for node in program.step.nodes:
        own = node.op in (APPLY, WEIGHT) and node.setting("net") in trained
        if node.name in reached and (own or found.intersection(node.references)):
            found.add(node.name)
    return frozenset(found)


def is_frozen(program: Program, net: str) -> bool:
    """Whether the recipe freezes all of a net or weight, to the end of the run."""
    recipe = program.spec.recipe
    selectors = recipe.freeze if recipe is not None else ()
    return any(covers(selector, net) for selector in selectors)
