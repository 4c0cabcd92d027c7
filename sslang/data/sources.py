"""`open_source`: the images that a recipe's `data` names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sslang.data.embedded import embedded
from sslang.data.files import FileSource, image_folder
from sslang.data.known import cifar10, cifar100, fashion_mnist, imagenet, stl10
from sslang.data.source import ArraySource, Source, Split
from sslang.diagnostics import Diagnostic, DiagnosticError, nearest
from sslang.emit import draws

KINDS: Mapping[str, Callable[..., ArraySource | FileSource]] = {
    "embedded": embedded,
    "image_folder": image_folder,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "stl10": stl10,
    "fashion_mnist": fashion_mnist,
    "imagenet": imagenet,
}


def open_source(kind: str, split: Split, *, images: int | None = None, **options: Any) -> Source:
    """The images of `kind` (a key of `KINDS`); `options` are its keyword arguments.

    The train split is cut to a random subset of `images` images, in their order. It depends on
    `kind` and the size of the split alone, so every run has the same, and a larger subset holds
    the smaller ones.

    Raises E601 (not there), E602 (fewer than `images`), E604 (unknown kind or option), E605 (too
    many unreadable images).
    """
    if kind not in KINDS:
        raise _wrong(f"there is no data set `{kind}`", nearest(kind, KINDS) or _listed(KINDS))
    opener = KINDS[kind]
    known = {
        name: parameter
        for name, parameter in inspect.signature(opener).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for name in options:
        if name not in known:
            hint = nearest(name, known) or (_listed(known) if known else "it has no options")
            raise _wrong(f"`{kind}` has no option `{name}`", hint)
    for name, parameter in known.items():
        if parameter.default is inspect.Parameter.empty and name not in options:
            raise _wrong(f"`{kind}` needs the option `{name}`", f"write {kind}({name} = ...)")
    source = opener(split, **options)
    if images is None or split == "test":
        return source
    if images > len(source):
        message = f"{source.name} has {len(source)} images, fewer than images = {images}"
        raise DiagnosticError(Diagnostic("E602", message, hint=f"images = {len(source)} or less"))
    order = draws.permutation(draws.stream_key(0, "images", kind), 0, len(source))
    return source.subset(np.sort(order[:images]))


def _listed(names: Mapping[str, object]) -> str:
    return "there are " + ", ".join(f"`{name}`" for name in names)


def _wrong(message: str, hint: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code="E604", message=message, hint=hint))
