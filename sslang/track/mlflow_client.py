"""The only module that imports mlflow, and only when a function is called.

`sslang.track.sender` uses it in a process of its own: importing mlflow takes seconds, and
every call may block for as long as a server likes. Whatever goes wrong between here and the
store is raised as `UnreachableError`.
"""

from __future__ import annotations

import getpass
import hashlib
import importlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sslang.track.files import locked
from sslang.track.metrics import Row
from sslang.track.run_folder import EXAMPLE, RunFolder, Tracking
from sslang.track.store import clean_name, clean_text, flat_tags, sqlite_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.models import ModelSignature

_METRICS_A_CALL = 1000
# What a logged model needs beside this package.
_COMPUTING = ("torch", "torchvision", "kornia", "timm", "numpy", "pillow", "lark", "pydantic",
              "safetensors", "filelock", "psutil", "rich")  # fmt: skip
_PARAMS_A_CALL = 100

_SYSTEM_ERROR = re.compile(r"\[Errno -?\d+\] ([^'\")]+)")

# With mlflow's own settings a call to a dead server blocks for four minutes.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


class UnreachableError(Exception):
    """The store did not take something; the text says why, in one line."""


@dataclass
class RemoteRun:
    """A run in an MLflow store. `last_steps` holds the last step the store has, by metric."""

    client: MlflowClient
    run_id: str
    experiment_id: str
    last_steps: dict[str, int]

    def send_rows(self, rows: Sequence[Row]) -> None:
        """Send the metrics of `rows`, except those whose step the store has or has passed.

        After a resume the same steps are logged again; MLflow would keep both.
        """
        from mlflow.entities import Metric

        points, last = [], dict(self.last_steps)
        for row in rows:
            for name, value in row.metrics.items():
                key = clean_name(name)
                if row.step <= last.get(key, -1):
                    continue
                last[key] = row.step
                points.append(Metric(key, value, int(row.time * 1000), row.step))
        with _reaching():
            for start in range(0, len(points), _METRICS_A_CALL):
                part = points[start : start + _METRICS_A_CALL]
                self.client.log_batch(self.run_id, metrics=part)
                self.last_steps.update((point.key, point.step) for point in part)

    def send_artifact(self, path: Path, folder: str) -> None:
        """Copy the file `path` to `folder` (posix, "" for the top) among the run's artifacts."""
        with _reaching():
            self.client.log_artifact(self.run_id, str(path), folder or None)

    def send_image(self, path: Path, key: str, step: int) -> None:
        """Add the PNG `path` to the slider of pictures called `key`, at `step`."""
        from PIL import Image

        with _reaching(), Image.open(path) as image:
            self.client.log_image(self.run_id, image, key=key, step=step)

    def send_model(self, name: str, folder: Path) -> str:
        """Log the embedder in `folder` as a model of the run called `name`; return its id.

        It is a pyfunc that takes images, uint8 [N, H, W, 3] of any size, and gives their features.
        This package is in it, so that it loads where sslang is not installed. So are some images
        with their features, in `example.npz`: as MLflow's own example they would be computed again
        now, which takes as long as importing torch.
        """
        import mlflow
        from mlflow import pyfunc
        from mlflow.models import Model

        with _reaching():
            mlflow.set_tracking_uri(self.client.tracking_uri)
            mlflow.set_experiment(experiment_id=self.experiment_id)
            example = np.load(folder / EXAMPLE)
            info = Model.log(
                None, pyfunc, name=name, run_id=self.run_id, loader_module="sslang.train.embedder",
                data_path=str(folder), code_paths=[str(Path(__file__).parents[1])],
                signature=_signature(example["features"].shape[1]),
                pip_requirements=_requirements(),
            )  # fmt: skip
        return str(info.model_id)

    def complete(self, folder: RunFolder, sent_tags: Mapping[str, str]) -> dict[str, str]:
        """Send the params, tags and data sets of `run.json` that the store lacks.

        A param that the store has stays as it is (MLflow refuses to change one). A tag is written
        again where it still says what was sent before, `sent_tags`, by digest: what a person has
        written in its place stays. Returns those of this time.
        """
        with _reaching():
            run = self.client.get_run(self.run_id)
            _complete_params(self.client, run, folder)
            _complete_inputs(self.client, run, folder)
            return _complete_tags(self.client, run, _tags(folder), sent_tags)

    def watch_system(self) -> None:
        """Send what the machine does, every ten seconds, until the run ends; by MLflow's thread.

        MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING=false leaves it out.
        """
        from mlflow.environment_variables import MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        enabled: Any = MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING
        if enabled.get() is False:
            return
        with _reaching():
            kind: Any = SystemMetricsMonitor
            monitor = kind(self.run_id, resume_logging=True, tracking_uri=self.client.tracking_uri)
            monitor.start()

    def set_status(self, status: str, end: float | None = None) -> None:
        """RUNNING, FINISHED, FAILED or KILLED; all but the first end the run at `end` seconds."""
        with _reaching():
            if status == "RUNNING":
                self.client.update_run(self.run_id, status=status)
            else:
                end_time = None if end is None else int(end * 1000)
                self.client.set_terminated(self.run_id, status=status, end_time=end_time)


