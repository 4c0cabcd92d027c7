"""The labelled images of a set: what a phase whose loss reads `label` trains on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sslang.data.decode import Skipped
from sslang.data.listing import Listing
from sslang.data.source import Source
from sslang.diagnostics import Diagnostic, DiagnosticError


class Labelled:
    """The images of `source` whose class is known, in their order; a `Source` itself."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._rows = [i for i in range(len(source)) if source.label(i) >= 0]
        self.name = source.name
        self.classes = source.classes
        self.resolution = source.resolution
        self.digest = source.digest
        self.skipped: list[Skipped] = source.skipped

    def __len__(self) -> int:
        return len(self._rows)

    def read(self, i: int) -> NDArray[np.uint8]:
        return self.read_readable(i)[0]

    def read_readable(self, i: int) -> tuple[NDArray[np.uint8], int]:
        """Image i, or in its place the next labelled one that can be read, with its own label."""
        for step in range(len(self)):
            j = (i + step) % len(self)
            image, found = self._source.read_readable(self._rows[j])
            if found == self._rows[j]:
                return image, j
        raise DiagnosticError(
            Diagnostic(code="E605", message=f"no labelled image of {self.name} can be read")
        )

    def label(self, i: int) -> int:
        return self._source.label(self._rows[i])

    def array(self) -> NDArray[np.uint8] | None:
        whole = self._source.array()
        return None if whole is None else whole[self._rows]

    def listing(self) -> Listing | None:
        """That of the whole set."""
        return self._source.listing()

    def as_listed(self, listed: Listing) -> Labelled:
        return Labelled(self._source.as_listed(listed))

    def note_skipped(self, found: Iterable[Skipped]) -> None:
        self._source.note_skipped(found)
