"""The background process that copies a run's folder to MLflow: `python -m ...sender FOLDER`.

It is a process because importing mlflow and packing its requests in a thread would take the
interpreter's lock from the training loop. It reads the run's folder and keeps no state but
`run.json`, so it may be killed at any moment. What it hears on stdin, a JSON object a line:

    {"artifact": "graph.png"}     a file in artifacts/ is complete
    {"close": "FINISHED"}         the run has ended; send all that is left, then exit

The end of stdin without a close means that the training process died: the run is KILLED.
What it says on stdout: {"sent": lines}, {"down": reason}, {"up": ""}, {"alive": what was done}.
Exit code 0: all is sent; 3: something is left; 4: another process is sending this run.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import signal
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sslang.track.files import try_lock
from sslang.track.metrics import Row, read_rows
from sslang.track.mlflow_client import RemoteRun, UnreachableError, connect, give_up_sooner, load
from sslang.track.run_folder import EXAMPLE, RunFolder, Status, Tracking

INTERVAL_SECONDS = 3.0
ALL_SENT, SOME_LEFT, BUSY = 0, 3, 4
_SLOWEST_SECONDS = 60.0
_ROWS_A_CALL = 500
_PREDECESSOR_SECONDS = 30.0


@dataclass
class Inbox:
    """What the training process has said so far. `close` is the run's final status."""

    artifacts: list[str] = field(default_factory=list)
    close: Status | None = None
    ended: bool = False
    _buffer: bytes = b""

    @property
    def over(self) -> bool:
        return self.ended or self.close is not None

    def wait(self, seconds: float) -> None:
        """Take in commands; back after `seconds`, or at once when the run ends."""
        deadline = time.monotonic() + seconds
        while not self.over and (left := deadline - time.monotonic()) > 0:
            if not select.select([0], [], [], left)[0]:
                return
            self._take(os.read(0, 65536))

    def _take(self, data: bytes) -> None:
        if not data:
            self.ended = True
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            command = json.loads(line)
            if "artifact" in command:
                self.artifacts.append(command["artifact"])
            self.close = command.get("close", self.close)


