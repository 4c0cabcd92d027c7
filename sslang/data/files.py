"""Image files on disk: finding them, their classes and splits, and reading them one by one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sslang.data.decode import SUFFIXES, Skipped, UnreadableImageError, load_image, probe_image
from sslang.data.listing import Listing
from sslang.data.source import UNKNOWN_LABEL, Split, refuse_if_too_many
from sslang.diagnostics import Diagnostic, DiagnosticError

DEFAULT_LIMIT = 512
MAX_PROBED = 50_000

Classes = Literal["auto", "folders", "none"]
_TRAIN_FOLDERS = ("train",)
_TEST_FOLDERS = ("test", "val", "valid", "validation")


class FileSource:
    """Images in files, decoded when they are read.

    An image that turns out to be unreadable when it is read is replaced by the next index that
    can be read (after the last comes the first), so that a run goes on and repeats itself.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        paths: Sequence[str],
        labels: Sequence[int],
        classes: tuple[str, ...] | None,
        *,
        limit: int | None,
        probed: bool = True,
    ) -> None:
        """`paths` are relative to `root`. With `probed`, every header is read now, and files
        whose header is bad leave the source; raises E605 if these are too many."""
        self.name = name
        self.classes = classes
        self.resolution: tuple[int, int] | None = None
        self.skipped: list[Skipped] = []
        self._root = root
        self._limit = limit
        self._bad: set[str] = set()
        self._total = len(paths)
        self._paths = list(paths)
        self._labels = list(labels)
        if probed and len(paths) <= MAX_PROBED:
            self._probe()
        self._sizes = [_size_of(root / path) for path in self._paths]
        self.digest = self._names_digest()

    def __len__(self) -> int:
        return len(self._paths)

    def read(self, i: int) -> NDArray[np.uint8]:
        return self.read_readable(i)[0]

    def read_readable(self, i: int) -> tuple[NDArray[np.uint8], int]:
        for step in range(len(self)):
            j = (i + step) % len(self)
            path = self._root / self._paths[j]
            if str(path) in self._bad:
                continue
            try:
                return load_image(path, self._limit), j
            except UnreadableImageError as error:
                self.note_skipped([error.skipped])
        raise DiagnosticError(
            Diagnostic(code="E605", message=f"no image of {self.name} can be read")
        )

    def label(self, i: int) -> int:
        return self._labels[i]

    def array(self) -> NDArray[np.uint8] | None:
        return None

    def path(self, i: int) -> Path:
        """The file of image i."""
        return self._root / self._paths[i]

    def subset(self, rows: NDArray[np.int64]) -> FileSource:
        """The images `rows`, in that order, as a set of their own: what is unreadable among the
        others is none of its concern, and 1 % is 1 % of these."""
        paths, labels = ([column[i] for i in rows] for column in (self._paths, self._labels))
        part = FileSource(
            self.name, self._root, paths, labels, self.classes, limit=self._limit, probed=False
        )
        part.resolution = self.resolution
        return part

    def listing(self) -> Listing:
        """What files these are."""
        return Listing(tuple(self._paths), tuple(self._sizes), tuple(self._labels), self.classes)

    def as_listed(self, listed: Listing) -> FileSource:
        """The images of an earlier listing of this folder, by its numbers.

        What is gone since then, or has another size, is passed over; raises E605 if it is too
        much. Where the classes are others, the result is this source: its digest differs.
        """
        if listed.classes != self.classes:
            return self
        part = FileSource(
            self.name, self._root, listed.paths, listed.labels, self.classes,
            limit=self._limit, probed=False,
        )  # fmt: skip
        part.resolution = self.resolution
        changed = [
            Skipped(str(self._root / path), "gone" if now < 0 else "changed since the run began")
            for path, now, then in zip(listed.paths, part._sizes, listed.sizes, strict=True)
            if now != then
        ]
        part._sizes = list(listed.sizes)
        part.digest = part._names_digest()
        part.note_skipped(changed)
        return part

    def note_skipped(self, found: Iterable[Skipped]) -> None:
        new = [s for s in found if s.path not in self._bad]
        if not new:
            return
        self.skipped.extend(new)
        self._bad.update(s.path for s in new)
        refuse_if_too_many(self.name, self.skipped, self._total)

    def _probe(self) -> None:
        with ThreadPoolExecutor(max_workers=8) as threads:
            found = list(threads.map(self._probe_one, self._paths))
        self.note_skipped([f for f in found if isinstance(f, Skipped)])
        good = [i for i, f in enumerate(found) if not isinstance(f, Skipped)]
        self._paths = [self._paths[i] for i in good]
        self._labels = [self._labels[i] for i in good]
        sizes = {f for f in found if not isinstance(f, Skipped)}
        within = self._limit is None or all(min(size) <= self._limit for size in sizes)
        if len(sizes) == 1 and within:
            self.resolution = sizes.pop()

    def _probe_one(self, path: str) -> tuple[int, int] | Skipped:
        try:
            return probe_image(self._root / path)
        except UnreadableImageError as error:
            return error.skipped

    def _names_digest(self) -> str:
        content = hashlib.sha256(f"{self._limit}\n".encode())
        for path, size, label in zip(self._paths, self._sizes, self._labels, strict=True):
            content.update(f"{path}\x1f{size}\x1f{label}\n".encode("utf-8", "surrogateescape"))
        return content.hexdigest()[:32]


