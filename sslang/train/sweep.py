"""A sweep: runs of one spec over a grid of settings and seeds; what is done is left as it is."""

from __future__ import annotations

import csv
import io
import itertools
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.track.files import write_atomic
from sslang.track.run_folder import Result, RunFolder, list_runs
from sslang.train.requeue import PATIENCE

SEED = "seed"


@dataclass(frozen=True)
class Cell:
    """One run of a grid: its settings by name, its seed, the hash of its spec, and the digest of
    its data."""

    settings: tuple[tuple[str, str], ...]
    seed: int
    spec_hash: str
    digest: str

    @property
    def overrides(self) -> list[str]:
        """The settings as the command line takes them."""
        return [f"{name}={value}" for name, value in self.settings]

    def __str__(self) -> str:
        return " ".join([*self.overrides, f"seed={self.seed}"])


@dataclass(frozen=True)
class Grid:
    """The axes of a sweep, each with its values as they are written."""

    spec: Path
    recipe: str | None
    axes: Mapping[str, tuple[str, ...]]
    seeds: tuple[int, ...]

    def cells(self) -> list[Cell]:
        """Return every run, checked: raises DiagnosticError before anything is trained."""
        import sslang
        from sslang.train.data import open_data

        found = []
        digests: dict[str, str] = {}
        for values in itertools.product(*self.axes.values()):
            settings = tuple(zip(self.axes, values, strict=True))
            overrides = [f"{name}={value}" for name, value in settings]
            program = sslang.load(self.spec, self.recipe, overrides)
            named = repr(program.spec.recipe and program.spec.recipe.data)
            if named not in digests:
                digests[named] = open_data(program).train.digest
            of = program.spec.hash, digests[named]
            found += [Cell(settings, seed, *of) for seed in self.seeds]
        return found


