"""Numbers, memory, and other processes that want the same."""

from __future__ import annotations

import resource

import psutil

from sslang.bench.faults.bench import Bench, Row, resumed
from sslang.bench.faults.trial import UnexpectedError, committed, outcome, whole


def not_a_number(bench: Bench) -> Row:
    trial = bench.trial("nan", "optimizer=sgd(lr = 1e25)")
    process = trial.begin()
    ended = process.end()
    folder = trial.folders()[-1]
    kept = sorted(path.name for path in folder.glob("batch-*.pt"))
    named = next((line for line in ended.said.splitlines() if "E703" in line), "no E703")
    return Row("NaN in a step", f"{named.partition(': ')[2]}; kept {', '.join(kept)}",
               str(ended.code), max(0, committed(folder) - whole(folder)), None)  # fmt: skip


def out_of_memory(bench: Bench) -> Row:
    """The limit of the process's memory falls to a little more than it has."""
    trial = bench.trial("memory")
    # Blocks go back to the system at once, so that each step must ask for them again.
    process = trial.begin(environment={"MALLOC_MMAP_THRESHOLD_": "65536"})
    folder = process.at_step(5)
    size = psutil.Process(process.pid).memory_info().vms
    resource.prlimit(process.pid, resource.RLIMIT_AS, (size - 2**22, size))
    ended = process.end()
    held = committed(folder)
    return resumed(bench, trial, folder, "out of memory", ended, held,
                   f"stopped with {ended.codes()}")  # fmt: skip


_LONGER = "length=1200 steps"  # than who goes on waits for what a killed run has left


def two_in_one_folder(bench: Bench) -> Row:
    trial = bench.trial("two", _LONGER)
    process = trial.begin(save_every=60.0)
    folder = process.at_step(0)
    second = trial.resume(folder)
    ended = process.end()
    if ended.code != 0:
        raise UnexpectedError(f"the first run failed: {ended.said[-300:]}")
    if second.code == 0:
        raise UnexpectedError("the second run was not refused")
    same = outcome(folder) == bench.undisturbed(*trial.arguments)
    happened = f"the second was refused with {second.codes()}, the first went on to its end"
    return Row("two runs in one folder", happened, f"{second.code}; {ended.code}", 0, same)
