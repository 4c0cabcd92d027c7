"""What a phase computes: its step and its features, and the nets that both apply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sslang.diagnostics import Diagnostic, Label
from sslang.ir.build import undefined
from sslang.ir.build.context import Context, Scope
from sslang.ir.build.names import lookup
from sslang.ir.build.nets import agreed, net_of
from sslang.ir.build.step import training_step
from sslang.ir.build.values import BuiltNet, State, Value, describe
from sslang.ir.graph import APPLY, Graph, Node
from sslang.ir.program import AveragePlan
from sslang.model.resolve import Entry, Resolved
from sslang.records import record
from sslang.types import BATCH, TensorType


@record(frozen=True, eq=False)
class Graphs:
    """The graphs of a phase, and the contexts that they were evaluated in."""

    training: Context
    evaluation: Context
    step: Graph
    features: Graph | None
    nets: Mapping[str, BuiltNet]
    averages: tuple[AveragePlan, ...]
    views: Mapping[str, str]  # of the step

    def serve(self, resolved: Resolved, crop: float) -> bool:
        """Whether a phase, under another recipe of the same file, would have the same graphs.

        Of the names that it rests on every right side is the same, and the others exist, too, and
        are of the same kind: `batch` is a number where it is a param.
        """
        before, now = self.training.resolved.namespace.entries, resolved.namespace.entries
        contexts = (self.training, self.evaluation)
        return (
            crop == self.evaluation.crop
            and {n: e.kind for n, e in before.items()} == {n: e.kind for n, e in now.items()}
            and not any(d.is_error for context in contexts for d in context.diagnostics)
            and all(_same(before[n], now[n]) for c in contexts for n in c.asked if n in now)
        )


def _same(a: Entry, b: Entry) -> bool:
    """Whether two recipes have a name's right side, and what it takes the place of, of one text."""
    return a is b or (
        a.value is b.value
        and a.target is b.target
        and a.declared is b.declared
        and a.layer == b.layer
    )


def graphs_of(resolved: Resolved, crop: float) -> Graphs:
    """The graphs of a phase; what is wrong is in the diagnostics of its contexts."""
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
    step, names = training.titled(outputs, writes)
    return Graphs(
        training, evaluation, step, features, nets, averages, _declared_views(training, names)
    )


def _declared_views(ctx: Context, names: Mapping[str, str]) -> dict[str, str]:
    """The views that the step needs, in the order of the file; a node called as `names` says."""
    order = list(ctx.resolved.namespace.entries)
    written = sorted(ctx.views, key=lambda view: order.index(view.partition("[")[0]))
    return {view: names[ctx.views[view]] for view in written if ctx.views[view] in names}


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


def tell_unseen(phases: Sequence[Graphs]) -> None:
    """Add to each phase's diagnostics the views that no phase's step reads."""
    seen = {entry.name for phase in phases for entry in phase.training.touched.values()}
    for phase in phases:
        phase.evaluation.diagnostics.extend(_seen_by_no_loss(phase, seen))


def _seen_by_no_loss(phase: Graphs, seen: set[str]) -> Iterator[Diagnostic]:
    """E435 for a view that only `features` reads, though its chain is drawn at random.

    `seen` are the names that the step of some phase reads.
    """
    contexts = (phase.training, phase.evaluation)
    if any(d.is_error for context in contexts for d in context.diagnostics):
        return
    for entry in phase.evaluation.touched.values():
        if entry.kind != "view" or entry.name in seen:
            continue
        context = Context(phase.evaluation.resolved, "training")
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


def agree(phases: Sequence[Graphs]) -> list[Diagnostic]:
    """Make a net of all phases as large as any of them needs it; E305 where it would be two."""
    found: list[Diagnostic] = []
    by_name: dict[str, list[BuiltNet]] = {}
    for phase in phases:
        for name, net in phase.nets.items():
            by_name.setdefault(name, []).append(net)
    for name, (first, *rest) in by_name.items():
        arguments, alike = first.arguments, [first]
        for net in rest:
            both = agreed(arguments, net.arguments, net.flexible)
            if both is None:
                message = f"the net `{name}` was built for {first.input} and meets {net.input}"
                use = first.first_use
                labels = () if use is None else (Label(use, "in an earlier phase"),)
                found.append(Diagnostic("E305", message, net.first_use, labels))
                continue
            arguments = both
            alike.append(net)
        for net in alike:
            net.arguments = arguments
    return found
