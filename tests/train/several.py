"""Two or more real processes of a test: each calls a function of a module with its `Processes`."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch.distributed as dist

from sslang.processes.group import Processes
from tests.conftest import ROOT


def called(count: int, function: str, folder: Path, *, codes: tuple[int, ...] = ()) -> list[Any]:
    """What `module:function` gives in each process; `codes` are the exit codes where not all 0."""
    folder.mkdir(parents=True, exist_ok=True)
    members = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.train.several", function, str(folder), str(rank),
             str(count)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    said = [member.communicate(timeout=120)[0] for member in members]
    ended = tuple(member.returncode for member in members)
    assert ended == (codes or (0,) * count), "\n".join(said)
    found = [folder / f"{rank}.json" for rank in range(count)]
    return [json.loads(path.read_text()) if path.exists() else None for path in found]


def main(function: str, folder: Path, rank: int, count: int) -> None:
    module, _, name = function.partition(":")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=count
    )
    result = getattr(importlib.import_module(module), name)(Processes(rank, count, rank), folder)
    (folder / f"{rank}.json").write_text(json.dumps(result))
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # DTensor's caches hold the group: its threads may trip over the interpreter's end


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
