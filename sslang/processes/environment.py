"""Which process of a run this one is, how the processes find each other, and how they part."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.processes import slurm
from sslang.processes.slurm import contradiction, number
from sslang.records import record

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

    from sslang.processes.group import Processes

# Set by those who start processes: where these say how they ended, and whom they do not outlive.
REPORTS, PARENT = "SSLANG_REPORTS", "SSLANG_PARENT"

# The first process may evaluate for hours while the others wait; a dead one is noticed by its
# closed connections, and by whoever started it.
_PATIENCE = timedelta(days=7)
_MEETING = timedelta(minutes=15)


@record(frozen=True)
class Place:
    """A process among `count`, before it has met the others.

    `local_rank` of `local_count` on its machine. At `address` and `port` is the store through
    which they meet, which the first process opens unless `store_open`. `reports` is the folder
    of our own launcher, "" without one.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    local_count: int = 1
    address: str = ""
    port: int = 0
    started_by: Literal["hand", "torch", "slurm"] = "hand"
    store_open: bool = False
    attempt: str = "0"
    reports: str = ""

    def threads(self, cores: int) -> int:
        """The share of a machine's `cores` that is this process's."""
        return max(1, cores // self.local_count)


def find(env: Mapping[str, str]) -> Place:
    """The place that torch's launcher or Slurm's `srun` has given to this process.

    torch's variables win: a launcher may itself have been started by `srun`. Raises
    DiagnosticError E722 where variables are missing or contradict each other.
    """
    task = slurm.task(env)
    if env.get("RANK"):
        place = _of_torch(env)
        same = task is None or (task.rank, task.count) == (place.rank, place.count)
        if not same and "TORCHELASTIC_RUN_ID" not in env:
            assert task is not None
            raise contradiction(
                f"RANK and WORLD_SIZE say process {place.rank} of {place.count}, "
                f"Slurm says {task.rank} of {task.count}"
            )
        return place
    size = number(env, "WORLD_SIZE") if env.get("WORLD_SIZE") else None
    if task is None:
        if size is not None:
            raise contradiction("WORLD_SIZE is set, and RANK is not")
        return Place()
    if size not in (None, task.count):
        raise contradiction(f"WORLD_SIZE is {size}, and Slurm has started {task.count} tasks")
    return Place(**vars(task), started_by="slurm")


def _of_torch(env: Mapping[str, str]) -> Place:
    rank, count = number(env, "RANK"), number(env, "WORLD_SIZE")
    local_rank = number(env, "LOCAL_RANK")
    if rank >= count:
        raise contradiction(f"RANK is {rank}, and WORLD_SIZE {count}")
    local_count = number(env, "LOCAL_WORLD_SIZE") if env.get("LOCAL_WORLD_SIZE") else count
    if local_rank >= local_count:
        raise contradiction(f"LOCAL_RANK is {local_rank}, and LOCAL_WORLD_SIZE {local_count}")
    if count > 1 and not env.get("MASTER_ADDR"):
        raise contradiction("MASTER_ADDR is not set, so process 0 cannot be found")
    return Place(
        rank, count, local_rank, local_count,
        address=env.get("MASTER_ADDR", ""),
        port=number(env, "MASTER_PORT") if count > 1 else 0,
        started_by="torch",
        store_open=env.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        attempt=env.get("TORCHELASTIC_RESTART_COUNT", "0"),
        reports=env.get(REPORTS, ""),
    )  # fmt: skip


def refuse_second_start(env: Mapping[str, str], nodes: int) -> None:
    """Raises DiagnosticError E722 where a process that is to start others is itself one of them.

    On several `nodes`, `srun` may well start one such process on each.
    """
    task = slurm.task(env)
    by_torch = bool(env.get("RANK") and env.get("LOCAL_RANK"))
    if by_torch or (task is not None and task.count > 1 and nodes == 1):
        by = "torch's launcher" if by_torch else "srun"
        message = f"{by} has started this process as one of several, and --processes would start"
        hint = "without --processes the command is one of the processes"
        raise contradiction(f"{message} more of them from each", hint)


def thread_count(place: Place, env: Mapping[str, str]) -> int | None:
    """How many threads the process is to compute with; None where the user has said it.

    torchrun says 1 for the user, who has not asked for it.
    """
    by_torchrun = "TORCHELASTIC_RUN_ID" in env and not place.reports
    said = env.get("OMP_NUM_THREADS")
    if place.count == 1 or (said and not (by_torchrun and said == "1")):
        return None
    if env.get("SLURM_CPUS_PER_TASK") and "TORCHELASTIC_RUN_ID" not in env:
        return max(1, number(env, "SLURM_CPUS_PER_TASK"))
    return place.threads(cores())


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def device_of(place: Place, wanted: str | None) -> str:
    """The name of the device of a process: the card of its number on its machine, or the CPU.

    Raises DiagnosticError E704 where there is no card for it, E722 where `wanted` names one card
    for several processes.
    """
    import torch

    if place.count > 1 and wanted is not None and wanted.startswith("cuda:"):
        message = f"`--device {wanted}` is one card, and each of several processes has its own"
        raise contradiction(message, "--device cuda, and CUDA_VISIBLE_DEVICES for which cards")
    if wanted is None:
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if place.count == 1 or wanted != "cuda":
        return wanted
    cards = torch.cuda.device_count()
    # Under Slurm a task may see its own card alone.
    card = 0 if place.started_by == "slurm" and cards == 1 else place.local_rank
    refuse_too_many(card + 1, cards)
    return f"cuda:{card}"


def refuse_too_many(processes: int, cards: int) -> None:
    """Raises DiagnosticError E704 where a machine has fewer cards than processes."""
    if processes > cards:
        message = f"{processes} processes need a card each, and this machine shows {cards}"
        hint = "fewer processes, or --device cpu"
        raise DiagnosticError(Diagnostic("E704", message, hint=hint))


def meet(place: Place, patience: timedelta = _MEETING) -> Store:
    """The store of all processes of a run, when all have come. Raises DiagnosticError E724."""
    import torch.distributed as dist

    try:
        server = dist.TCPStore(  # type: ignore[attr-defined]
            place.address,
            place.port,
            is_master=place.rank == 0 and not place.store_open,
            timeout=patience,
            wait_for_workers=False,
            multi_tenant=True,
        )
        store: Store = dist.PrefixStore(  # type: ignore[attr-defined]
            f"sslang/{place.attempt}", server
        )
        if store.add("came", 1) == place.count:
            store.set("all came", "yes")
        store.wait(["all came"], patience)
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        raise _not_met(place, error) from error
    return store


def join(place: Place, device: str, store: Store | None = None) -> Processes:
    """Meet the other processes; `device` is this one's, as `device_of` names it.

    On CUDA tensors go through NCCL and the host's numbers through gloo, on the CPU all through
    gloo. Raises DiagnosticError E724.
    """
    import torch
    import torch.distributed as dist

    from sslang.processes.group import ALONE, Processes

    if place.count == 1:
        return ALONE
    cuda = device.startswith("cuda")
    if cuda:
        torch.cuda.set_device(device)
    try:
        dist.init_process_group(
            "nccl" if cuda else "gloo",
            store=meet(place) if store is None else store,
            rank=place.rank,
            world_size=place.count,
            timeout=_PATIENCE,
            device_id=torch.device(device) if cuda else None,
        )
        host = dist.new_group(backend="gloo", timeout=_PATIENCE) if cuda else None
        assert not isinstance(host, int), "every process is in the group of all"
    except (dist.DistNetworkError, dist.DistStoreError) as error:
        raise _not_met(place, error) from error
    return Processes(place.rank, place.count, place.local_rank, host)


def leave(processes: Processes) -> None:
    """Part when all have come to the end: whoever ends before would end the others."""
    import torch.distributed as dist

    if processes.alone:
        return
    processes.barrier()
    dist.destroy_process_group()


def _not_met(place: Place, error: Exception) -> DiagnosticError:
    reason = str(error).partition("\n")[0]
    message = (
        f"process {place.rank} of {place.count} did not meet the others at "
        f"{place.address}:{place.port}: {reason}"
    )
    hint = "see that all were started, and that this port is free and open (MASTER_PORT)"
    return DiagnosticError(Diagnostic("E724", message, hint=hint))
