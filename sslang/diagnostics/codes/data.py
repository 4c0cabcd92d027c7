"""Codes E6xx. Data."""

from __future__ import annotations

from sslang.diagnostics.code import Code

ALL = (
    Code("E601", "data cannot be opened", "The data set is not where the recipe says."),
    Code("E602", "too few images", "The data set has fewer images than the batch needs."),
    Code("E603", "images differ in size", "The chain needs a crop or a resize before this op."),
    Code("E604", "unknown data set or option", "No data set or option is called this."),
    Code("E605", "too many unreadable images", "More than 1 % of the images cannot be read."),
    Code("E607", "weights do not fit", "What `pretrained` names lacks the net, or has another."),
    Code("E609", "bank too small", "A bank that `index` reads has a row for each image."),
    Code("E608", "no labels", "The phase is trained with labels, and the data has none."),
    Code("E606", "loader processes die", "A worker process died again after a restart."),
)
