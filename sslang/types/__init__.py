"""Types: symbolic sizes, tensors, views, ranges, durations."""

from sslang.types.dims import Dim, Size
from sslang.types.values import (
    BATCH,
    SCALAR,
    Duration,
    Interval,
    TensorType,
    Type,
    ViewType,
    broadcast,
)

__all__ = [
    "BATCH",
    "SCALAR",
    "Dim",
    "Duration",
    "Interval",
    "Size",
    "TensorType",
    "Type",
    "ViewType",
    "broadcast",
]
