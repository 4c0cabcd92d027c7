"""Where in a step the first value appears that is no number: a walk over its graph.

The step is taken once more, node by node in place of its code, and every result looked at; in
the backward pass, every gradient. What is found is the origin, not the loss it ends in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor, fx, nn
from torch.utils.hooks import RemovableHandle

from sslang.diagnostics import Span
from sslang.train.learner import Learner
from sslang.train.leaves import tensors_in
from sslang.train.view_values import ViewWalk


@dataclass(frozen=True)
class Origin:
    """What made the first number that is none, in words, and where the spec says it."""

    text: str
    span: Span | None = None


@dataclass
class _Seen:
    """What one pass over the step's graph has shown, in the order of its happening."""

    module: fx.GraphModule
    kinds: dict[str, str] = field(default_factory=dict)  # of a node: "", "infinite", "nan"
    gradients: list[tuple[str, bool]] = field(default_factory=list)  # (node, whether bad)
    loss: fx.Node | None = None


class _Walk(fx.Interpreter):
    """Runs the step's graph and notes of each node what its result is."""

    def __init__(self, module: fx.GraphModule, passes: list[_Seen]) -> None:
        super().__init__(module)
        self._passes = passes
        self._graph_module = module

    def __call__(self, *arguments: Any) -> Any:
        self._passes.append(_Seen(self._graph_module))
        return self.run(*arguments)

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        seen = self._passes[-1]
        if n.op == "output":
            outputs = n.args[0]
            assert isinstance(outputs, dict)
            loss = outputs["loss"]
            assert isinstance(loss, fx.Node)
            seen.loss = loss
            return result
        seen.kinds[n.name] = kind_of(result)
        for tensor in tensors_in(result):
            if tensor.requires_grad:
                _on_gradient(tensor, partial(_note_gradient, seen, n.name))
        return result


def _on_gradient(tensor: Tensor, look: Callable[[Tensor], None]) -> Callable[[], None]:
    """Have `look` called with the gradient of `tensor`; what ends that."""
    handle: RemovableHandle = tensor.register_hook(look)  # type: ignore[no-untyped-call]
    return handle.remove


def _note_gradient(seen: _Seen, name: str, gradient: Tensor) -> None:
    seen.gradients.append((name, bool(kind_of(gradient))))


@dataclass
class _Parts:
    """Which parts of nets gave what is no number: (name, whether their input was one)."""

    forward: list[tuple[str, bool]] = field(default_factory=list)
    parameters: list[str] = field(default_factory=list)


def origin(learner: Learner, step: Callable[[], Any]) -> Origin | None:
    """What goes wrong first in `step`, which calls `learner.train_step`; None where nothing does.

    The learner's state moves by this step, and it runs without torch.compile from then on.
    """
    passes: list[_Seen] = []
    method = learner.method
    views = ViewWalk(method.view_code.module, method.graph)
    method.run_views = views
    walks: list[Callable[..., Any]] = [_Walk(c.module, passes) for c in learner.method.step_codes]
    method.run_step = walks
    with _watched(method.nets) as parts:
        step()
    if views.fault is not None and not views.fault.is_number:
        return Origin(views.fault.text, views.fault.span)
    for seen in passes:
        if seen.loss is not None and seen.kinds[seen.loss.name]:
            return _of_forward(learner, seen, seen.loss, parts)
    for seen in passes:
        found = _of_backward(learner, seen, parts)
        if found is not None:
            return found
    bad = [n for n, p in learner.method.trained() if kind_of(p.detach())]
    if not bad:
        return None
    return Origin(
        f"loss and gradient are numbers, and the optimizer's step makes {len(bad)} parameters "
        f"that are none, `{bad[0]}` first"
    )


def kind_of(value: Any) -> str:
    """`nan` or `infinite` where a tensor in `value` holds one, else nothing."""
    floats = [t.detach() for t in tensors_in(value) if t.is_floating_point()]
    if any(bool(t.isnan().any()) for t in floats):
        return "nan"
    return "infinite" if any(bool(t.isinf().any()) for t in floats) else ""


