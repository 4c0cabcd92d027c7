"""Two or more real processes of a test: each calls a function with its `Processes`.

They are forked from one server that has imported what all of them need: an interpreter of their
own would spend seconds on that, each.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from sslang.processes.group import Processes
from tests.conftest import ROOT

SECONDS = 240
_IMPORTED = (
    "sslang.train.run", "torch.distributed.fsdp", "torch._dynamo.backends.debugging",
    "functorch.compile", "pytest",
)  # fmt: skip


def in_processes(
    count: int,
    work: Callable[[Processes, Path], object],
    folder: Path,
    *,
    codes: tuple[int, ...] = (),
) -> None:
    """Call `work` in `count` processes; `codes` are the exit codes where not all are 0."""
    context = _server()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    members = [
        context.Process(target=_member, args=(rank, count, address, work, folder))
        for rank in range(count)
    ]
    for member in members:
        member.start()
    for member in members:
        member.join(SECONDS)
    ended = tuple(member.exitcode for member in members)
    for member in members:
        member.kill()
    assert ended == (codes or (0,) * count)


def called(
    count: int,
    work: Callable[[Processes, Path], object],
    folder: Path,
    *,
    codes: tuple[int, ...] = (),
) -> list[Any]:
    """What `work` gives in each process, as JSON; None of one that ended before it gave any."""
    folder.mkdir(parents=True, exist_ok=True)
    in_processes(count, partial(_noted, work), folder, codes=codes)
    found = [folder / f"{rank}.json" for rank in range(count)]
    return [json.loads(path.read_text()) if path.exists() else None for path in found]


def _noted(work: Callable[[Processes, Path], object], processes: Processes, folder: Path) -> None:
    result = work(processes, folder)
    (folder / f"{processes.rank}.json").write_text(json.dumps(result))


def _server() -> ForkServerContext:
    """The server, which imports modules as this process would, wherever it was started."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_IMPORTED))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(ROOT)
    try:
        from multiprocessing import forkserver

        forkserver.ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def _member(
    rank: int,
    count: int,
    address: str,
    work: Callable[[Processes, Path], object],
    folder: Path,
) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", address, rank=rank, world_size=count)
    work(Processes(rank, count, rank), folder)
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # DTensor's caches hold the group: its threads may trip over the interpreter's end
