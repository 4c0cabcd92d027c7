"""The step split by rows, over processes and micro-batches."""

from sslang.ir.partition.affine import asked, carrying, is_affine
from sslang.ir.partition.partition import Partition
from sslang.ir.partition.placement import Columns, Local, Placement, Sharded, Whole
from sslang.ir.partition.states import read_in_parts, reads
from sslang.ir.partition.walk import partition

__all__ = [
    "Columns", "Local", "Partition", "Placement", "Sharded", "Whole", "asked",
    "carrying", "is_affine", "partition", "read_in_parts", "reads",
]  # fmt: skip
