"""What the rules of nets share: their result, and checks of what they are applied to."""

from collections.abc import Mapping
from dataclasses import field

from sslang.ops.declare import Misfit, as_tensor
from sslang.records import record
from sslang.types import BATCH, Size, TensorType, Type, ViewType
from sslang.types.values import depends_on_batch


@record(frozen=True)
class Built:
    """What a description becomes for one input type.

    `fields` are the values that its result is a record of, the first of them `output`, which is
    used where no field is named; empty where the result is one tensor.
    """

    output: TensorType
    arguments: Mapping[str, object]
    drops: int = 0  # how many uniform numbers a row its drop path takes
    flexible: str = ""  # an argument that may differ between uses; the largest is built
    fields: Mapping[str, TensorType] = field(default_factory=dict)


def features(x: Type, op: str) -> tuple[TensorType, Size]:
    """The input [..., width] and its width, which may be a symbol such as `classes`."""
    tensor = as_tensor(x, f"the input of `{op}`")
    width = tensor.shape[-1] if tensor.rank >= 2 else None
    if width is None or depends_on_batch(width):
        raise Misfit(f"`{op}` acts on the last axis of [rows, width]; this is {tensor}")
    return tensor, width


def images(x: Type, op: str) -> tuple[ViewType, int]:
    """The view and the side of its images, or of its patches where it has been cut up."""
    if not isinstance(x, ViewType):
        raise Misfit(f"`{op}` is applied to a view, not to {x}", code="E301")
    if x.size is None:
        raise Misfit(f"`{op}` needs views of one size", "crop the view first", "E603")
    return x, x.size


def pooled(view: ViewType, width: int) -> TensorType:
    """One row of features an image: [batch, width]; [batch, h, w, width] for a grid of patches."""
    return TensorType((BATCH, *(view.grid or ()), width))


def check_width(value: Size, what: str = "the width") -> None:
    """Misfit unless a number is sensible and a symbol does not stand for the batch."""
    if isinstance(value, int):
        if not 1 <= value <= 1_000_000:
            raise Misfit(f"{what} is {value}; it must lie in 1..1000000", code="E309")
    elif depends_on_batch(value):
        raise Misfit(f"{what} is {value}; parameters cannot depend on the batch", code="E309")


def check_channels(base: int, width: float) -> None:
    """Misfit unless `width` times the channel count `base` is whole, and divisible by four."""
    if not 0 < width <= 16 or (base * width) % 4:
        raise Misfit(
            f"the width {width} gives no whole channel counts", "try 0.25, 0.5, 1 or 2", "E309"
        )
