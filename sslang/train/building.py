"""The learner of a phase, as the options of a run want it computed."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from itertools import islice

import torch
from torch import Tensor

from sslang.data.batches import Batches
from sslang.ir.program import Program
from sslang.processes.group import ALONE, Processes
from sslang.processes.shards import UNIT_BYTES
from sslang.train.data import Data
from sslang.train.learner import Learner
from sslang.train.memory import images_to_try, naming_memory, rows_that_fit
from sslang.train.options import RunOptions


def build(
    program: Program, options: RunOptions, data: Data, weights: Mapping[str, Tensor]
) -> Learner:
    """A learner on the processes of a run, its `weights` those to begin with.

    Raises DiagnosticError E726 where memory does not even hold the nets, E740-E742 where the step
    cannot be split as wanted.
    """
    micro_batch = options.micro_batch
    if micro_batch == "auto":
        micro_batch = _fitting(program, options, data, weights)
    return _learner(program, options, data, weights, options.processes, micro_batch)


def build_whole(program: Program, options: RunOptions, data: Data) -> Learner:
    """A learner that computes each step in one piece, with the draws of the same run."""
    return _learner(program, options, data, {}, ALONE, None)


def _learner(
    program: Program,
    options: RunOptions,
    data: Data,
    weights: Mapping[str, Tensor],
    processes: Processes,
    micro_batch: int | None,
) -> Learner:
    device = options.resolved_device()
    with naming_memory("building the nets", torch.device(device), None):
        return Learner(
            program,
            images=len(data.train),
            classes=data.dims.get("classes"),
            seed=options.seed,
            weights=weights,
            device=device,
            autocast=torch.bfloat16 if options.precision == "bfloat16" else None,
            channels_last=options.channels_last,
            processes=processes,
            micro_batch=micro_batch,
            shard_nets=UNIT_BYTES if options.shard and not processes.alone else None,
            passes=options.passes,
        )


def _fitting(
    program: Program, options: RunOptions, data: Data, weights: Mapping[str, Tensor]
) -> int | None:
    """How many rows at a time memory takes at every process; None where it takes all of them.

    Steps on a few rows are measured, by a learner that is then let go of: of all processes
    together where they share the nets, for no one of them might hold these alone.
    """
    together = options.processes if options.shard else ALONE
    tried = _learner(program, options, data, weights, together, None)
    recipe, few = tried.recipe, images_to_try(tried)
    with Batches(
        data.train, recipe.batch, last_batch=recipe.last_batch, seed=options.seed,
        phase=program.phase, device=tried.device, workers=0,
        share=lambda rows: (0, min(rows, few)),
    ) as batches:  # fmt: skip
        (batch,) = islice(batches, 1)
    own = -(-recipe.batch // options.processes.count)
    # A card is of one process, the memory of the host of all that may be on it.
    sharers = 1 if tried.device.type == "cuda" else options.processes.count
    with naming_memory(f"trying a step on {few} rows", tried.device, tried):
        fits = rows_that_fit(tried, batch, own, sharers)
    del tried
    gc.collect()  # the parts of a shared net refer to each other
    (least,) = options.processes.largest(-fits)
    return None if -least >= own else -least