def axis(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the name and the values of `name=a,b,c`. Raises ValueError.

    Commas within brackets or quotes part nothing.
    """
    name, equals, rest = text.partition("=")
    name = name.strip()
    values = tuple(value.strip() for value in _parted(rest))
    if not equals or not name or not all(values):
        raise ValueError(f"{text!r} is no axis; write name=a,b,c")
    if len(set(values)) < len(values):
        raise ValueError(f"`{name}` has a value twice: {rest}")
    return name, values


def _parted(text: str) -> Iterator[str]:
    depth, quoted, begin = 0, False, 0
    for place, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif not quoted:
            depth += (character in "([{") - (character in ")]}")
            if character == "," and depth == 0:
                yield text[begin:place]
                begin = place + 1
    yield text[begin:]


def seeds_of(values: Sequence[str]) -> tuple[int, ...]:
    """Return the seeds that `0,1,2` or `0..4` stand for. Raises ValueError."""
    found: list[int] = []
    for value in values:
        low, dots, high = value.partition("..")
        try:
            first, last = int(low), int(high) if dots else int(low)
        except ValueError:
            raise ValueError(f"{value!r} is no seed; write seed=0,1,2 or seed=0..4") from None
        found += range(first, last + 1)
    if not found:
        raise ValueError("there is no seed in the range")
    return tuple(dict.fromkeys(found))


@dataclass
class Sweep:
    """The runs of a grid: found where they are done, else trained, so many at a time."""

    grid: Grid
    out: Path
    options: tuple[str, ...]  # of `sslang run`
    jobs: int
    tell: Callable[[str], None]

    def __post_init__(self) -> None:
        self._stop = threading.Event()

    def run(self) -> dict[Cell, RunFolder | None]:
        """Return the finished run of each cell; None for one that failed.

        Raises KeyboardInterrupt once the runs that were going on have saved their state.
        """
        cells = self.grid.cells()
        found: dict[Cell, RunFolder | None] = {}
        pool = ThreadPoolExecutor(self.jobs)
        try:
            for number, (cell, folder) in enumerate(
                zip(cells, pool.map(self._one, cells), strict=True), start=1
            ):
                found[cell] = folder
                self.tell(f"[{number}/{len(cells)}] {cell}: {_told(folder)}")
        except KeyboardInterrupt:
            self._stop.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)
        return found

    def _one(self, cell: Cell) -> RunFolder | None:
        done = self.find(cell, finished=True)
        if done is not None or self._stop.is_set():
            return done
        begun = self.find(cell, finished=False)
        if begun is not None:
            arguments = ["--resume", str(begun.path)]
        else:
            recipe = [] if self.grid.recipe is None else ["--recipe", self.grid.recipe]
            arguments = [str(self.grid.spec), *cell.overrides, "--seed", str(cell.seed), *recipe]
        command = [sys.executable, "-m", "sslang", "run", *arguments, "--out", str(self.out), "-q",
                   *self.options]  # fmt: skip
        done_ = subprocess.run(command, capture_output=True, text=True, check=False)
        if done_.returncode not in (0, 130):
            self.tell(done_.stderr.strip())
        return self.find(cell, finished=True)

    def find(self, cell: Cell, *, finished: bool) -> RunFolder | None:
        """Return the run of a cell that has finished, or that can be gone on with."""
        for folder in reversed(list_runs(self.out)):
            record = folder.record()
            known = (record.name, record.spec_hash, record.seed)
            data = next(iter(record.data.values()), cell.digest)
            if (*known, data) != (self.grid.spec.stem, cell.spec_hash, cell.seed, cell.digest):
                continue
            if record.status == "FINISHED":
                return folder if finished else None
            resumable = any(folder.checkpoints.glob("step-*.pt"))
            if not finished and resumable and not folder.is_live(patience=PATIENCE):
                return folder
        return None


def _told(folder: RunFolder | None) -> str:
    if folder is None:
        return "failed"
    results = folder.record().results
    figures = ", ".join(f"{r.metric} {r.value:.3f} ± {r.error:.3f}" for r in results)
    return f"{figures or 'finished'}  ({folder.title})"


@dataclass(frozen=True)
class Group:
    """The runs of one setting, over seeds: the mean and the deviation of what they reached."""

    settings: tuple[tuple[str, str], ...]
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float:
        """The standard deviation over seeds; nan of one alone."""
        return statistics.stdev(self.values) if len(self.values) > 1 else float("nan")

    @property
    def name(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.settings) or "as written"


def groups(found: Mapping[Cell, RunFolder | None], metric: str) -> list[Group]:
    """Return the settings of a sweep, the best first. Raises DiagnosticError E720."""
    values: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for cell, folder in found.items():
        for result in () if folder is None else folder.record().results:
            if result.metric == metric:
                values.setdefault(cell.settings, []).append(result.value)
    if not values:
        known = {r.metric for f in found.values() if f is not None for r in f.record().results}
        message = f"no run has a result `{metric}`" if metric else "the runs have no results"
        hint = f"there are {', '.join(sorted(known))}" if known else "give the recipe `evaluate`"
        raise DiagnosticError(Diagnostic("E720", message, hint=hint))
    made = [Group(settings, tuple(reached)) for settings, reached in values.items()]
    return sorted(made, key=lambda group: -group.mean)


def metric_of(found: Mapping[Cell, RunFolder | None], wanted: str | None) -> str:
    """Return the metric that is compared: the one named, or the first result of a run."""
    if wanted is not None:
        return wanted
    results: Iterator[Result] = (
        r for folder in found.values() if folder is not None for r in folder.record().results
    )
    first = next(results, None)
    return "" if first is None else first.metric


def write_table(path: Path, found: Mapping[Cell, RunFolder | None], metric: str) -> None:
    """Write a line for each run: its settings, its seed, its folder, what it reached."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = [name for name, _ in next(iter(found)).settings]
    writer.writerow([*names, SEED, "run", metric, "error"])
    for cell, folder in found.items():
        results = () if folder is None else folder.record().results
        reached = next(((r.value, r.error) for r in results if r.metric == metric), ("", ""))
        title = "" if folder is None else folder.title
        writer.writerow([*(value for _, value in cell.settings), cell.seed, title, *reached])
    write_atomic(path, buffer.getvalue())


def write_plot(path: Path, made: Sequence[Group], metric: str, title: str) -> None:
    """Draw the mean of each setting with the deviation over seeds, and each run as a point.

    Of one axis of numbers the settings stand where they are, else beside each other.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    places = _places(made)
    ordered = sorted(zip(places or range(len(made)), made, strict=True), key=lambda pair: pair[0])
    at = [place for place, _ in ordered]
    figure = Figure(figsize=(max(6.0, 0.7 * len(made)), 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    errors = [0.0 if len(g.values) < 2 else g.deviation for _, g in ordered]
    axes.errorbar(at, [g.mean for _, g in ordered], yerr=errors, marker="o", capsize=4,
                  linestyle="-" if places else "none")  # fmt: skip
    for place, group in ordered:
        axes.scatter([place] * len(group.values), group.values, s=10, color="grey", zorder=3)
    if places is None:
        axes.set_xticks(at, [g.name for _, g in ordered], rotation=30, ha="right")
    else:
        axes.set_xlabel(made[0].settings[0][0])
    axes.set(ylabel=metric, title=title)
    axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomic(path, buffer.getvalue())


def _places(made: Sequence[Group]) -> list[float] | None:
    """The numbers along a single axis, if it is one of numbers."""
    if any(len(group.settings) != 1 for group in made):
        return None
    try:
        return [float(group.settings[0][1]) for group in made]
    except ValueError:
        return None
