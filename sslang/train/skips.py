"""Images that turn out unreadable in mid-run: named in the log, counted over all processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from sslang.data.decode import Skipped
from sslang.data.source import Source
from sslang.processes.group import Processes
from sslang.train.together import texts

_BETWEEN = "\x1f"


class Skips:
    """What could not be read of `sources` and has not been told yet."""

    def __init__(
        self,
        sources: Sequence[Source],
        processes: Processes,
        device: torch.device,
        say: Callable[[str], None],
    ) -> None:
        self._sources, self._processes = sources, processes
        self._device, self._say = device, say
        self._told = [0 for _ in sources]

    @property
    def new(self) -> bool:
        """Whether this process has met some since `share`."""
        return any(
            len(source.skipped) > told
            for source, told in zip(self._sources, self._told, strict=True)
        )

    def share(self) -> None:
        """Name them, and tell all processes, which pass them over from now on.

        Called by all processes. Raises E605 at all of them where there are too many by now.
        """
        own = [
            _BETWEEN.join((str(number), s.path, s.reason))
            for number, source in enumerate(self._sources)
            for s in source.skipped[self._told[number] :]
        ]
        found = dict.fromkeys(texts(self._processes, own, self._device))
        by_source: list[list[Skipped]] = [[] for _ in self._sources]
        for text in found:
            place, path, reason = text.split(_BETWEEN)
            by_source[int(place)].append(Skipped(path, reason))
        for number, (source, new) in enumerate(zip(self._sources, by_source, strict=True)):
            for count, skipped in enumerate(new, self._told[number] + 1):
                self._say(f"skipped, unreadable: {skipped.path} ({skipped.reason}); {count} so far")
            source.note_skipped(new)
            self._told[number] = len(source.skipped)