def write_parent(
    place: Tracking, run_id: str, name: str, *, tags: Mapping[str, str],
    metrics: Mapping[str, float], files: Sequence[Path], children: Sequence[str],
) -> str:  # fmt: skip
    """Make a run the parent of others, a new one where `run_id` is not there; return its id."""
    from mlflow import MlflowClient
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    with _reaching():
        client = MlflowClient(tracking_uri=place.uri, registry_uri=place.uri)
        run = _find_run(client, run_id)
        if run is None:
            run = client.create_run(place.experiment_id, run_name=name)
        own = str(run.info.run_id)
        client.update_run(own, name=name)
        for key, value in flat_tags(tags).items():
            client.set_tag(own, key, value)
        for key, figure in metrics.items():
            client.log_metric(own, clean_name(key), figure)
        for file in files:
            client.log_artifact(own, str(file))
        for child in children:
            client.set_tag(child, MLFLOW_PARENT_RUN_ID, own)
        client.set_terminated(own)
    return own


def register_model(uri: str, model_id: str, name: str) -> str:
    """Make a logged model the next version of those called `name`; return the version."""
    import mlflow

    with _reaching():
        mlflow.set_tracking_uri(uri)
        return str(mlflow.register_model(f"models:/{model_id}", name).version)


def _signature(width: int) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    images = TensorSpec(np.dtype(np.uint8), (-1, -1, -1, 3))
    features = TensorSpec(np.dtype(np.float32), (-1, width))
    return ModelSignature(Schema([images]), Schema([features]))


def _requirements() -> list[str]:
    """The installed versions of what computes features."""
    return [f"{name}=={metadata.version(name)}" for name in _COMPUTING]


def load() -> None:
    """Import mlflow, which takes seconds. Raises UnreachableError."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with _reaching():
        importlib.import_module("mlflow")


def connect(folder: RunFolder, tracking: Tracking) -> RemoteRun:
    """The MLflow run of `folder`, made where it is not there yet. Raises UnreachableError."""
    with _reaching():
        from mlflow import MlflowClient

        database = sqlite_path(tracking.uri)
        # Two processes that create the tables at once break each other.
        guard = nullcontext() if database is None else locked(_lock_beside(database))
        with guard:
            client = MlflowClient(tracking_uri=tracking.uri, registry_uri=tracking.uri)
            experiment_id = _experiment(client, tracking.experiment, database)
        run = _find_run(client, tracking.run_id)
        last_steps = {} if run is None else _last_steps(client, run)
        if run is None:
            run = _create_run(client, experiment_id, folder)
    return RemoteRun(client, run.info.run_id, run.info.experiment_id, last_steps)


def give_up_sooner() -> None:
    """From now on, no second attempt within a call: for the last call to a dead server."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise UnreachableError(f"mlflow cannot be imported ({error})") from error
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:
        raise UnreachableError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    """Of a chain of wrapped network errors, what the operating system said."""
    if system := _SYSTEM_ERROR.search(str(error)):
        return system[1]
    text = str(error).strip().splitlines() or [type(error).__name__]
    return text[0] if len(text[0]) <= 200 else text[0][:197] + "..."


