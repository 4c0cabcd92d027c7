"""What the installed kornia has of the ops of a spec: asked before any data is read."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.metadata import version

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.emit.augmentations.form import class_of, form_of
from sslang.emit.view_draws import OF_DRAWS, is_augmentation, plain
from sslang.ir.graph import Graph, Node
from sslang.ops import PRIMITIVES
from sslang.ops.declare import Kornia
from sslang.types import ViewType

# What kornia's checks of its arguments raise; its own errors are among these.
_REFUSALS = (ValueError, TypeError, AssertionError, RuntimeError, NotImplementedError)


def expect_installed(*graphs: Graph) -> None:
    """Raise E730 for an op that the installed kornia lacks, or whose arguments it does not take."""
    found = dict.fromkeys(d for graph in graphs for d in _problems(graph))
    if found:
        raise DiagnosticError(*found)


def _problems(graph: Graph) -> Iterator[Diagnostic]:
    types = {node.name: node.type for node in graph.nodes}
    for node in graph.nodes:
        if node.op in PRIMITIVES and PRIMITIVES[node.op].kind == "view":
            before = types[node.references[0]]
            if is_augmentation(node.op) and isinstance(before, ViewType):
                reason = _reason(node, before.size or 1)
                if reason:
                    yield Diagnostic(
                        "E730", f"`{node.op}`: kornia {version('kornia')} {reason}", node.place,
                        hint="`pip install -U kornia` brings a newer one; the op's page "
                        f"(`sslang doc {node.op}`) says what it is given",
                    )  # fmt: skip


def _reason(node: Node, size: int) -> str:
    """Why the installed kornia cannot compute a node, if it cannot."""
    kornia = PRIMITIVES[node.op].kornia
    assert kornia is not None
    missing = missing_in(kornia, node.op, size)
    if missing:
        return missing
    try:
        form_of(
            node.op, {k: plain(v) for k, v in node.settings if k not in OF_DRAWS - {"per"}}, size
        )
    except _REFUSALS as error:
        return f"refuses it: {str(error).splitlines()[0]}"
    return ""


def missing_in(kornia: Kornia, op: str, size: int) -> str:
    """What the installed kornia lacks of a class and the arguments that we give it, in words."""
    try:
        kind = class_of(kornia.path)
    except (AttributeError, ImportError):
        return f"has no class `{kornia.path}`"
    primitive = PRIMITIVES[op]
    settings = {p.name: plain(p.default) for p in primitive.settings} | {"image_size": size}
    given = {name for name, _ in kornia.arguments.values()} | set(kornia.fixed)
    if kornia.combined is not None and inspect.Parameter.empty not in settings.values():
        given |= set(kornia.combined(settings))
    unknown = sorted(given - set(inspect.signature(kind).parameters))
    if unknown:
        return f"takes no `{unknown[0]}` in `{kornia.path}`: its signature has changed"
    return ""
