"""The idx format of MNIST and its kin: a big-endian header and raw bytes, often in gzip."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslang.diagnostics import Diagnostic, DiagnosticError

_UNSIGNED_BYTE = 0x08


def find_idx(folders: tuple[Path, ...], stem: str) -> Path | None:
    """The file `stem` or `stem.gz` in the first of `folders` that has one."""
    candidates = (folder / name for folder in folders for name in (stem, f"{stem}.gz"))
    return next((path for path in candidates if path.is_file()), None)


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes, gzipped or not. Raises E601 if damaged."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        if data[:3] != bytes((0, 0, _UNSIGNED_BYTE)):
            raise ValueError("the header is not that of an idx file of bytes")
        dimensions = data[3]
        shape = struct.unpack_from(f">{dimensions}I", data, 4)
        start = 4 + 4 * dimensions
        if len(data) - start != math.prod(shape):
            raise ValueError("the file is cut short or too long")
    except (OSError, EOFError, ValueError, IndexError, struct.error, zlib.error) as error:
        raise DiagnosticError(
            Diagnostic(code="E601", message=f"`{path}` cannot be read: {error}")
        ) from error
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)
