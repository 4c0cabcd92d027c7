"""What Slurm says of a task: its number, how many there are, and where the first one is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.records import record

# Ports below those that Linux hands out by itself (32768 and up), and above those of services.
_FIRST_PORT, _PORTS = 10_000, 20_000
_PART = re.compile(r"\[([^\[\]]*)\]")
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_TASKS = re.compile(r"(\d+)(?:\(x(\d+)\))?")


@record(frozen=True)
class Task:
    """A task of a step that `srun` started."""

    rank: int
    count: int
    local_rank: int
    local_count: int
    address: str
    port: int


def task(env: Mapping[str, str]) -> Task | None:
    """The task that these variables describe; None outside a step.

    A script under `sbatch` has SLURM_NTASKS and SLURM_PROCID = 0 too, but is one process: only
    `srun` sets SLURM_STEP_ID. Raises DiagnosticError E722 where variables are missing or no
    numbers.
    """
    if not env.get("SLURM_STEP_ID"):
        return None
    # An interactive step of one task sees the number of the whole allocation in SLURM_NTASKS.
    count = number(env, "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in env else "SLURM_NTASKS")
    rank = number(env, "SLURM_PROCID")
    local_rank = number(env, "SLURM_LOCALID")
    if rank >= count:
        raise contradiction(f"SLURM_PROCID is {rank}, of {count} tasks")
    return Task(rank, count, local_rank, _local_count(env, count), _address(env), _port(env))


def number(env: Mapping[str, str], name: str) -> int:
    """A variable that is a number from 0. Raises DiagnosticError E722 where it is none."""
    text = env.get(name, "")
    if not (text.isascii() and text.isdecimal()):
        raise contradiction(f"{name} is {text!r}" if text else f"{name} is not set")
    return int(text)


def contradiction(message: str, hint: str = "") -> DiagnosticError:
    """E722."""
    hint = hint or "unset the variables, or start with `sslang run SPEC --processes N`"
    return DiagnosticError(Diagnostic("E722", message, hint=hint))


def hosts(text: str) -> Iterator[str]:
    """The hosts of a node list, `a[01-03,07],b-[1-2]-x` for example, in its order.

    Raises DiagnosticError E722 where it is none.
    """
    for item in re.findall(r"(?:[^,\[\]]|\[[^\[\]]*\])+", text):
        literals = _PART.split(item)
        parts = [
            _expanded(part, text) if index % 2 else [part] for index, part in enumerate(literals)
        ]
        yield from ("".join(chosen) for chosen in product(*parts))


def _expanded(part: str, text: str) -> list[str]:
    """`01-03,07` as 01, 02, 03, 07: the zeros in front are part of the name."""
    found: list[str] = []
    for piece in part.split(","):
        match = _RANGE.fullmatch(piece)
        if match is None:
            raise contradiction(f"{text!r} is no list of Slurm nodes")
        first, last = match[1], match[2] or match[1]
        found += (f"{n:0{len(first)}}" for n in range(int(first), int(last) + 1))
    return found


def _address(env: Mapping[str, str]) -> str:
    if env.get("MASTER_ADDR"):
        return env["MASTER_ADDR"]
    if env.get("SLURM_STEP_NUM_NODES") == "1":
        return "127.0.0.1"
    names = env.get("SLURM_STEP_NODELIST") or env.get("SLURM_NODELIST")
    names = names or env.get("SLURM_JOB_NODELIST", "")
    first = next(hosts(names), None)
    if first is None:
        raise contradiction("SLURM_STEP_NODELIST is not set, so process 0 cannot be found",
                            "set MASTER_ADDR to the host of task 0")  # fmt: skip
    return first


def _port(env: Mapping[str, str]) -> int:
    """The same for all tasks of a step."""
    if env.get("MASTER_PORT"):
        return number(env, "MASTER_PORT")
    return port_of(number(env, "SLURM_JOB_ID"), number(env, "SLURM_STEP_ID"))


def port_of(job: int, step: int = 0) -> int:
    """A port for the processes of a step of a job."""
    return _FIRST_PORT + (31 * job + step) % _PORTS


def _local_count(env: Mapping[str, str], count: int) -> int:
    """How many of the tasks are on this machine, of a text such as `4(x2),3`."""
    text = env.get("SLURM_STEP_TASKS_PER_NODE") or env.get("SLURM_TASKS_PER_NODE") or str(count)
    counts: list[int] = []
    for piece in text.split(","):
        match = _TASKS.fullmatch(piece)
        if match is None:
            raise contradiction(f"{text!r} is no number of tasks for each node")
        counts += [int(match[1])] * int(match[2] or 1)
    node = number(env, "SLURM_NODEID") if "SLURM_NODEID" in env else 0
    return counts[node] if node < len(counts) else counts[-1]
