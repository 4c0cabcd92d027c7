"""The standard library, written in sslang: losses, heads, backbones, augmentations, recipes."""

from __future__ import annotations

from importlib.resources import files

from sslang.diagnostics import Source

_NAMES = ("losses", "nets", "views", "recipes")


def prelude_files() -> list[Source]:
    """The sources of the standard library."""
    folder = files("sslang.std")
    return [
        Source(f"std/{name}.ssl", folder.joinpath(f"{name}.ssl").read_text(encoding="utf-8"))
        for name in _NAMES
    ]