def _of_forward(learner: Learner, seen: _Seen, loss: fx.Node, parts: _Parts) -> Origin:
    """Back from the loss, along what is no number, to where that begins."""
    path = [loss]
    while True:
        before = [n for n in path[-1].all_input_nodes if seen.kinds[n.name]]
        if not before:
            break
        path.append(min(before, key=lambda n: seen.kinds[n.name] != "nan"))
    first = path[-1]
    text = (
        f"{_named(learner, first, _part(first, parts))} is the first to give {_kind(seen, first)}"
    )
    nan = next((n for n in reversed(path) if seen.kinds[n.name] == "nan"), None)
    if nan is not None and nan is not first:
        text += f", of which {_named(learner, nan)} makes nan"
    return Origin(text, _span(learner, first))


def _kind(seen: _Seen, node: fx.Node) -> str:
    return {"nan": "nan", "infinite": "an infinite value"}[seen.kinds[node.name]]


def _part(node: fx.Node, parts: _Parts) -> str:
    """The part of a net in which it begins, where the node applies one."""
    if node.op != "call_module":
        return ""
    own = [(n, fine) for n, fine in parts.forward if n.startswith(f"{node.target}.")]
    beginning = next((n for n, fine in own if fine), own[0][0] if own else "")
    return beginning.removeprefix(f"{node.target}.")


def _of_backward(learner: Learner, seen: _Seen, parts: _Parts) -> Origin | None:
    """The first gradient that is none belongs to the input of what made it."""
    fine = {name for name, bad in seen.gradients if not bad}
    name = next((name for name, bad in seen.gradients if bad), None)
    if name is None:
        if not parts.parameters:
            return None
        return Origin(f"the loss is a number, and the gradient of `{parts.parameters[0]}` is not")
    node = next(n for n in seen.module.graph.nodes if n.name == name)
    users = [n for n in node.users if n.name in fine] or list(node.users)
    maker = next((n for n in users if n.op != "output"), node)
    text = f"the loss is a number, and the gradient of {_named(learner, maker)} is not"
    return Origin(text, _span(learner, maker))


def _named(learner: Learner, node: fx.Node, part: str = "") -> str:
    """A node in the words of the spec: a net and its part, or an op and the line it stands in."""
    if node.op == "call_module":
        return f"the net `{node.target}`" + (f", in its part `{part}`," if part else "")
    if node.op == "placeholder":
        return f"the step's input `{node.name}`"
    function = getattr(node.target, "__name__", str(node.target))
    span = _span(learner, node)
    written = "" if span is None else " ".join(span.text.split())
    return f"`{function}`" + (f" in `{written[:60]}`" if written else f" (`{node.name}`)")


def _span(learner: Learner, node: fx.Node) -> Span | None:
    """Where the spec says what a node of the code computes."""
    for ir in learner.method.graph.nodes:
        if re.sub(r"\W", "_", ir.name) == node.name:
            return ir.span
    return None


@contextmanager
def _watched(nets: nn.Module) -> Iterator[_Parts]:
    """Look at what each innermost part of the nets gives, and at the parameters' gradients."""
    parts = _Parts()
    with ExitStack() as hooks:

        def looked(name: str, module: nn.Module, given: Any, result: Any) -> None:
            if kind_of(result):
                parts.forward.append((name, not kind_of(given)))

        def gradient(name: str, value: Tensor) -> None:
            if kind_of(value):
                parts.parameters.append(name)

        for name, module in nets.named_modules():
            if next(module.children(), None) is None:
                hooks.callback(module.register_forward_hook(partial(looked, name)).remove)
        for name, parameter in nets.named_parameters():
            if parameter.requires_grad:
                hooks.callback(_on_gradient(parameter, partial(gradient, name)))
        yield parts
