"""Gradient flow: averages are cut before the loss, and every trained net gets a gradient."""

from __future__ import annotations

from collections.abc import Iterator

from sslang.diagnostics import Diagnostic, Label
from sslang.diagnostics.fix import wrapped
from sslang.ir.graph import APPLY, WEIGHT, Graph
from sslang.ir.program import Program
from sslang.types import TensorType

_CUTS = frozenset(("stop_grad", "argmax", "read", "latch"))


def gradient_flow(program: Program) -> Iterator[Diagnostic]:
    """E401 for an average that enters the loss uncut, E402 for a net that no gradient reaches."""
    loss = program.step.outputs.get("loss")
    if loss is None:
        return
    reached = _reached(program.step, loss)
    spans = {net.name: net.span for net in program.nets}
    by_name = program.step.by_name
    reported: set[str] = set()
    for name in reached:
        node = by_name[name]
        if node.op != APPLY or program.net(node.setting("net")).kind != "average":
            continue
        branch = node.setting("net").split(".")[0]
        if branch in reported:
            continue
        reported.add(branch)
        labels = (Label(spans[node.setting("net")], "the average is declared here"),)
        message = f"the average `{branch}` enters the loss without stop_grad"
        yield Diagnostic("E401", message, node.span, labels,
                         f"write `stop_grad({branch}(...))`",
                         wrapped(node.span, "stop_grad(", ")") if node.span else None)  # fmt: skip
    trained = {by_name[n].setting("net") for n in reached if by_name[n].op == APPLY}
    for node in program.step.nodes:
        if node.op != APPLY or node.setting("net") in trained | reported | program.fixed:
            continue
        net = program.net(node.setting("net"))
        if net.kind != "average" and not is_frozen(program, net.name):
            reported.add(net.name)
            message = f"no gradient of the loss reaches the net `{net.name}`"
            label = Label(node.span, "applied here") if node.span is not None else None
            yield Diagnostic("E402", message, net.span, (label,) if label else (),
                             "take away a stop_grad, or freeze the net: `freeze = "
                             f"[{net.name}]`")  # fmt: skip

    reached_weights = {by_name[n].setting("net") for n in reached if by_name[n].op == WEIGHT}
    for weight in program.weights:
        if weight.name not in reached_weights and not is_frozen(program, weight.name):
            message = f"no gradient of the loss reaches the weight `{weight.name}`"
            yield Diagnostic("E402", message, weight.span, (),
                             "take away a stop_grad, or declare a `state`")  # fmt: skip


def _reached(graph: Graph, loss: str) -> set[str]:
    """The nodes that the gradient of the loss flows into."""
    by_name = graph.by_name
    found: set[str] = set()
    waiting = [loss]
    while waiting:
        name = waiting.pop()
        node = by_name[name]
        if name in found or node.op in _CUTS or _is_discrete(node.type):
            continue
        found.add(name)
        waiting.extend(node.references)
    return found


def _is_discrete(type_: object) -> bool:
    return isinstance(type_, TensorType) and type_.dtype != "float"


def is_frozen(program: Program, net: str) -> bool:
    recipe = program.spec.recipe
    selectors = recipe.freeze if recipe is not None else ()
    return any(str(s) == net for s in selectors)
