"""The step split by rows, over processes and micro-batches."""

from sslang.ir.partition.affine import carrying, is_affine
from sslang.ir.partition.partition import Partition, Unsplittable
from sslang.ir.partition.placement import Columns, Local, Placement, Whole
from sslang.ir.partition.walk import partition

__all__ = [
    "Columns", "Local", "Partition", "Placement", "Unsplittable", "Whole", "carrying", "is_affine",
    "partition",
]  # fmt: skip
