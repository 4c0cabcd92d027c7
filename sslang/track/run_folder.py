"""The folder of a run, `runs/<name>/<time>/`, and the record `run.json` in it.

    run.json         what was run, on what, with which result (see `RunRecord`)
    spec.ssl         the spec as the user wrote it; resolved.ssl: with every value in place
    metrics.jsonl    see `sslang.track.metrics`
    checkpoints/     see `sslang.train.checkpoint`
    artifacts/       what is copied to MLflow besides the two specs
    data/            the files that its data were when it began (see `sslang.data.listing`)
    batch-N.pt       the batch of a step N whose loss was no number, where there was one
    log.txt          what the run said; track.log: what MLflow said

Every file but `metrics.jsonl` and the logs is replaced as a whole, so a kill leaves no half.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.track import metrics
from sslang.track.files import locked, try_lock, write_atomic

EXAMPLE = "example.npz"  # beside an embedder: some images, and their features

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,99}")


@dataclass(frozen=True)
class Tracking:
    """Where in MLflow a run is copied to, and how much of it is there already."""

    uri: str
    experiment: str
    run_id: str = ""
    experiment_id: str = ""
    sent_lines: int = 0
    sent_status: str = ""
    sent_artifacts: Mapping[str, str] = field(default_factory=dict)
    sent_tags: Mapping[str, str] = field(default_factory=dict)
    model_id: str = ""


@dataclass(frozen=True)
class DataSet:
    """Images that a run reads: what they are for is `context`, where they lie is `place`."""

    name: str
    digest: str
    place: str
    context: str
    images: int
    classes: int = 0


@dataclass(frozen=True)
class Result:
    """A share of test images, with its standard error over them.

    `initial` is the same before training, `gain` what training brought and `gain_error` the
    standard error of that, over the same images; `pixels` is the figure of the raw pixels, None
    where it was not measured.
    """

    metric: str
    value: float
    error: float
    initial: float
    gain: float
    gain_error: float
    protocol: str = ""
    pixels: float | None = None


@dataclass(frozen=True)
class RunRecord:
    """The content of `run.json`. `git_commit` is empty where the run was in no repository.

    `source` is the file of the spec as it was named, `number` counts the runs of that name, and
    `label` says what sets this one apart. `exit_code` is None while it goes on, `job` that of the
    queue which runs it; `data` has the digest of the training images of each phase that has begun,
    and `inputs` the data sets of those phases. `description` is Markdown.
    """

    name: str
    created: str
    source: str = ""
    number: int = 0
    label: str = ""
    description: str = ""
    inputs: tuple[DataSet, ...] = ()
    results: tuple[Result, ...] = ()
    status: Status = "RUNNING"
    method: str = ""
    spec_hash: str = ""
    recipe: str = ""
    overrides: tuple[str, ...] = ()
    seed: int = 0
    exit_code: int | None = None
    job: str = ""
    data: Mapping[str, str] = field(default_factory=dict)
    device: str = ""
    dataset: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    git_commit: str = ""
    git_dirty: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    tracking: Tracking | None = None


@dataclass(frozen=True)
class RunFolder:
    """A run's folder. The object holds no state: whatever it says is read from the disk."""

    path: Path

    @property
    def root(self) -> Path:
        """The folder `runs/` that holds all runs."""
        return self.path.parent.parent

    @property
    def title(self) -> str:
        """`<name>/<time>`: how people and MLflow call the run."""
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def embedders(self) -> Path:
        """What gives the features, of each phase that has ended: see `sslang.train.embedder`."""
        return self.path / "embedders"

    @property
    def images(self) -> Path:
        """Pictures by name and step, among the artifacts: `images/<name>/<step>.png`."""
        return self.artifacts / "images"

    @property
    def metrics_path(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def spec_path(self) -> Path:
        return self.path / "spec.ssl"

    @property
    def resolved_path(self) -> Path:
        return self.path / "resolved.ssl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def phases(self) -> Path:
        """The nets at the end of each phase, a folder of checkpoints each."""
        return self.path / "phases"

    @property
    def artifacts(self) -> Path:
        return self.path / "artifacts"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def log_path(self) -> Path:
        return self.path / "log.txt"

    @property
    def live_lock(self) -> Path:
        """Locked by the process that trains, for as long as it lives."""
        return self.path / ".live"

    def record(self) -> RunRecord:
        """What `run.json` says. Raises DiagnosticError E715 where it is missing or damaged."""
        path = self.path / "run.json"
        try:
            return _from_json(json.loads(path.read_text()))
        except FileNotFoundError as error:
            raise _not_a_run(self.path, "it has no run.json") from error
        except (OSError, ValueError, TypeError) as error:
            raise _not_a_run(self.path, f"its run.json cannot be read ({error})") from error

    def number_of(self) -> int:
        """The run's number among those of its name; 0 where its record cannot be read."""
        try:
            return self.record().number
        except DiagnosticError:
            return 0

    def update(self, **changes: Any) -> RunRecord:
        """Replace fields of `run.json` (see `RunRecord`); safe beside other processes."""
        with locked(self.path / ".record"):
            record = dataclasses.replace(self.record(), **changes)
            write_atomic(self.path / "run.json", _to_json(record))
        return record

    def status(self) -> Status:
        """The run's status; a run whose process has died without a word is KILLED."""
        recorded = self.record().status
        if recorded == "RUNNING" and not self.is_live():
            return "KILLED"
        return recorded

    def is_live(self, *, patience: float = 0.0) -> bool:
        """Whether a process is training into this folder, and still is after `patience` seconds.

        The loader processes of a run that was killed hold its lock until they notice.
        """
        descriptor = try_lock(self.live_lock, timeout=patience)
        if descriptor is None:
            return True
        os.close(descriptor)
        return False

    def metrics(self) -> list[metrics.Row]:
        """All complete lines of `metrics.jsonl`."""
        return metrics.read_rows(self.metrics_path)[0]

    def truncate_metrics(self, step: int) -> int:
        """Forget what was logged after `step`, before a resumed run logs it again."""
        return metrics.truncate(self.metrics_path, step)


def create(root: Path, name: str, source: str = "") -> RunFolder:
    """Make `root/<name>/<time>/`, time in UTC, for a run of the spec in the file `source`.

    Raises DiagnosticError E714.
    """
    if not _NAME.fullmatch(name):
        raise DiagnosticError(
            Diagnostic(
                code="E714",
                message=f"`{name}` cannot name a run's folder",
                hint="take letters, digits and `_.+-`, and begin with a letter or a digit",
            )
        )
    now = datetime.now(UTC)
    number = 1 + max((run.number_of() for run in _runs_of(root.absolute() / name)), default=0)
    try:
        folder = RunFolder(_new_folder(root.absolute() / name, f"{now:%Y-%m-%d_%H-%M-%S}"))
        folder.checkpoints.mkdir()
        folder.artifacts.mkdir()
        created = now.isoformat(timespec="milliseconds")
        record = RunRecord(name=name, created=created, source=source or name, number=number)
        write_atomic(folder.path / "run.json", _to_json(record))
    except OSError as error:
        raise DiagnosticError(
            Diagnostic(
                code="E714",
                message=f"no folder for the run can be made in {root}: {error.strerror}",
                hint="name another place with --out",
            )
        ) from error
    return folder


def open_run(folder: Path) -> RunFolder:
    """The run in `folder`. Raises DiagnosticError E715 where it is none."""
    run = RunFolder(folder.absolute())
    run.record()
    return run


def list_runs(root: Path) -> list[RunFolder]:
    """The runs below `root`, the oldest first; none where `root` does not exist."""
    found = (RunFolder(record.parent) for record in root.absolute().glob("*/*/run.json"))
    return sorted(found, key=lambda run: (run.path.name, run.path.parent.name))


def _runs_of(folder: Path) -> list[RunFolder]:
    """The last runs of one name, of which one may be damaged."""
    found = sorted(record.parent for record in folder.glob("*/run.json"))
    return [RunFolder(path) for path in found[-3:]]


def latest(root: Path) -> RunFolder | None:
    """The run below `root` that was begun last."""
    return next(reversed(list_runs(root)), None)


def _new_folder(parent: Path, time: str) -> Path:
    number = 1
    while True:
        path = parent / (time if number == 1 else f"{time}_{number:02}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if not parent.is_dir():
                raise
            number += 1
        else:
            return path


def _to_json(record: RunRecord) -> str:
    return json.dumps(dataclasses.asdict(record), indent=2) + "\n"


def _from_json(fields: dict[str, Any]) -> RunRecord:
    tracking = fields.pop("tracking", None)
    fields["overrides"] = tuple(fields.pop("overrides", ()))
    fields["inputs"] = tuple(DataSet(**given) for given in fields.pop("inputs", ()))
    fields["results"] = tuple(Result(**given) for given in fields.pop("results", ()))
    return RunRecord(**fields, tracking=None if tracking is None else Tracking(**tracking))


def _not_a_run(folder: Path, why: str) -> DiagnosticError:
    return DiagnosticError(
        Diagnostic(
            code="E715",
            message=f"{folder} is not the folder of a run: {why}",
            hint="`sslang runs` lists the runs that there are",
        )
    )
