"""The labelled images of a set: what a phase whose loss reads `label` trains on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from sslang.data.decode import Skipped
from sslang.data.source import Source


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
        return self._source.read(self._rows[i])

    def read_readable(self, i: int) -> tuple[NDArray[np.uint8], int]:
        return self._source.read(self._rows[i]), i

    def label(self, i: int) -> int:
        return self._source.label(self._rows[i])

    def array(self) -> NDArray[np.uint8] | None:
        whole = self._source.array()
        return None if whole is None else whole[self._rows]

    def note_skipped(self, found: Iterable[Skipped]) -> None:
        self._source.note_skipped(found)
