"""What a set of images is to the rest of the program, and the sets that sit in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sslang.data.decode import Skipped
from sslang.data.listing import Listing
from sslang.diagnostics import Diagnostic, DiagnosticError

Split = Literal["train", "test"]

UNKNOWN_LABEL = -1
_MAY_SKIP = 3
_MAY_SKIP_SHARE = 0.01
_DIGEST_SAMPLE = 256


class Source(Protocol):
    """A fixed, ordered set of images, some of them perhaps with labels.

    `resolution` is (height, width) if all images share it. `digest` identifies the content
    cheaply: a few rows or the names and sizes of the files, not every byte. `skipped` names the
    images that could not be read so far.
    """

    name: str
    classes: tuple[str, ...] | None
    resolution: tuple[int, int] | None
    digest: str
    skipped: list[Skipped]

    def __len__(self) -> int: ...

    def read(self, i: int) -> NDArray[np.uint8]:
        """Image i as uint8 [H, W, 3]; in place of an unreadable one, the next that can be read."""
        ...

    def read_readable(self, i: int) -> tuple[NDArray[np.uint8], int]:
        """What `read` gives, and the index it was really read from."""
        ...

    def label(self, i: int) -> int:
        """The class of image i as an index into `classes`, -1 where it is unknown."""
        ...

    def array(self) -> NDArray[np.uint8] | None:
        """All images as uint8 [N, H, W, 3] if they sit in memory, else None."""
        ...

    def listing(self) -> Listing | None:
        """What files these are, of a source of files."""
        ...

    def as_listed(self, listed: Listing) -> Source:
        """The images of an earlier listing of the same files; see `FileSource`."""
        ...

    def note_skipped(self, found: Iterable[Skipped]) -> None:
        """Add images found unreadable elsewhere (by a worker process); each counts once.

        Raises E605 when more than 1 % of the images, and more than 3, are unreadable.
        """
        ...


class ArraySource:
    """Images of one size in memory."""

    def __init__(
        self,
        name: str,
        images: NDArray[np.uint8],
        labels: Sequence[int] | NDArray[np.int64] | None,
        classes: tuple[str, ...] | None,
    ) -> None:
        """`images` is uint8 [N, H, W, 3]; `labels` has N entries, -1 where unknown, or is None."""
        assert images.ndim == 4
        assert images.shape[3] == 3
        assert images.dtype == np.uint8
        self.name = name
        self.classes = classes
        self.resolution: tuple[int, int] | None = (images.shape[1], images.shape[2])
        self.skipped: list[Skipped] = []
        self._images = images
        self._labels = (
            np.full(len(images), UNKNOWN_LABEL, dtype=np.int64)
            if labels is None
            else np.asarray(labels, dtype=np.int64)
        )
        assert len(self._labels) == len(images)
        self.digest = self._content_digest()

    def __len__(self) -> int:
        return len(self._images)

    def read(self, i: int) -> NDArray[np.uint8]:
        return self.read_readable(i)[0]

    def read_readable(self, i: int) -> tuple[NDArray[np.uint8], int]:
        return self._images[i], i

    def label(self, i: int) -> int:
        return int(self._labels[i])

    def array(self) -> NDArray[np.uint8] | None:
        return self._images

    def listing(self) -> Listing | None:
        return None

    def as_listed(self, listed: Listing) -> ArraySource:
        return self  # other images in memory have another digest

    def note_skipped(self, found: Iterable[Skipped]) -> None:
        assert not list(found), "images in memory are always readable"

    def subset(self, rows: NDArray[np.int64]) -> ArraySource:
        """The images `rows`, in that order, as a set of their own."""
        return ArraySource(self.name, self._images[rows], self._labels[rows], self.classes)

    def _content_digest(self) -> str:
        content = hashlib.sha256(repr(self._images.shape).encode())
        content.update(self._labels.tobytes())
        for row in range(0, len(self), -(-len(self) // _DIGEST_SAMPLE) or 1):
            content.update(self._images[row].tobytes())
        return content.hexdigest()[:32]


def refuse_if_too_many(name: str, skipped: Sequence[Skipped], total: int) -> None:
    """Raise E605 if `skipped` are more than 3 and more than 1 % of `total` images."""
    if len(skipped) <= _MAY_SKIP or len(skipped) <= _MAY_SKIP_SHARE * total:
        return
    named = "; ".join(f"{s.path} ({s.reason})" for s in skipped[:5])
    more = f"; and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    raise DiagnosticError(
        Diagnostic(
            code="E605",
            message=f"{len(skipped)} of {total} images of {name} cannot be read: {named}{more}",
            hint="repair or remove these files; up to 1 % of unreadable images is let pass",
        )
    )
