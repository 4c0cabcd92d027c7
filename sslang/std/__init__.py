"""The standard library, written in sslang: losses, heads, backbones, augmentations, recipes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files

from sslang.diagnostics import Source, Span

_NAMES = ("losses", "nets", "views", "recipes")
_BEGIN = re.compile(r"^(fn|recipe) (\w+)", re.MULTILINE)


def prelude_files() -> list[Source]:
    """The sources of the standard library."""
    folder = files("sslang.std")
    return [
        Source(f"std/{name}.ssl", folder.joinpath(f"{name}.ssl").read_text(encoding="utf-8"))
        for name in _NAMES
    ]


def declarations() -> Iterator[tuple[str, str, Span]]:
    """What the standard library declares: `fn` or `recipe`, its name, and where it stands."""
    for source in prelude_files():
        found = list(_BEGIN.finditer(source.text))
        ends = [*(match.start() for match in found[1:]), len(source.text)]
        for match, end in zip(found, ends, strict=True):
            yield match[1], match[2], Span(source, match.start(), end)
