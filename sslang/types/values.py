"""The types of values that a step computes: views and tensors."""

from __future__ import annotations

from dataclasses import field, replace
from typing import Literal

from sslang.diagnostics import Span
from sslang.records import record
from sslang.types.dims import Dim, Size, symbol

DType = Literal["float", "int", "bool"]

BATCH = symbol("batch")


@record(frozen=True)
class TensorType:
    """A tensor; `shape` may hold symbols. Float tensors have the run's working precision.

    Of tokens that a net was not shown, [batch, tokens, ...], `shown` names the mask [batch,
    tokens] outside of which they are undefined; ``""`` where every entry is defined.
    """

    shape: tuple[Size, ...]
    dtype: DType = "float"
    shown: str = ""

    def __str__(self) -> str:
        shape = f"[{', '.join(map(str, self.shape))}]"
        return shape if self.dtype == "float" else f"{self.dtype}{shape}"

    def with_last(self, size: Size) -> TensorType:
        return replace(self, shape=(*self.shape[:-1], size))

    @property
    def rank(self) -> int:
        return len(self.shape)


@record(frozen=True)
class ViewType:
    """A batch of images of one view: [batch, channels, size, size].

    `size` is None while the images may still differ in size (before the first crop or resize).
    After `patches`, each image is a `grid` of (rows, columns) patches of `size` pixels, and the
    tensor is [batch * rows * columns, channels, size, size], the patches of an image together,
    row by row. `unit` says whether the values still lie in 0..1, as before `normalize` and in RGB.
    """

    channels: int
    size: int | None
    space: Literal["rgb", "gray", "lab", "ycbcr"] = "rgb"
    grid: tuple[int, int] | None = None
    unit: bool = True

    def __str__(self) -> str:
        size = "?" if self.size is None else str(self.size)
        patches = "" if self.grid is None else f"{self.grid[0]} x {self.grid[1]} patches of "
        return f"view[{patches}{self.channels} x {size} x {size}, {self.space}]"

    @property
    def patches(self) -> int:
        """How many patches an image has; 1 where it is whole."""
        return 1 if self.grid is None else self.grid[0] * self.grid[1]


Type = TensorType | ViewType

SCALAR = TensorType(())


def broadcast(a: tuple[Size, ...], b: tuple[Size, ...]) -> tuple[Size, ...] | None:
    """The common shape by NumPy's rule, or None where there is none."""
    length = max(len(a), len(b))
    left = (1,) * (length - len(a)) + a
    right = (1,) * (length - len(b)) + b
    shape: list[Size] = []
    for x, y in zip(left, right, strict=True):
        if x == y or y == 1:
            shape.append(x)
        elif x == 1:
            shape.append(y)
        else:
            return None
    return tuple(shape)


def depends_on_batch(size: Size) -> bool:
    return isinstance(size, Dim) and any(name == "batch" for name, _ in size.terms)


@record(frozen=True)
class Interval:
    """`low..high`, with both ends: a range of numbers to draw from, or of integers to run over.

    `span` is where it is written, for messages about it.
    """

    low: float
    high: float
    span: Span | None = field(default=None, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@record(frozen=True)
class Duration:
    """A time of training, in `epochs` or `steps`; fractions of an epoch are allowed.

    `span` is where it is written, for messages about it.
    """

    value: float
    unit: Literal["epochs", "steps"]
    span: Span | None = field(default=None, compare=False, repr=False)

    def steps(self, epoch: float) -> float:
        """The duration in steps, for an epoch of so many steps."""
        return self.value * epoch if self.unit == "epochs" else self.value

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}"
