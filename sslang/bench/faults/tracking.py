"""MLflow: a server that dies and comes back, a database that several create at once."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from sslang.bench.faults.bench import Bench, Row
from sslang.bench.faults.trial import UnexpectedError, outcome
from sslang.track.run_folder import RunFolder

_START_SECONDS = 120.0
_LONGER = "length=600 steps"  # the server must have time to die


def server_killed(bench: Bench) -> Row:
    """The run does not wait for it; what it lacks is sent later."""
    trial = bench.trial("server", _LONGER)
    trial.root.mkdir(parents=True)
    port = _free_port()
    uri = f"http://127.0.0.1:{port}"
    with _server(trial.root, port):
        process = trial.begin("--tracking", uri, save_every=60.0)
        folder = RunFolder(process.folder())
        process.until("a line in MLflow", lambda: _sent(folder) > 0)
    ended = process.end()
    if ended.code != 0:
        raise UnexpectedError(f"the run failed: {ended.said[-300:]}")
    with _server(trial.root, port):
        later = trial.command("track", "sync", str(folder.path))
    lines = [row for row in folder.metrics() if "train/loss" in row.metrics]
    there = _query(trial.root / "server.db", "select count(*) from metrics where key='train/loss'")
    if later.code != 0 or there != len(lines):
        raise UnexpectedError(f"{there} of {len(lines)} lines were sent: {later.said[-300:]}")
    same = outcome(folder.path) == bench.undisturbed(*trial.arguments)
    text = f"went on to its end ({ended.codes()}); all {there} lines were sent afterwards, once"
    return Row("tracking server killed and back", text, f"{ended.code}; {later.code}", 0, same)


def database_at_once(bench: Bench) -> Row:
    """Three runs that find no database: MLflow alone breaks it."""
    trial = bench.trial("database")
    database = trial.root / "mlflow.db"
    begun = [trial.begin("--tracking", f"sqlite:///{database}", save_every=60.0) for _ in range(3)]
    ended = [process.end() for process in begun]
    wrong = [e.said[-300:] for e in ended if e.code or e.codes()]
    finished = _query(database, "select count(*) from runs where status='FINISHED'")
    if wrong or finished != len(begun):
        raise UnexpectedError(f"{finished} of 3 are in the database: {wrong}")
    same = {outcome(folder) for folder in trial.folders()} == {bench.undisturbed()}
    codes = "; ".join(str(e.code) for e in ended)
    return Row("a database created by three runs at once", "all three are in it, whole", codes, 0,
               same)  # fmt: skip


def _sent(folder: RunFolder) -> int:
    tracking = folder.record().tracking
    return 0 if tracking is None else tracking.sent_lines


def _query(database: Path, query: str) -> int:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return int(connection.execute(query).fetchone()[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def _server(root: Path, port: int) -> Iterator[None]:
    """MLflow's server within the block; at its end it is killed."""
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri",
        f"sqlite:///{root / 'server.db'}", "--workers", "1", "--host", "127.0.0.1",
        "--port", str(port),
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (root / "server.log").open("ab") as log:
        server = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log,
                                  start_new_session=True)  # fmt: skip
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(port):
            if time.monotonic() > deadline or server.poll() is not None:
                raise UnexpectedError("MLflow's server did not start")
            time.sleep(0.2)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False