def _size_of(path: Path) -> int:
    """Bytes of a file; -1 of one that has gone since it was listed, and will be passed over."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def image_folder(
    split: Split,
    *,
    path: str,
    classes: Classes = "auto",
    test: float = 0.1,
    limit: int | None = DEFAULT_LIMIT,
) -> FileSource:
    """Images under `path`, in class folders or flat, at any depth; other files are passed over.

    If `path` holds train/ and test/ (or val/, valid/, validation/), these are the splits. If
    not, the test split of class folders is a frozen fraction `test` of the files, chosen by a
    hash of their names; a flat folder is all train, and its test split is empty.

    `classes="auto"` takes the first-level folders as classes if there are at least two and no
    image lies beside them. `limit` bounds the shorter side (see `sslang.data.decode`).

    Raises E601 (no such folder, no images), E604 (bad option), E605 (too many unreadable).
    """
    root = Path(path).expanduser()
    _check_options(root, classes, test, limit)
    train_root = _first_folder(root, _TRAIN_FOLDERS)
    test_root = _first_folder(root, _TEST_FOLDERS)
    name = f"image_folder({root.name}), {split}"
    if train_root is not None and test_root is not None:
        train_paths, test_paths = list_images(train_root), list_images(test_root)
        names = class_names(train_paths + test_paths, classes, root)
        here, paths = (train_root, train_paths) if split == "train" else (test_root, test_paths)
        return FileSource(name, here, paths, _labels(paths, names), names, limit=limit)
    paths = list_images(root)
    names = class_names(paths, classes, root)
    fraction = test if names is not None else 0.0
    chosen = [p for p in paths if (_unit_hash(p) < fraction) == (split == "test")]
    return FileSource(name, root, chosen, _labels(chosen, names), names, limit=limit)


def list_images(root: Path) -> list[str]:
    """Relative paths of the image files under `root`, sorted; links to folders are followed.

    Raises E601 if there are none.
    """
    found: list[str] = []
    seen: set[str] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        subfolders[:] = sorted(s for s in subfolders if not s.startswith("."))
        here = Path(folder).relative_to(root)
        found.extend(
            (here / file).as_posix()
            for file in files
            if Path(file).suffix.lower() in SUFFIXES and not file.startswith(".")
            and os.path.isfile(os.path.join(folder, file))
        )  # fmt: skip
    if not found:
        endings = ", ".join(sorted(SUFFIXES))
        raise DiagnosticError(
            Diagnostic(
                code="E601",
                message=f"there are no images under `{root}`",
                hint=f"images are files whose name ends in one of {endings}",
            )
        )
    return sorted(found)


def class_names(paths: Sequence[str], classes: Classes, root: Path) -> tuple[str, ...] | None:
    """The class folders of relative `paths`, sorted, or None where images have no classes."""
    if classes == "none":
        return None
    beside = [p for p in paths if "/" not in p]
    folders = tuple(sorted({p.split("/", 1)[0] for p in paths if "/" in p}))
    if classes == "auto":
        return folders if len(folders) >= 2 and not beside else None
    if beside:
        raise DiagnosticError(
            Diagnostic(
                code="E604",
                message=f"`{root}` has images outside of any class folder, as `{beside[0]}`",
                hint='move them into class folders, or write classes = "none"',
            )
        )
    return folders


def _labels(paths: Sequence[str], names: tuple[str, ...] | None) -> list[int]:
    if names is None:
        return [UNKNOWN_LABEL] * len(paths)
    number = {name: i for i, name in enumerate(names)}
    return [number[p.split("/", 1)[0]] for p in paths]


def _first_folder(root: Path, names: Sequence[str]) -> Path | None:
    return next((root / name for name in names if (root / name).is_dir()), None)


def _unit_hash(path: str) -> float:
    word = hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest()[:8]
    return int.from_bytes(word, "big") / 2.0**64


def _check_options(root: Path, classes: str, test: float, limit: int | None) -> None:
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise DiagnosticError(
            Diagnostic(
                code="E601",
                message=f"`{root}` {what}",
                hint="path is a folder of images, or of one folder of images a class",
            )
        )
    problem = ""
    if classes not in ("auto", "folders", "none"):
        problem = f'classes = "{classes}" is none of "auto", "folders", "none"'
    elif not 0.0 <= test < 1.0:
        problem = f"test = {test} is not a fraction from 0 to below 1"
    elif limit is not None and limit < 1:
        problem = f"limit = {limit} is not a positive number of pixels"
    if problem:
        raise DiagnosticError(Diagnostic(code="E604", message=problem))
