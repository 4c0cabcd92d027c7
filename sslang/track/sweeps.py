"""The parent of the runs of a sweep in MLflow: means, deviations and the best child."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sslang.track.files import write_atomic
from sslang.track.mlflow_client import load, write_parent
from sslang.track.run_folder import RunFolder

_FILE = "sweep.json"


@dataclass(frozen=True)
class Parent:
    """What MLflow shows of a sweep."""

    name: str
    description: str
    metrics: Mapping[str, float]
    best: RunFolder
    files: Sequence[Path]


def send_sweep(folder: Path, parent: Parent, children: Sequence[RunFolder]) -> str:
    """Make the runs of a sweep the children of one run, for each store that has some; "" if none.

    `folder` remembers it, so that a sweep that goes on has the same parent. Returns its id. Raises
    UnreachableError.
    """
    places = [c.record().tracking for c in children]
    tracked = [t for t in places if t is not None and t.run_id]
    if not tracked:
        return ""
    path = folder / _FILE
    known = json.loads(path.read_text()) if path.exists() else {}
    place = tracked[0]
    load()
    best = parent.best.record().tracking
    run_id = write_parent(
        place, known.get(place.uri, ""), parent.name,
        tags={"mlflow.note.content": parent.description, "sweep.best": parent.best.title,
              "sweep.best_run_id": "" if best is None else best.run_id},
        metrics=parent.metrics, files=parent.files,
        children=[t.run_id for t in tracked if t.uri == place.uri],
    )  # fmt: skip
    write_atomic(path, json.dumps({**known, place.uri: run_id}) + "\n")
    return run_id
