"""Metrics into the run's folder at once, and to MLflow in the background.

Nothing here waits for MLflow, and nothing MLflow does reaches the training loop: a process
(`sslang.track.sender`) reads the folder and sends what is new. With the server dead, training
goes on, one warning is given, and `sync` sends the rest later.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from sslang.diagnostics import Diagnostic, DiagnosticError, render
from sslang.track.files import try_lock, write_atomic
from sslang.track.metrics import MetricsWriter
from sslang.track.run_folder import RunFolder, Status, Tracking
from sslang.track.sender import BUSY, unsent
from sslang.track.store import OFF, flat_params, flat_tags

GRACE_SECONDS = 30.0
GRACE_WHEN_DEAD_SECONDS = 10.0


@dataclass(frozen=True)
class SyncResult:
    """What `sync` left unsent: nothing where both numbers are zero; else `reason` says why."""

    unsent_lines: int
    unsent_files: int
    reason: str = ""


def print_warning(diagnostic: Diagnostic) -> None:
    print(render(diagnostic), file=sys.stderr)


class Recorder:
    """Writes what a run measures. Use it in the process of rank 0 only.

    `tracking` is an MLflow URI (see `store.tracking_uri`); None or "off" keeps the run in its
    folder. `params` may be nested; `tags` are for looking runs up. `warn` gets each warning,
    in the thread that calls `log` or `close`. As a context manager it closes the run as
    FINISHED, as KILLED after KeyboardInterrupt, as FAILED after another exception.

    `resumed` is the step from which a run goes on: what was logged after it is forgotten. `prepare`
    completes the run's record once the folder is this process's alone, and before anything is sent.

    Raises DiagnosticError E714 where another process is training into `folder`.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        tracking: str | None,
        experiment: str,
        params: Mapping[str, object],
        tags: Mapping[str, str],
        resumed: int | None = None,
        prepare: Callable[[], None] = lambda: None,
        warn: Callable[[Diagnostic], None] = print_warning,
    ) -> None:
        self._folder, self._warn, self._closed = folder, warn, False
        self._lock = try_lock(folder.live_lock)
        if self._lock is None:
            raise DiagnosticError(
                Diagnostic(
                    code="E714",
                    message=f"another process is training into {folder.path}",
                    hint="wait for it, or begin a new run",
                )
            )
        if resumed is not None:
            folder.truncate_metrics(resumed)
        place = _place(folder, tracking, experiment)
        folder.update(
            status="RUNNING",
            exit_code=None,
            params=flat_params(params),
            tags=flat_tags(tags),
            tracking=place,
        )
        prepare()
        self._writer = MetricsWriter(folder.metrics_path)
        self._process = None if place is None else SenderProcess(folder)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one line to metrics.jsonl. Raises DiagnosticError E716 (disk full)."""
        self._writer.append(step, metrics)
        self._pass_on_warnings()

    def artifact(self, path: Path) -> Path:
        """Take the finished file or folder `path` among the run's artifacts; its place there.

        What does not lie in `artifacts/` yet is copied there. A file that is given again
        replaces the first. Raises DiagnosticError E716 (disk full).
        """
        root, path = self._folder.artifacts, path.absolute()
        target = path if path.is_relative_to(root) else _copy(path, root / path.name)
        if self._process is not None:
            for file in sorted(target.rglob("*")) if target.is_dir() else [target]:
                self._process.tell({"artifact": file.relative_to(root).as_posix()})
        return target

    def close(self, status: Status, *, exit_code: int | None = None) -> None:
        """End the run. Waits while MLflow takes what is left, but not for a dead server.

        A disk that does not take the record is a warning E716: the run says `RUNNING` there, and
        whoever reads it sees that its process has gone.
        """
        if self._closed:
            return
        self._closed = True
        self._writer.close()
        try:
            self._folder.update(status=status, exit_code=exit_code)
        except OSError as error:
            message = f"{self._folder.path / 'run.json'} cannot be written: {error.strerror}"
            self._warn(Diagnostic("E716", message, hint="make room on the disk"))
        if self._process is not None:
            self._process.finish(status)
            self._pass_on_warnings()
            self._warn_of_rest()
        assert self._lock is not None
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close("FINISHED")
        else:
            self.close("KILLED" if issubclass(kind, KeyboardInterrupt) else "FAILED")

    def _pass_on_warnings(self) -> None:
        if self._process is not None and (reason := self._process.take_warning()):
            self._warn(
                Diagnostic(
                    code="E717",
                    message=f"MLflow cannot be reached: {reason}",
                    hint="training goes on; everything is kept in the run's folder",
                )
            )

    def _warn_of_rest(self) -> None:
        lines, files = unsent(self._folder)
        tracking = self._folder.record().tracking
        if tracking is not None and tracking.sent_status == self._folder.record().status:
            return
        self._warn(
            Diagnostic(
                code="E718",
                message=f"MLflow lacks {lines} lines of metrics and {files} files of this run",
                hint=f"send them later: sslang track sync {self._folder.path}",
            )
        )


class SenderProcess:
    """The background process of one run, and what it has said."""

    def __init__(self, folder: RunFolder) -> None:
        here = str(Path(__file__).parents[2])
        paths = [here, *filter(None, [os.environ.get("PYTHONPATH")])]
        with (folder.path / "track.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "sslang.track.sender", str(folder.path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
                start_new_session=True,  # Ctrl-C is for the training process
            )
        assert self._process.stdin is not None
        os.set_blocking(self._process.stdin.fileno(), False)
        self._last_word = time.monotonic()
        self.reason, self._warned = "", False
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def tell(self, command: Mapping[str, str]) -> None:
        """Pass a command on, without waiting; what is lost here is found at the end."""
        assert self._process.stdin is not None
        line = (json.dumps(command) + "\n").encode()
        assert len(line) <= select.PIPE_BUF, "a longer line might be taken in half"
        try:
            self._process.stdin.write(line)
        except (BlockingIOError, BrokenPipeError):
            return

    def take_warning(self) -> str:
        """Why the store cannot be reached: once, when that is first known; else ""."""
        if self._warned or not self.reason:
            return ""
        self._warned = True
        return self.reason

    def finish(self, status: Status) -> int:
        """Have the rest sent; back when that is done, or when nothing moves any more."""
        self.tell({"close": status})
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._last_word = time.monotonic()
        while self._process.poll() is None:
            grace = GRACE_WHEN_DEAD_SECONDS if self.reason else GRACE_SECONDS
            if time.monotonic() - self._last_word > grace:
                self._process.kill()
            time.sleep(0.02)
        self._listener.join()
        return self._process.returncode

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line)
            self._last_word = time.monotonic()
            if "down" in event:
                self.reason = event["down"]
            elif "up" in event or "sent" in event:
                self.reason = ""
        if self._process.wait() not in (0, 3, BUSY) and not self.reason:
            self.reason = "the sending process ended early; track.log in the run's folder says why"


def sync(
    folder: RunFolder, *, tracking: str | None = None, experiment: str | None = None
) -> SyncResult:
    """Send what MLflow lacks of a run that has ended, and wait until it has.

    `tracking` and `experiment` name another place than the run was begun with. Raises
    DiagnosticError E719 where the run is still going on, or was never meant for any store.
    """
    if folder.is_live():
        raise _no_sync(f"{folder.path} is still in training", "its own process sends its metrics")
    place = folder.record().tracking
    if tracking is not None:
        name = experiment or (place.experiment if place else folder.record().name)
        place = _place(folder, tracking, name)
    if place is None:
        raise _no_sync(f"{folder.path} was run without tracking", "name a store with --tracking")
    status = folder.status()
    folder.update(status=status, tracking=place)
    if place.sent_status == status and unsent(folder) == (0, 0):
        return SyncResult(0, 0)
    process = SenderProcess(folder)
    code = process.finish(status)
    return SyncResult(*unsent(folder), process.reason if code else "")


def _place(folder: RunFolder, tracking: str | None, experiment: str) -> Tracking | None:
    """Where the run goes; what was sent there before stays known."""
    if tracking is None or tracking == OFF:
        return None
    known = folder.record().tracking
    if known is not None and (known.uri, known.experiment) == (tracking, experiment):
        return replace(known, sent_status="")
    return Tracking(uri=tracking, experiment=experiment)


def _copy(source: Path, target: Path) -> Path:
    try:
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            write_atomic(target, source.read_bytes())
    except OSError as error:
        raise DiagnosticError(
            Diagnostic(
                code="E716",
                message=f"{source} cannot be copied to {target.parent}: {error.strerror}",
                hint="make room on the disk, then go on with --resume",
            )
        ) from error
    return target


def _no_sync(message: str, hint: str) -> DiagnosticError:
    return DiagnosticError(Diagnostic(code="E719", message=message, hint=hint))
