"""Where the rows of a value are, when the rows of the batch are split into parts."""

from __future__ import annotations

from sslang.records import record
from sslang.types import Dim, Size

ANY_ORDER = "*"


@record(frozen=True)
class Whole:
    """Every part has all of it, and the same.

    `batch`: it depends on rows of the batch, so its gradient is whole wherever it is computed.
    `trained`: it depends on parameters and on no row, so its gradient is that of one part.
    """

    batch: bool = False
    trained: bool = False


@record(frozen=True)
class Local:
    """A part has the rows of its images, along the first axis.

    That axis holds `outer` members one after the other, each with the part's images in order,
    each image with `inner` rows together. `order` names the permutation in which the batch
    stands, None for its own order, `ANY_ORDER` for a draw, which has rows but no image.
    `embedding`: it depends on nothing that the parts have to tell each other.
    """

    outer: int = 1
    inner: int = 1
    order: str | None = None
    embedding: bool = True


@record(frozen=True)
class Columns:
    """The transpose of a local matrix: a part has the columns of its images."""

    source: str


@record(frozen=True)
class Sharded:
    """A state of which each process holds some rows, or the transpose of one.

    What an index names can be had, and the product with the transpose.
    """


Placement = Whole | Local | Columns | Sharded


def factor_of_batch(size: Size) -> int | None:
    """k where the size is k times the batch, else None."""
    if isinstance(size, Dim) and size.constant == 0 and len(size.terms) == 1:
        ((name, factor),) = size.terms
        return factor if name == "batch" else None
    return None
