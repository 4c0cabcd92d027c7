"""Checkpoints that a kill -9, a full disk or a flipped bit cannot spoil.

A checkpoint is `step-00000120.pt` and, beside it, `step-00000120.pt.sha256` in the format of
`sha256sum`. Both are written under another name, made durable, then renamed; the digest
first, so that a file under its own name always has one. The digest is that of the bytes as
torch produced them, not as the disk returned them. Older checkpoints are removed only when
the new one is in place.

Where processes hold tensors together, each writes the pieces that it holds: those of the second
of four go to `step-00000120.part-2-of-4.pt`, with a digest of its own. The checkpoint is whole
when all its files are, and come from one save.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import pickle
import re
import shutil
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.processes.shards import Piece, Pieces, replaced
from sslang.track.files import sync_directory, write_atomic
from sslang.train.leaves import tensors_in

_NAME = re.compile(r"step-(\d{8,})\.pt")
_PART = re.compile(r"\.part-(\d+)-of-(\d+)\.pt")  # within the name of a file, or of its digest
_FILE = re.compile(r"step-(\d{8,})\.")
_PASSED_OVER = "the one before it is used; a run that goes on from there removes this one"
_PIECE = "\0piece "  # no text of a run has a NUL
# Subclasses are not plain: numpy's float64 is a float, and loading refuses it.
_PLAIN = (bool, int, float, str, bytes, type(None), torch.Tensor, torch.nn.Parameter)


@dataclass(frozen=True)
class Part:
    """Which file of a checkpoint: `number` of `count`, from 1; `save` names this save."""

    number: int = 1
    count: int = 1
    save: str = ""

    @property
    def is_first(self) -> bool:
        return self.number == 1


ALL = Part()


@dataclass(frozen=True)
class Loaded:
    """A checkpoint from `path`. `warnings` tell of newer ones that had to be passed over."""

    path: Path
    step: int
    payload: dict[str, Any]
    warnings: tuple[Diagnostic, ...] = ()


def save(
    folder: Path, step: int, payload: dict[str, Any], *, keep: int = 2, part: Part = ALL
) -> Path:
    """Save `payload` as the checkpoint of `step`; only the newest `keep` (>= 2) stay.

    Of one in parts nobody knows when it is whole, but that the one before it is when this is
    called: so one more stays until then.

    `payload` holds tensors, pieces of tensors and plain values (None, numbers, text, bytes, and
    lists, tuples and dicts of them), so that loading needs no unpickling of code. Of a `part` but
    the first, the pieces alone are written. Raises TypeError for anything else, and
    DiagnosticError E713 where the disk does not take the file: nothing partial is left then, and
    the checkpoints before it are as they were.
    """
    assert keep >= 2, "one checkpoint is not enough: the newest may turn out damaged"
    _refuse_objects(payload, "payload")
    target = _path(folder, step, part)
    temporary = folder / f".{target.name}.tmp"
    writer = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder, part)
        if part.is_first and part.count > 1:
            _remove_old(folder, keep)
        with temporary.open("wb") as file:
            writer = _HashingWriter(file)
            torch.save(_content(step, payload, part), cast(IO[bytes], writer))
            file.flush()
            os.fsync(file.fileno())
        # A checkpoint of this step that is replaced stays valid until the rename.
        before = _digests(target)[-1:]
        _write_digests(target, [*before, writer.digest.hexdigest()])
        temporary.replace(target)
        sync_directory(folder)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):  # a disk that takes no file may let none go
            temporary.unlink(missing_ok=True)
        failure = error if isinstance(error, OSError) else writer.failure if writer else None
        if failure is None:
            raise
        raise _no_room(folder, step, payload, failure) from error
    if part.count == 1:
        _remove_old(folder, keep)
    return target


def _content(step: int, payload: dict[str, Any], part: Part) -> dict[str, Any]:
    """What a file holds: a piece stands in a list of its own, and its number in the payload."""
    pieces: list[tuple[int, Tensor]] = []

    def change(item: Any) -> Any:
        if not isinstance(item, Piece):
            return item
        pieces.append((item.at.total, item.tensor))
        return f"{_PIECE}{len(pieces) - 1}"

    named = replaced(payload, change)
    return {
        "step": step,
        "part": [part.number, part.count, part.save],
        "payload": named if part.is_first else None,
        "pieces": pieces,
    }


def load(path: Path) -> Loaded:
    """The checkpoint in the file `path`, its tensors on the CPU; those in pieces are `Pieces`.

    Raises DiagnosticError E711 where a file of it is missing, damaged or of another save.
    """
    content = _read(path)
    number, count, name = content.get("part", [1, 1, ""])
    if number != 1:
        raise _damaged(path, "it is a part of a checkpoint, not its first file")
    pieces: list[list[tuple[int, Tensor]]] = [content.get("pieces", [])]
    for other in range(2, count + 1):
        file = _path(path.parent, content["step"], Part(other, count))
        found = _read(file, mapped=True)
        if found["part"] != [other, count, name]:
            raise _damaged(file, "it comes from another save than the others")
        pieces.append(found["pieces"])

    def change(item: Any) -> Any:
        if not isinstance(item, str) or not item.startswith(_PIECE):
            return item
        at = int(item.removeprefix(_PIECE))
        return Pieces(pieces[0][at][0], [each[at][1] for each in pieces])

    return Loaded(path, content["step"], replaced(content["payload"], change))


def _read(path: Path, *, mapped: bool = False) -> dict[str, Any]:
    """What a file holds, if it is whole; `mapped`, of its tensors what is looked at is read."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest not in (known := _digests(path)):
            raise _damaged(path, "its SHA-256 differs" if known else "its .sha256 is missing")
        content: dict[str, Any] = torch.load(
            path, map_location="cpu", weights_only=True, mmap=mapped
        )
        content["payload"], content["step"]
    except OSError as error:
        raise _damaged(path, f"{error.strerror or error}") from error
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError) as error:
        raise _damaged(path, f"{error}".partition("\n")[0]) from error
    return content


