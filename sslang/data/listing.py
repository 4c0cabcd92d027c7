"""The files of a run's data as they were when it began, for when it goes on.

An image is known by its number, so a file that is gone or new would shift all others. A run that
is taken up again goes by its own list: what is missing by then is passed over like any image that
cannot be read, and what is new is none of its images.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

from sslang.diagnostics import Diagnostic, DiagnosticError

_BETWEEN = "\0"  # which no path holds


@dataclass(frozen=True)
class Listing:
    """Paths relative to the data's folder, the bytes of each, its class; names of classes."""

    paths: tuple[str, ...]
    sizes: tuple[int, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...] | None

    def pack(self) -> bytes:
        """As the content of a file."""
        numbers = {"sizes": self.sizes, "labels": self.labels, "classes": self.classes}
        text = _BETWEEN.join((json.dumps(numbers), *self.paths))
        return gzip.compress(text.encode("utf-8", "surrogateescape"), mtime=0)


def read_listing(path: Path) -> Listing | None:
    """What `pack` has given; None where there is no such file. Raises E715 where it is damaged."""
    if not path.exists():
        return None
    try:
        text = gzip.decompress(path.read_bytes()).decode("utf-8", "surrogateescape")
        head, *paths = text.split(_BETWEEN)
        numbers = json.loads(head)
        classes = numbers["classes"]
        return Listing(
            tuple(paths),
            tuple(numbers["sizes"]),
            tuple(numbers["labels"]),
            None if classes is None else tuple(classes),
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        message = f"{path} cannot be read: {error}"
        raise DiagnosticError(Diagnostic("E715", message)) from error
