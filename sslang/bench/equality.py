"""One computation, whoever computes it: the table of processes and micro-batches.

    python -m sslang.bench.equality

Every spec takes five steps in float64 in one process, then again split over processes and
micro-batches, and over processes that share out parameters and banks, from the same images. The
figure is the largest difference between any number of the state afterwards (parameters,
averages, optimizer, banks, queues, statistics) or any loss on the way and that of one process,
relative to the number where that is above 1. What is done is not done again. The table is
written as Markdown.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sslang.data.batches import Batch, Batches
from sslang.diagnostics import DiagnosticError
from sslang.emit.sharding import SHARD_BYTES
from sslang.ir.program import Program
from sslang.processes.group import ALONE, Processes
from sslang.train.data import open_data
from sslang.train.learner import Learner

STEPS = 5


class Split(NamedTuple):
    """How a step is split: `parts` are the micro-batches of each process."""

    processes: int
    parts: int
    shard: bool = False

    def __str__(self) -> str:
        return f"{self.processes} x {self.parts}" + (", sharded" if self.shard else "")


SPLITS = (
    Split(2, 1), Split(4, 1), Split(1, 2), Split(1, 4), Split(2, 2), Split(2, 1, shard=True)
)  # fmt: skip
TOLERANCE = 1e-9
BATCH = 32
GROUPED = {  # groups of images, one for each of four processes
    "mocov1": 128, "mocov2": 128, "mocov2_randaugment": 128, "clsa": 128, "imix": 256,
}  # fmt: skip


@dataclass(frozen=True)
class Found:
    """What a split gave: the largest difference, or the code that refused it."""

    spec: str
    phase: str
    split: Split
    difference: float | None
    where: str
    refused: str

    @property
    def passed(self) -> bool:
        return bool(self.refused) or (self.difference is not None and self.difference < TOLERANCE)


def main(arguments: list[str]) -> int:
    """Compute what is missing and print the table; 1 where a difference is too large."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m sslang.bench.equality")
    parser.add_argument("--out", type=Path, default=Path("runs/equality"))
    parser.add_argument("specs", nargs="*", type=Path)
    given = parser.parse_args(arguments)
    specs = given.specs or [*sorted(Path("specs").glob("*.ssl")),
                            *sorted(Path("examples").glob("*.ssl"))]  # fmt: skip
    given.out.mkdir(parents=True, exist_ok=True)
    phases = [(path, program) for path in specs for program in programs(path)]
    wanted = [
        str(path) for path, program in phases
        if not all(found_path(given.out, path, program, s).exists() for s in SPLITS)
    ]  # fmt: skip
    (given.out / "specs").write_text("\n".join(dict.fromkeys(wanted)), "utf-8")
    for count in sorted({1, *(s.processes for s in SPLITS)}) if wanted else ():
        print(f"{count} processes", file=sys.stderr, flush=True)
        in_processes(count, all_specs, given.out)
    rows = [
        read(found_path(given.out, path, program, s))
        for path, program in phases for s in SPLITS
    ]  # fmt: skip
    print(table(rows))
    return 0 if all(row.passed for row in rows) else 1


def programs(path: Path) -> tuple[Program, ...]:
    """The phases of a spec under its default recipe, with a batch that is soon computed."""
    import sslang

    return sslang.load(path, None, [f"batch={GROUPED.get(path.stem, BATCH)}"]).phases


def truth_path(folder: Path, path: Path, program: Program) -> Path:
    """Where the state of one process lies."""
    return folder / f"{path.stem}-{program.phase}-{program.spec.hash}.pt"


def found_path(folder: Path, path: Path, program: Program, split: Split) -> Path:
    """Where it is written down what a split gave."""
    name = str(split).replace(" ", "").replace(",", "-")
    return truth_path(folder, path, program).with_suffix(f".{name}.json")


def read(path: Path) -> Found:
    """What was written there."""
    found = json.loads(path.read_text("utf-8"))
    return Found(**{**found, "split": Split(*found["split"])})


def table(rows: Sequence[Found]) -> str:
    """The rows as Markdown: a spec and phase a line, a split a column."""
    head = " | ".join(str(split) for split in SPLITS)
    lines = [f"| spec | {head} |", "|---" * (len(SPLITS) + 1) + "|"]
    named: dict[tuple[str, str], dict[Split, Found]] = {}
    for row in rows:
        named.setdefault((row.spec, row.phase), {})[row.split] = row
    for (spec, phase), found in named.items():
        title = Path(spec).stem + ("" if phase == "pretrain" else f", {phase}")
        cells = " | ".join(_cell(found[split]) for split in SPLITS)
        lines.append(f"| {title} | {cells} |")
    return "\n".join(lines)


