"""Verdicts that are known already: a file each in the user's cache, named by what it is about."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from sslang.records import record


@record(frozen=True)
class Cache:
    """The verdicts of one kind."""

    kind: str

    def _path(self, key: str) -> Path:
        """Below XDG_CACHE_HOME, or ~/.cache; RuntimeError for a user who has no home."""
        base = Path(os.environ.get("XDG_CACHE_HOME", ""))
        folder = base if base.is_absolute() else Path.home() / ".cache"
        return folder / "sslang" / self.kind / f"{key}.json"

    def read(self, key: str) -> dict[str, Any] | None:
        """What was written under the key; None where nothing was, or where it cannot be read."""
        try:
            found = json.loads(self._path(key).read_text("utf-8"))
        except (OSError, ValueError, RuntimeError):  # that is a RecursionError, too
            return None
        return found if isinstance(found, dict) else None

    def write(self, key: str, value: Mapping[str, Any]) -> None:
        """Whole or not at all. A cache that cannot be written costs time and nothing else."""
        try:
            path = self._path(key)
        except RuntimeError:
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(value), "utf-8")
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
