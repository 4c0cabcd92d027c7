"""Which MLflow store a run goes to, and how to look at it. Does not import mlflow."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from sslang.track.run_folder import latest

OFF = "off"
LOOPBACK = "127.0.0.1"
MAX_KEY, MAX_PARAM, MAX_TAG = 250, 6000, 8000
_SQLITE = "sqlite:///"
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_\-. :/]")


def tracking_uri(root: Path, option: str | None = None) -> str | None:
    """The store for runs below `root`, or None where tracking is off.

    `option` (what the user typed) comes first, then MLFLOW_TRACKING_URI, then the SQLite
    file `mlflow.db` beside `root`. The path of an SQLite store is made absolute, so that
    `sslang track sync` finds it from any folder.
    """
    chosen = option or os.environ.get("MLFLOW_TRACKING_URI") or ""
    if chosen == OFF:
        return None
    if not chosen:
        return f"{_SQLITE}{root.absolute().parent / 'mlflow.db'}"
    path = sqlite_path(chosen)
    return chosen if path is None else f"{_SQLITE}{path}"


def experiment_name(method: str) -> str:
    """MLFLOW_EXPERIMENT_NAME, or else `method`."""
    return os.environ.get("MLFLOW_EXPERIMENT_NAME") or method


def sqlite_path(uri: str) -> Path | None:
    """The absolute path of an SQLite store's file; None for every other store."""
    return Path(uri.removeprefix(_SQLITE)).absolute() if uri.startswith(_SQLITE) else None


def ui_store(root: Path) -> str:
    """The store that `sslang ui` opens: MLFLOW_TRACKING_URI, or the last run's, or the default."""
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return uri
    run = latest(root)
    tracking = run.record().tracking if run is not None else None
    return tracking.uri if tracking is not None else f"{tracking_uri(root)}"


def ui_command(root: Path, *, host: str = LOOPBACK, port: int = 5000) -> list[str]:
    """The command that serves MLflow's pages for the runs below `root` at an address of this host.

    Empty where the store is a server already: its own address is then `ui_url(root)`.
    The settings keep MLflow 3.17 at 480 MB and 12 s to start instead of 1.4 GB and 37 s.
    """
    uri = ui_store(root)
    if is_server(uri):
        return []
    return [
        *("env", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false"),
        *(sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri),
        *("--workers", "1", "--host", host, "--port", str(port)),
    ]


def ui_url(root: Path, *, host: str = LOOPBACK, port: int = 5000) -> str:
    """Where a browser finds the runs below `root` while `ui_command(root)` runs.

    Of an experiment that has runs, the page of its training runs: without `workflowType` MLflow 3
    opens its pages for language models.
    """
    uri = ui_store(root)
    named = f"[{host}]" if ":" in host else host
    base = uri.rstrip("/") if is_server(uri) else f"http://{named}:{port}"
    last = latest(root)
    tracking = None if last is None else last.record().tracking
    if tracking is None or tracking.uri != uri or not tracking.experiment_id:
        return base
    return f"{base}/#/experiments/{tracking.experiment_id}/runs?workflowType=machine_learning"


def is_server(uri: str) -> bool:
    """Whether a store is a server, with pages of its own."""
    return uri.startswith(("http://", "https://"))


def flat_params(params: Mapping[str, object]) -> dict[str, str]:
    """Nested `params` as dotted names and text, within MLflow's limits.

    Letters, digits and `_-. :/` stay in a name, `_` takes the place of everything else;
    names that become equal are numbered. Longer values are cut and end in "...".
    """
    flat: dict[str, str] = {}
    for name, value in _walk("", params):
        key = clean_name(name)
        count = 2
        while key in flat:
            key = f"{clean_name(name)[: MAX_KEY - 5]}_{count}"
            count += 1
        flat[key] = _cut(str(value), MAX_PARAM)
    return flat


def flat_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """`tags` within MLflow's limits."""
    return {clean_name(name): _cut(value, MAX_TAG) for name, value in tags.items()}


def clean_name(name: str) -> str:
    """`name` as MLflow takes it for a param, tag or metric."""
    parts = _NOT_IN_NAMES.sub("_", name)[:MAX_KEY].split("/")
    return "/".join(part for part in parts if part not in ("", ".", "..")) or "_"


def clean_text(text: str) -> str:
    """`text` without characters that a terminal or a page would take for more than a letter."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _walk(prefix: str, value: object) -> list[tuple[str, object]]:
    if not isinstance(value, Mapping):
        return [(prefix, value)]
    dot = "." if prefix else ""
    return [pair for name, item in value.items() for pair in _walk(f"{prefix}{dot}{name}", item)]


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