def _cell(found: Found) -> str:
    if found.refused:
        return found.refused
    return f"{found.difference:.0e}" + ("" if found.passed else f" ({found.where})")


# --- in the processes -----------------------------------------------------------------------


def in_processes(count: int, work: Callable[[Processes, Path], None], folder: Path) -> None:
    """Call `work` in `count` processes that know each other, a thread each.

    `work` is found by its name in a new interpreter. Raises RuntimeError where one fails.
    """
    context = multiprocessing.get_context("spawn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = [
        context.Process(target=_child, args=(rank, count, port, work, folder))
        for rank in range(count)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    failed = [rank for rank, child in enumerate(children) if child.exitcode]
    if failed:
        raise RuntimeError(f"of {count} processes these failed: {failed}")


def _child(
    rank: int, count: int, port: int, work: Callable[[Processes, Path], None], folder: Path
) -> None:
    torch.set_num_threads(1)
    if count == 1:
        work(ALONE, folder)
        return
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", address, rank=rank, world_size=count)
    work(Processes(rank, count, rank), folder)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    # DTensor's caches still hold the group, over whose threads the interpreter's end may trip.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def all_specs(processes: Processes, folder: Path) -> None:
    """What is missing of the specs that `folder` lists, in the splits of so many processes."""
    count = processes.count
    for path in (Path(line) for line in (folder / "specs").read_text("utf-8").splitlines()):
        for program in programs(path):
            truth = truth_path(folder, path, program)
            if count == 1 and not truth.exists():
                torch.save(learn(program, processes, Split(1, 1)), truth)
            for split in (split for split in SPLITS if split.processes == count):
                out = found_path(folder, path, program, split)
                if processes.from_first(out.exists()):
                    continue
                found = compare(path, program, processes, split, folder)
                if processes.is_first:
                    out.write_text(json.dumps(asdict(found)), encoding="utf-8")


def learn(
    program: Program, processes: Processes, split: Split, steps: int = STEPS
) -> dict[str, Any]:
    """The losses and the state after some steps in float64."""
    data = open_data(program)
    recipe = program.spec.recipe
    assert recipe is not None
    rows = -(-recipe.batch // processes.count)
    learner = Learner(
        program,
        images=len(data.train),
        classes=data.dims.get("classes"),
        dtype=torch.float64,
        processes=processes,
        micro_batch=None if split.parts == 1 else -(-rows // split.parts),
        shard_nets=0 if split.shard else None,
        shard_states=0 if split.shard else SHARD_BYTES,
    )
    losses: list[Tensor] = []
    with Batches(
        data.train, recipe.batch, last_batch=recipe.last_batch, seed=0, phase=program.phase,
        device="cpu", workers=0,
    ) as batches:  # fmt: skip
        for _ in range(steps):
            batch: Batch = next(batches)
            mine = slice(*learner.share(len(batch.pixels)))
            report = learner.train_step(
                batch.pixels[mine], batch.sizes[mine], index=batch.index[mine],
                label=batch.label[mine], batch=len(batch.pixels),
            )  # fmt: skip
            losses.append(report.loss)
    return {"losses": torch.stack(losses), "state": learner.whole_state_dict()}


def compare(
    path: Path, program: Program, processes: Processes, split: Split, folder: Path
) -> Found:
    """A split against the one process, whose state lies in `folder`."""
    truth = torch.load(truth_path(folder, path, program), weights_only=True)
    try:
        state = learn(program, processes, split)
    except DiagnosticError as error:
        code = error.diagnostics[0].code
        return Found(str(path), program.phase, split, None, "", code)
    difference, where = largest_difference(truth, state)
    return Found(str(path), program.phase, split, difference, where, "")


def largest_difference(one: Any, other: Any) -> tuple[float, str]:
    """The largest difference between two states, relative above 1, and its place."""
    ours, theirs = dict(tensors_of(one)), dict(tensors_of(other))
    assert ours.keys() == theirs.keys(), f"other state: {ours.keys() ^ theirs.keys()}"
    worst, where = 0.0, ""
    for name, value in ours.items():
        a, b = value.double(), theirs[name].double()
        assert a.shape == b.shape, f"{name}: {a.shape} and {b.shape}"
        if not a.numel():
            continue
        difference = float(((a - b).abs() / a.abs().clamp_min(1)).nan_to_num(torch.inf).max())
        if difference >= worst:
            worst, where = difference, name
    return worst, where


def tensors_of(value: object, place: str = "") -> Iterator[tuple[str, Tensor]]:
    """All tensors and numbers of a state, by their place."""
    if isinstance(value, Tensor):
        yield place, value
    elif isinstance(value, int | float):
        yield place, torch.tensor(float(value), dtype=torch.float64)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from tensors_of(item, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for at, item in enumerate(value):
            yield from tensors_of(item, f"{place}.{at}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
