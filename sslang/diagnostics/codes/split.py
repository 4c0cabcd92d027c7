"""Codes of steps that are split over processes and micro-batches."""

from sslang.diagnostics.code import Code

ALL = (
    Code(
        "E740",
        "batch norm over the whole batch in micro-batches",
        "A net in training mode normalises by the statistics of the whole batch, in every layer. "
        "Micro-batches pass the net one after the other, so none of them knows the statistics of "
        "the others, and statistics of their own would be another method. Processes can tell each "
        "other, layer by layer; micro-batches cannot.",
        arises="It arises from `sslang run SPEC --micro-batch N` where a net has `batch_norm = "
        "whole`, the default. `--processes` gives the same result on more devices; `with "
        "(batch_norm = groups(n))` is a method that micro-batches of n images can compute; nets "
        "without batch norm, such as a `vit`, have no such limit.",
    ),
    Code(
        "E741",
        "micro-batches that cut groups of batch norm",
        "`batch_norm = groups(n)` normalises runs of n images of the batch. A micro-batch holds "
        "whole groups, or their statistics would be others.",
        arises="It arises from `sslang run SPEC --micro-batch N` where N is no multiple of n, or "
        "of the least common multiple of all groups. The message names the next that is.",
    ),
    Code(
        "E742",
        "more processes than there is to share",
        "Each process computes its own images of the batch, in whole groups of batch norm. With "
        "more processes than images, or than groups, some would have nothing to do.",
        arises="It arises from `sslang run SPEC --processes N`, `torchrun` or `srun` with more "
        "processes than the recipe's `batch` has images, or has groups of `batch_norm = groups(n)` "
        "or `shuffle(n)`.",
    ),
    Code(
        "E743",
        "images wait for the batch",
        "A batch is split by its images: the nets see those of a part, then all parts compare what "
        "came of them. A mask (`keep`) that is known only when images have been compared comes too "
        "late for that.",
        arises="It arises from `sslang run SPEC --processes N`, `torchrun`, `srun` or "
        "`--micro-batch`, where `keep` depends on other images of the batch.",
    ),
)
