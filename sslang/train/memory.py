"""Out of memory: where it went, and how many rows a step would fit."""

from __future__ import annotations

import ctypes
import resource
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import torch
from torch import Tensor, UntypedStorage

from sslang.data.batches import Batch
from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.emit.split.limits import limits_of, micro_batch_problem
from sslang.processes.group import Processes
from sslang.processes.shards import own_part
from sslang.train.learner import Learner
from sslang.train.leaves import tensors_in

_TEXTS = (
    "DefaultCPUAllocator", "can't allocate memory", "std::bad_alloc", "out of memory",
    "could not create a primitive", "could not execute a primitive",  # oneDNN has no other words
)  # fmt: skip
_TRIED_ROWS = (4, 8)
_SAFE = 0.8  # of what is free: allocators leave gaps, and other work comes and goes


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on a GPU or on the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _TEXTS)


@contextmanager
def explaining_memory(learner: Learner, batch: Batch, processes: Processes) -> Iterator[None]:
    """Where a step on `batch` runs out of memory, raise E726, which says where it went.

    The learner is of no use then: its last checkpoint is.
    """
    with _caught() as found:
        yield
    if found:
        raise explained(learner, batch, processes, found[0])


@contextmanager
def naming_memory(what: str, device: torch.device, learner: Learner | None) -> Iterator[None]:
    """Where `what`, which is no step, runs out of memory, raise E726."""
    with _caught() as found:
        yield
    if found:
        where = [] if learner is None else _listed(held(learner))
        message = f"{what} ran out of memory on {device} ({found[0]})"
        message += f"; {', '.join(where)} stand there" if where else ""
        hint = f"{_size(available(device))} are free: a smaller net, or a larger device"
        raise DiagnosticError(Diagnostic("E726", message, hint=hint))


@contextmanager
def _caught() -> Iterator[list[str]]:
    """Errors for want of memory, as text; their frames, which hold tensors, are let go of."""
    found: list[str] = []
    try:
        yield found
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        text = str(error).partition("\n")[0] or type(error).__name__
        found.append(text.rpartition("DefaultCPUAllocator: ")[2][:160])
        traceback.clear_frames(error.__traceback__)  # their variables are the step's tensors


def explained(learner: Learner, batch: Batch, processes: Processes, text: str) -> DiagnosticError:
    """E726 for a step on `batch` that failed with `text`."""
    learner.optimizer.zero_grad(set_to_none=True)
    learner.method.discard()
    rows = len(batch.index)
    split = learner.micro_batch
    at_once = rows if split is None else min(rows, split)
    few = not processes.alone or at_once <= _TRIED_ROWS[1]
    per_row = None if few else _bytes_a_row(learner, batch)
    where = _listed(held(learner))
    if per_row is not None:
        where.append(f"activations {_size(per_row * at_once)} (about {_size(per_row)} a row)")
    room = available(learner.device)
    parts = "" if at_once == rows else f", {at_once} at a time,"
    message = f"a step on {rows} rows{parts} ran out of memory on {learner.device} ({text}); it "
    hint = _what_fits(learner, at_once, per_row, room, processes)
    return DiagnosticError(Diagnostic("E726", f"{message}goes to {', '.join(where)}", hint=hint))


