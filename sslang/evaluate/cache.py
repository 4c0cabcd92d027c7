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

    @property
    def folder(self) -> Path:
        """Where they lie: below XDG_CACHE_HOME, or ~/.cache."""
        base = os.environ.get("XDG_CACHE_HOME")
        return (Path(base) if base else Path.home() / ".cache") / "sslang" / self.kind

    def read(self, key: str) -> dict[str, Any] | None:
        """What was written under the key; None where nothing was, or where it cannot be read."""
        try:
            found = json.loads((self.folder / f"{key}.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def write(self, key: str, value: Mapping[str, Any]) -> None:
        """Whole or not at all. A cache that cannot be written costs time and nothing else."""
        path = self.folder / f"{key}.json"
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(value), "utf-8")
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink()
