"""The signatures of kornia's 2-D augmentations and policies, by introspection.

python -m sslang.bench.kornia

writes those of the installed kornia into FILE. A test compares the installed one with the file, so
that a newer kornia shows what is new, and runs this once it has been looked at.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sslang.emit.augmentations.installed import classes_of_kornia

FILE = Path("tests/emit/augmentations/kornia.json")
REQUIRED = "required"

Signature = Mapping[str, str]  # the default of each parameter, as text
Signatures = Mapping[str, Signature]


def main() -> None:
    """Write the file."""
    FILE.write_text(json.dumps(installed(), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.write(f"{FILE}: kornia {version('kornia')}, {len(signatures())} classes\n")


def installed() -> dict[str, Any]:
    """Return the version of the installed kornia, and its signatures."""
    return {"version": version("kornia"), "classes": signatures()}


def signatures() -> dict[str, dict[str, str]]:
    """Return the parameters of each class, by its path below `kornia.augmentation`."""
    return {path: _signature(kind) for path, kind in sorted(classes_of_kornia().items())}


def _signature(kind: type) -> dict[str, str]:
    return {
        name: REQUIRED if p.default is p.empty else repr(p.default)
        for name, p in inspect.signature(kind).parameters.items()
    }


def differences(before: Signatures, after: Signatures) -> dict[str, list[str]]:
    """Return what is new, gone or changed, in words, by the path of the class."""
    found: dict[str, list[str]] = {}
    for path in sorted({*before, *after}):
        if path not in before:
            found[path] = ["a new class"]
        elif path not in after:
            found[path] = ["the class is gone"]
        elif said := _of_class(before[path], after[path]):
            found[path] = said
    return found


def _of_class(before: Signature, after: Signature) -> list[str]:
    return [
        *(f"`{n}` is new: {after[n]}" for n in after if n not in before),
        *(f"`{n}` is gone" for n in before if n not in after),
        *(f"`{n}` was {before[n]} and is {after[n]}"
          for n in before if n in after and before[n] != after[n]),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