def rows_that_fit(learner: Learner, batch: Batch, most: int, sharers: int) -> int:
    """How many rows at a time memory takes, at least one run that batch norm keeps together.

    `batch` has some rows to try, `images_to_try`; `most` are asked for, by each of `sharers`
    processes that have the same memory. The learner is of no use afterwards. If it is one of
    several processes, running out of memory is an error, for the others wait.
    """
    per_row = _bytes_a_row(learner, batch)
    unit = limits_of(learner.method).unit
    if per_row is None:
        return unit
    fits = int(_SAFE * available(learner.device) / (per_row * sharers))
    return most if fits >= most else max(unit, _round_down(fits) // unit * unit)


def images_to_try(learner: Learner) -> int:
    """How many images `rows_that_fit` needs."""
    return max(_tried_rows(learner))


def _tried_rows(learner: Learner) -> tuple[int, int]:
    """Rows of the two steps that are measured: of several processes each has as many."""
    few, more = (-(-rows // learner.unit) * learner.unit for rows in _TRIED_ROWS)
    return few, more if more > few else 2 * few


def _listed(sizes: Mapping[str, int]) -> list[str]:
    return [f"{name} {_size(size)}" for name, size in sizes.items() if size]


def held(learner: Learner) -> dict[str, int]:
    """Bytes of what stands in memory between steps, by what it is for."""
    method = learner.method
    trained = [p.detach() for p in learner.own]
    own = {p.data_ptr() for p in trained}
    others = [own_part(t) for t in (*method.nets.parameters(), *method.nets.buffers())]
    nets = {t.data_ptr() for t in others}
    states = [b for b in method.buffers() if b.data_ptr() not in nets]
    return {
        "parameters": _bytes(trained),
        "their gradients": _bytes(trained),
        "optimizer": _bytes(tensors_in(learner.optimizer.state)),
        "averages, frozen nets and running statistics": _bytes(
            t for t in others if t.data_ptr() not in own
        ),
        "banks, queues and other states": _bytes(states),
    }


def available(device: torch.device) -> int:
    """Bytes that could still be had on `device`, or on the host within the process's limits."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    rooms = [int(psutil.virtual_memory().available)]
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    if soft != resource.RLIM_INFINITY:
        rooms.append(soft - int(psutil.Process().memory_info().vms))
    group = _group_limit()
    if group is not None:
        rooms.append(group)
    return max(0, min(rooms)) + _free_in_heap()


class _MallInfo(ctypes.Structure):
    """glibc's `struct mallinfo2`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks",
            "fordblks", "keepcost",
        )
    ]  # fmt: skip


def _free_in_heap() -> int:
    """Bytes that malloc has from the system and has not given out; 0 where it does not say."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        return 0
    ask.restype = _MallInfo
    return int(ask().fordblks)


def _group_limit() -> int | None:
    """What the process's control group (a container, a Slurm job) still allows, if it says so."""
    folder = Path("/sys/fs/cgroup")
    for limit, used in (
        (folder / "memory.max", folder / "memory.current"),
        (folder / "memory/memory.limit_in_bytes", folder / "memory/memory.usage_in_bytes"),
    ):
        try:
            text = limit.read_text().strip()
            return None if text == "max" else int(text) - int(used.read_text())
        except OSError:
            continue
    return None


def _bytes_a_row(learner: Learner, batch: Batch) -> int | None:
    """What one more row of a step takes, from steps on a few; None where they too fail."""
    rows = _tried_rows(learner)
    try:
        few, more = (_bytes_of_step(learner, batch, count) for count in rows)
    except (MemoryError, RuntimeError, DiagnosticError) as error:
        alone = learner.processes.alone
        if isinstance(error, DiagnosticError) or (alone and is_out_of_memory(error)):
            return None
        raise
    return max(1, (more - few) // (rows[1] - rows[0]))


def _bytes_of_step(learner: Learner, batch: Batch, rows: int) -> int:
    """Bytes that a step on the first `rows` rows, if there are so many, keeps for going back."""
    rows = min(rows, len(batch.pixels) // learner.unit * learner.unit)
    with _saved_bytes() as saved:
        learner.train_step(
            batch.pixels[:rows],
            batch.sizes[:rows],
            index=batch.index[:rows],
            label=batch.label[:rows],
            batch=rows * learner.processes.count,
        )
    return sum(saved.values())


@contextmanager
def _saved_bytes() -> Iterator[Mapping[int, int]]:
    """Storages that autograd keeps within the block, with their bytes.

    By identity: FSDP2 empties those of gathered parameters, and others get their addresses.
    """
    found: dict[int, int] = {}
    kept: list[UntypedStorage] = []  # so that no other is given an identity meanwhile

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if id(storage) not in found:
            found[id(storage)] = storage.nbytes()
            kept.append(storage)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield found
    kept.clear()


def _what_fits(
    learner: Learner, rows: int, per_row: int | None, room: int, processes: Processes
) -> str:
    """What to do about it: micro-batches where the method allows them."""
    free = f"{_size(room)} are free without the step"
    limits = limits_of(learner.method)
    if not processes.alone and micro_batch_problem(limits, limits.unit, rows) is None:
        quarter = max(limits.unit, rows // 4 // limits.unit * limits.unit)
        wanted = quarter if learner.shares_nets else "auto"
        return f"{free}: go on with --resume and --micro-batch {wanted}, or with more --processes"
    fits = 0 if per_row is None else min(int(_SAFE * room / per_row), rows - 1)
    if fits < 2:
        return f"{free}: a smaller net or image, or a larger device; the last checkpoint is whole"
    parts = _round_down(fits) // limits.unit * limits.unit
    anew = f"begin anew with batch={_round_down(fits)}"
    if parts and micro_batch_problem(limits, parts, rows) is None:
        same = f"go on with --resume and --micro-batch {parts}, which computes the same"
        return f"{free}: about {fits} rows at once would fit; {same}, or {anew}"
    return f"{free}: about {fits} rows at once would fit; more --processes or devices, or {anew}"


def _round_down(rows: int) -> int:
    """A number that divides well: a multiple of a power of two, a tenth below at most."""
    power = 1
    while power * 20 <= rows:
        power *= 2
    return rows // power * power


def _bytes(tensors: Any) -> int:
    storages = {t.data_ptr(): t.numel() * t.element_size() for t in tensors}
    return sum(storages.values())


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
