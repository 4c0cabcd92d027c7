"""A run that is to be disturbed: started as a process, watched, resumed, compared."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sslang.processes.shards import made_whole
from sslang.train import checkpoint

STEPS = 60
SPEC = f"""\
method "MoCo, tiny"
view query, key = moco_v2_views(16)
encoder f      = resnet18(width = 0.125, stem = small)
head    g      = mlp(32, 16, norm = none)
branch  online = f | g | l2_normalize with (batch_norm = groups(16))
branch  target = ema(online, 0.99) with (batch_norm = shuffle(16))
q = online(query)
k = stop_grad(target(key))
queue negatives[256] = sphere(16)
negatives <- k
loss     = info_nce(q, k, negatives, 0.2)
features = f(query)
recipe default : laptop {{
    batch     = 64
    length    = {STEPS} steps
    optimizer = adamw(lr = cosine(1e-3 -> 0))
    evaluate  = knn()
}}
"""
_WAIT_SECONDS = 180.0
_POLL_SECONDS = 0.002
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


class UnexpectedError(Exception):
    """A run did not do what the fault needs: the row says so, and the other faults go on."""


@dataclass(frozen=True)
class Ended:
    """How a process ended: exit code (-9 for a SIGKILL) and all that it said."""

    code: int
    said: str

    def codes(self) -> str:
        """The diagnostics that it printed, by their codes."""
        return ", ".join(dict.fromkeys(re.findall(r"\b(?:error|warning)\[(E\d+)\]", self.said)))


@dataclass
class Trial:
    """Runs of `SPEC` below `root`, with these further arguments of `sslang run`."""

    root: Path
    arguments: tuple[str, ...] = ()
    started: int = 0

    def begin(
        self,
        *more: str,
        save_every: float = 0.0,
        environment: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> Process:
        """Start a run; `before` is called in the new process first."""
        self.root.mkdir(parents=True, exist_ok=True)
        spec = self.root / "tiny.ssl"
        if not spec.exists():
            spec.write_text(SPEC, encoding="utf-8")
        tracking = () if "--tracking" in more else ("--tracking", "off")
        return self._start(
            "run", str(spec), *self.arguments, *more, *tracking, "--out", str(self.runs),
            "--save-every", str(save_every), environment=environment, before=before,
        )  # fmt: skip

    def resume(self, folder: Path, *more: str) -> Ended:
        """Go on with a run, undisturbed, to its end."""
        tracking = () if "--tracking" in more else ("--tracking", "off")
        return self._start("run", "--resume", str(folder), *more, *tracking).end()

    def command(self, *arguments: str) -> Ended:
        """Another command, to its end."""
        return self._start(*arguments).end()

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    def folders(self) -> list[Path]:
        return sorted(record.parent for record in self.runs.glob("*/*/run.json"))

    def _start(
        self,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> Process:
        self.started += 1
        said = self.root / f"said-{self.started}.txt"
        device = ("--device", "cpu") if arguments[0] == "run" else ()
        with said.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "sslang.cli", *arguments, *device],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT, **(environment or {})},
                preexec_fn=before,
            )
        return Process(self, process, said, len(self.folders()))


@dataclass
class Process:
    """A run that goes on. `earlier` runs were in the folder before it."""

    trial: Trial
    process: subprocess.Popen[bytes]
    said: Path
    earlier: int

    @property
    def pid(self) -> int:
        return self.process.pid

    def folder(self) -> Path:
        """The run's folder, when there is one."""
        for _ in self._waiting("a folder"):
            found = self.trial.folders()
            if len(found) > self.earlier:
                return found[-1]
        raise AssertionError

    def at_step(self, step: int) -> Path:
        """Its folder, when a checkpoint of `step` or a later one is whole."""
        folder = self.folder()
        for _ in self._waiting(f"a checkpoint of step {step}"):
            if committed(folder) >= step:
                return folder
        raise AssertionError

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for a condition, looking as often as can be."""
        for _ in self._waiting(what):
            if condition():
                return

    def kill(self, number: int) -> Ended:
        self.process.send_signal(number)
        return self.end()

    def end(self) -> Ended:
        """Wait for its end."""
        try:
            code = self.process.wait(_WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise UnexpectedError(f"it did not end within {_WAIT_SECONDS:.0f} s") from None
        return Ended(code, self.said.read_text(encoding="utf-8", errors="replace"))

    def _waiting(self, what: str) -> Iterator[None]:
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            yield
            if self.process.poll() is not None:
                said = self.said.read_text(encoding="utf-8", errors="replace")
                raise UnexpectedError(f"the run ended before {what}: {said[-300:]}")
            time.sleep(_POLL_SECONDS)
        self.process.kill()
        raise UnexpectedError(f"no {what} within {_WAIT_SECONDS:.0f} s")


def committed(folder: Path) -> int:
    """The step of the newest checkpoint whose files all have their names; -1 where there is none.

    A run by two processes that hold tensors together writes two files a checkpoint.
    """
    names = [path.stem for path in (folder / "checkpoints").glob("step-*.pt")]
    parts = [name.partition(".part-") for name in names]
    first = {step for step, _, part in parts if not part}
    second = {step for step, _, part in parts if part}
    both = first & second if second else first
    return max((int(step.removeprefix("step-")) for step in both), default=-1)


def whole(folder: Path) -> int:
    """The step of the newest checkpoint that loads; -1 where there is none."""
    loaded = checkpoint.load_latest(folder / "checkpoints")
    return -1 if loaded is None else loaded.step


def went_on_from(folder: Path) -> int:
    """The step from which the last resume went on, as the run's log says; -1 without one."""
    found = re.findall(r"goes on from step (\d+)", (folder / "log.txt").read_text("utf-8"))
    return int(found[-1]) if found else -1


def outcome(folder: Path) -> str:
    """A digest of all that a finished run has computed: its last state and every line logged."""
    loaded = checkpoint.load_latest(folder / "checkpoints")
    digest = hashlib.sha256()
    if loaded is not None:
        _add(digest, made_whole(loaded.payload["learner"]))
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        # Later phases have names of their own before `time/`.
        row = {k: v for k, v in json.loads(line).items() if "time" not in k.split("/")}
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()


def _add(digest: Any, value: object) -> None:
    if isinstance(value, Tensor):
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.contiguous().numpy().tobytes())
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            digest.update(str(key).encode())
            _add(digest, value[key])
    elif isinstance(value, list | tuple):
        for item in value:
            _add(digest, item)
    else:
        digest.update(repr(value).encode())
