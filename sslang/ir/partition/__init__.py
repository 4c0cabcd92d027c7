"""The step split by rows, over processes and micro-batches."""

from sslang.ir.partition.affine import is_affine
from sslang.ir.partition.partition import Partition, Unsplittable, partition
from sslang.ir.partition.placement import Columns, Local, Placement, Whole

__all__ = [
    "Columns",
    "Local",
    "Partition",
    "Placement",
    "Unsplittable",
    "Whole",
    "is_affine",
    "partition",
]