@dataclass
class Sender:
    """Copies `folder`; `offset` and `lines` are how far into metrics.jsonl it has come."""

    folder: RunFolder
    channel: Channel
    remote: RemoteRun | None = None
    offset: int = 0
    lines: int = 0
    last_time: float | None = None
    waiting: list[Row] = field(default_factory=list)

    def run(self, inbox: Inbox) -> int:
        """Send every few seconds until the run ends; an exit code."""
        delay = 0.0
        down = False
        while not inbox.over:
            inbox.wait(delay)
            if inbox.over:
                break
            try:
                self.send(inbox)
            except UnreachableError as error:
                self.channel.say("down", str(error))
                down, delay = True, min(max(delay, INTERVAL_SECONDS) * 2, _SLOWEST_SECONDS)
                continue
            if down:
                self.channel.say("up", "")
            down, delay = False, INTERVAL_SECONDS
        return self._finish(inbox, down)

    def send(self, inbox: Inbox) -> None:
        """Send new lines, then the artifacts that were announced. Raises UnreachableError."""
        remote = self._connected()
        self._send_rows(remote)
        while inbox.artifacts:
            self._send_artifact(remote, self.folder.artifacts / inbox.artifacts[0])
            del inbox.artifacts[0]

    def _finish(self, inbox: Inbox, down: bool) -> int:
        status = inbox.close or self.folder.record().status
        if status == "RUNNING":
            status = "KILLED"
            self.folder.update(status=status)
        if down:
            give_up_sooner()
        try:
            self.send(inbox)
            remote = self._connected()
            for path in outgoing(self.folder):
                self._send_artifact(remote, path)
            if status == "FINISHED":
                self._send_model(remote)
            sent_tags = remote.complete(self.folder, _tracking(self.folder).sent_tags)
            self._remember(sent_tags=sent_tags)
            remote.set_status(status, self.last_time)
        except UnreachableError as error:
            self.channel.say("down", str(error))
            return SOME_LEFT
        self._remember(sent_status=status)
        return ALL_SENT

    def _connected(self) -> RemoteRun:
        if self.remote is None:
            tracking = _tracking(self.folder)
            load()
            self.channel.say("alive", "mlflow imported")
            remote = connect(self.folder, tracking)
            running = self.folder.record().status == "RUNNING"
            if running:
                remote.set_status("RUNNING")
            same = remote.run_id == tracking.run_id
            self._remember(
                run_id=remote.run_id,
                experiment_id=remote.experiment_id,
                sent_artifacts=tracking.sent_artifacts if same else {},
                sent_tags=remote.complete(self.folder, tracking.sent_tags if same else {}),
            )
            if running:
                remote.watch_system()
            self.channel.say("alive", "connected")
            self.remote = remote
        return self.remote

    def _send_rows(self, remote: RemoteRun) -> None:
        rows, self.offset = read_rows(self.folder.metrics_path, self.offset)
        self.waiting += rows
        self.last_time = rows[-1].time if rows else self.last_time
        while self.waiting:
            part = self.waiting[:_ROWS_A_CALL]
            remote.send_rows(part)
            del self.waiting[: len(part)]
            self.lines += len(part)
            self._remember(sent_lines=self.lines)
            self.channel.say("sent", self.lines)

    def _send_artifact(self, remote: RemoteRun, path: Path) -> None:
        if not path.is_file():
            return
        name, digest = path.relative_to(self.folder.path).as_posix(), _digest(path)
        sent = _tracking(self.folder).sent_artifacts
        if sent.get(name) == digest:
            return
        if path.is_relative_to(self.folder.images):
            remote.send_image(path, path.parent.name, int(path.stem))
        else:
            inside = path.relative_to(self.folder.artifacts if "/" in name else self.folder.path)
            place = inside.parent.as_posix()
            remote.send_artifact(path, "" if place == "." else place)
        self._remember(sent_artifacts={**sent, name: digest})
        self.channel.say("alive", name)

    def _send_model(self, remote: RemoteRun) -> None:
        """Log what gives the features at the end of the last phase as the run's model."""
        made = [e.parent for e in self.folder.embedders.glob(f"*/{EXAMPLE}")]
        if not made:
            return
        last = max(made, key=lambda folder: (folder / EXAMPLE).stat().st_mtime)
        name, digest = last.relative_to(self.folder.path).as_posix(), _digest(last / EXAMPLE)
        sent = _tracking(self.folder).sent_artifacts
        if sent.get(name) != digest:
            self.channel.say("alive", "a model is due")
            model_id = remote.send_model("encoder", last)
            self._remember(sent_artifacts={**sent, name: digest}, model_id=model_id)
            self.channel.say("alive", name)

    def _remember(self, **changes: Any) -> None:
        self.folder.update(tracking=replace(_tracking(self.folder), **changes))


class Channel:
    """The way back to the training process, which may have gone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def say(self, what: str, value: str | int) -> None:
        try:
            os.write(self._descriptor, (json.dumps({what: value}) + "\n").encode())
        except BrokenPipeError:
            return


def outgoing(folder: RunFolder) -> list[Path]:
    """Every file of `folder` that belongs into MLflow."""
    artifacts = sorted(path for path in folder.artifacts.rglob("*") if path.is_file())
    specs = [path for path in (folder.spec_path, folder.resolved_path) if path.exists()]
    return [*specs, *(path for path in artifacts if not path.name.endswith(".tmp"))]


def unsent(folder: RunFolder) -> tuple[int, int]:
    """How many lines and how many files of `folder` MLflow does not have yet."""
    tracking = folder.record().tracking
    lines, sent = len(folder.metrics()), {} if tracking is None else tracking.sent_artifacts
    files = [path.relative_to(folder.path).as_posix() for path in outgoing(folder)]
    return (
        max(0, lines - (0 if tracking is None else tracking.sent_lines)),
        sum(name not in sent for name in files),
    )


def main(path: Path) -> int:
    """Send the run in `path`; started by `sslang.track.recorder`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # these are for the training process to answer
    os.nice(10)
    channel = Channel(os.dup(1))
    os.dup2(2, 1)  # what libraries print goes to track.log
    folder = RunFolder(path)
    if try_lock(path / ".sender", timeout=_PREDECESSOR_SECONDS) is None:
        channel.say("down", "another process is still sending this run")
        return BUSY
    return Sender(folder, channel).run(Inbox())


def _tracking(folder: RunFolder) -> Tracking:
    tracking = folder.record().tracking
    assert tracking is not None, "the recorder writes it before it starts a sender"
    return tracking


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