def _lock_beside(database: Path) -> Path:
    return database.with_name(f".{database.name}.lock")


def _experiment(client: MlflowClient, name: str, database: Path | None) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    # Without a place MLflow would put artifacts of an SQLite store into the working folder.
    place = None if database is None else (database.parent / "mlruns").as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=place))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    created_meanwhile = client.get_experiment_by_name(name)
    assert created_meanwhile is not None, "the store has the experiment, as it just said"
    return str(created_meanwhile.experiment_id)


def _find_run(client: MlflowClient, run_id: str) -> Run | None:
    from mlflow.exceptions import MlflowException

    if not run_id:
        return None
    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    return None


def _create_run(client: MlflowClient, experiment_id: str, folder: RunFolder) -> Run:
    from mlflow.utils import mlflow_tags as named

    record = folder.record()
    tags = {
        named.MLFLOW_USER: _user(),
        named.MLFLOW_SOURCE_NAME: clean_text(record.source or folder.spec_path.name),
        named.MLFLOW_SOURCE_TYPE: "LOCAL",
    }
    if record.git_commit:
        tags[named.MLFLOW_GIT_COMMIT] = record.git_commit
    start = int(datetime.fromisoformat(record.created).timestamp() * 1000)
    name = record.label or folder.title
    return client.create_run(experiment_id, start, tags=tags, run_name=name)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in many containers
        return str(os.getuid())


def _last_steps(client: MlflowClient, run: Run) -> dict[str, int]:
    histories = (client.get_metric_history(run.info.run_id, key) for key in run.data.metrics)
    return {points[0].key: max(point.step for point in points) for points in histories if points}


def _tags(folder: RunFolder) -> dict[str, str]:
    """The tags of a run: those of its record, its description and its results."""
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

    record = folder.record()
    found = dict(record.tags) | {"folder": folder.title}
    if record.description:
        found[MLFLOW_RUN_NOTE] = record.description
    for result in record.results:
        name = result.metric
        found[name] = f"{result.value:.3f} ± {result.error:.3f}"
        found[f"{name} initialised"] = f"{result.initial:.3f}"
        found[f"{name} gain"] = f"{result.gain:+.3f} ± {result.gain_error:.3f}"
        if result.pixels is not None:
            found[f"{name} raw pixels"] = f"{result.pixels:.3f}"
    return flat_tags(found)


def _complete_params(client: MlflowClient, run: Run, folder: RunFolder) -> None:
    from mlflow.entities import Param

    params = [Param(*item) for item in _lacking(folder.record().params, run.data.params)]
    for start in range(0, len(params), _PARAMS_A_CALL):
        client.log_batch(run.info.run_id, params=params[start : start + _PARAMS_A_CALL])


def _complete_tags(
    client: MlflowClient, run: Run, ours: Mapping[str, str], sent: Mapping[str, str]
) -> dict[str, str]:
    from mlflow.entities import RunTag

    theirs = run.data.tags
    due = {
        name: value for name, value in ours.items()
        if theirs.get(name) != value
        and (name not in theirs or _digest(theirs[name]) == sent.get(name))
    }  # fmt: skip
    tags = [RunTag(*item) for item in due.items()]
    for start in range(0, len(tags), _PARAMS_A_CALL):
        client.log_batch(run.info.run_id, tags=tags[start : start + _PARAMS_A_CALL])
    return {**sent, **{name: _digest(value) for name, value in due.items()}}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _complete_inputs(client: MlflowClient, run: Run, folder: RunFolder) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    known = {
        (given.dataset.digest, tag.value)
        for given in (run.inputs.dataset_inputs if run.inputs else ()) for tag in given.tags
    }  # fmt: skip
    due = []
    for one in folder.record().inputs:
        if (one.digest, one.context) in known:
            continue
        profile = json.dumps({"num_rows": one.images, "classes": one.classes})
        source = json.dumps({"uri": clean_text(one.place)})
        dataset = Dataset(one.name, one.digest, "local", source, profile=profile)
        due.append(DatasetInput(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, one.context)]))
    if due:
        client.log_inputs(run.info.run_id, due)


def _lacking(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in ours.items() if name not in theirs]
