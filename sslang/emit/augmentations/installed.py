"""What the installed kornia has of the ops of a spec: asked before any data is read."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np
import torch

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.emit.augmentations.form import Form, Source, class_of, form_of
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
    asked: set[object] = set()  # a choice has an op in several places
    for node in graph.nodes:
        if node.op in PRIMITIVES and is_augmentation(node.op):
            before = types[node.references[0]]
            what = (node.op, before, *(s for s in node.settings if s[0] not in OF_DRAWS))
            if what in asked:
                continue
            asked.add(what)
            if isinstance(before, ViewType) and (found := _reason(node, before)):
                reason, hint = found
                message = f"`{node.op}`: kornia {version('kornia')} {reason}"
                yield Diagnostic("E730", message, node.place, hint=hint)


def _reason(node: Node, before: ViewType) -> tuple[str, str] | None:
    """Why the installed kornia cannot compute a node, if it cannot, and what to do."""
    kornia = PRIMITIVES[node.op].kornia
    assert kornia is not None
    newer = "`pip install -U kornia` brings a newer one; the op's page "
    newer += f"(`sslang doc {node.op}`) says what it is given"
    missing = missing_in(kornia, node.op, before.size or 1)
    if missing:
        return missing, newer
    settings = {k: plain(v) for k, v in node.settings if k not in OF_DRAWS - {"per"}}
    try:
        form = form_of(node.op, settings, before.size or 1)
        if node.setting("site") is not None:
            _try(form, before)
    except _REFUSALS as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        return f"refuses it: {said}", f"other settings (`sslang doc {node.op}`), or another kornia"
    except (AttributeError, KeyError, ImportError) as error:
        return f"is made in another way: {type(error).__name__}: {error}", newer
    return None


def _try(form: Form, before: ViewType) -> None:
    """Draw the numbers of two images of the size that the op is given, and apply them."""
    size = before.size or 1
    shape = (2, before.channels, size, size)
    source = Source(lambda site: np.zeros(2, dtype=np.uint64), "tried", 0, shape)
    numbers = form.numbers(source, np.arange(2))
    form.apply(torch.full((2 * (1 + form.mixes), *shape[1:]), 0.5), numbers)


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


def classes_of_kornia() -> dict[str, type]:
    """Return the installed 2-D augmentations and policies, by the path below
    `kornia.augmentation`: neither bases nor what is for volumes."""
    from kornia import augmentation
    from kornia.augmentation import auto
    from kornia.augmentation.auto.base import PolicyAugmentBase

    images = (augmentation.AugmentationBase2D, augmentation.MixAugmentationBaseV2)
    modules = (("", augmentation, images), ("auto.", auto, PolicyAugmentBase))
    return {
        prefix + name: kind
        for prefix, module, bases in modules
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, bases) and "Base" not in kind.__name__
        and not issubclass(kind, augmentation.AugmentationBase3D)
    }  # fmt: skip