def load_latest(folder: Path) -> Loaded | None:
    """The newest checkpoint of `folder` that is whole; None where there has never been one.

    Each damaged one that is passed over is a warning E712 of the result. Raises
    DiagnosticError E701, with the reasons, where there are some and none is whole.
    """
    paths = [path for _, path in reversed(_checkpoints(folder))]
    passed: list[Diagnostic] = []
    for path in paths:
        try:
            found = load(path)
        except DiagnosticError as error:
            passed += (
                Diagnostic("E712", reason.message, hint=_PASSED_OVER)
                for reason in error.diagnostics
            )
            continue
        return Loaded(found.path, found.step, found.payload, tuple(passed))
    if not paths:
        return None
    reason = Diagnostic(
        code="E701",
        message=f"no checkpoint in {folder} is whole",
        hint="begin the run anew, or put a copy of a checkpoint and its .sha256 there",
    )
    raise DiagnosticError(reason, *passed)


class _HashingWriter(io.RawIOBase):
    """A file for torch.save: hashes what passes, and keeps the error that torch hides."""

    def __init__(self, file: io.BufferedWriter) -> None:
        self.digest = hashlib.sha256()
        self.failure: OSError | None = None
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.failure = error
            raise

    def flush(self) -> None:
        """The caller flushes the file, where an error can be told from others."""


def _refuse_objects(value: object, place: str) -> None:
    if type(value) in _PLAIN:
        return
    if type(value) in (dict, OrderedDict):
        assert isinstance(value, dict)
        for key, item in value.items():
            _refuse_objects(key, f"a key of {place}")
            _refuse_objects(item, f"{place}[{key!r}]")
    elif type(value) in (list, tuple):
        assert isinstance(value, list | tuple)
        for number, item in enumerate(value):
            _refuse_objects(item, f"{place}[{number}]")
    elif type(value) is Piece:
        _refuse_objects(value.tensor, f"{place}.tensor")
    else:
        raise TypeError(f"{place} is a {type(value).__name__}; a checkpoint holds plain values")


def _size(payload: object) -> int:
    """Bytes of the tensors of `payload`; shared memory is saved, and counted, once."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage() for t in tensors_in(payload)}
    return sum(storage.nbytes() for storage in storages.values())


def _checkpoints(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    named = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in named if match)


def _path(folder: Path, step: int, part: Part) -> Path:
    tag = "" if part.is_first else f".part-{part.number}-of-{part.count}"
    return folder / f"step-{step:08}{tag}.pt"


def _digest_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _digests(path: Path) -> list[str]:
    file = _digest_path(path)
    if not file.exists():
        return []
    return [line.split()[0] for line in file.read_bytes().decode("latin-1").splitlines() if line]


def _write_digests(path: Path, digests: list[str]) -> None:
    lines = [f"{digest}  {path.name}\n" for digest in digests]
    write_atomic(_digest_path(path), "".join(lines))


def _remove_leftovers(folder: Path, part: Part) -> None:
    """What saves that were cut short have left, but for what others may be writing now."""
    for path in folder.glob(".step-*.tmp"):
        match = _PART.search(path.name)
        number, count = (1, part.count) if match is None else (int(match[1]), int(match[2]))
        if number == part.number or (part.is_first and count != part.count):
            path.unlink(missing_ok=True)


def _remove_old(folder: Path, keep: int) -> None:
    """All files of steps before the newest `keep` checkpoints, each of which is whole."""
    kept = [step for step, _ in _checkpoints(folder)[-keep:]]
    if len(kept) == keep:
        _remove(path for step, path in _files(folder) if step < kept[0])


def forget_after(folder: Path, step: int) -> None:
    """Remove what is newer than the checkpoint of `step`, with which a run goes on.

    It is damaged, or was never finished: it must not count as one of those that are kept.
    """
    _remove(path for number, path in _files(folder) if number > step)


def _files(folder: Path) -> list[tuple[int, Path]]:
    """All files of checkpoints, their parts and digests, with their steps."""
    named = [(_FILE.match(path.name), path) for path in folder.iterdir()]
    return [(int(match[1]), path) for match, path in named if match]


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _no_room(folder: Path, step: int, payload: object, failure: OSError) -> DiagnosticError:
    needed = f"{_size(payload) / 1e6:.1f} MB"
    free = f"{shutil.disk_usage(folder).free / 1e6:.1f} MB" if folder.is_dir() else "none"
    return DiagnosticError(
        Diagnostic(
            code="E713",
            message=(
                f"the checkpoint of step {step} cannot be written to {folder}: "
                f"{failure.strerror}; it needs {needed}, free: {free}"
            ),
            hint=f"make {needed} of room, then go on with --resume; older checkpoints are whole",
        )
    )


def _damaged(path: Path, why: str) -> DiagnosticError:
    return DiagnosticError(
        Diagnostic(
            code="E711",
            message=f"the checkpoint {path} cannot be loaded: {why}",
            hint="the one before it may be whole; `--resume` takes the newest that is",
        )
    )
