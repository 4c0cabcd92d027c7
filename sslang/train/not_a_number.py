"""A loss that is no number: which step and which op made it, and the batch that did."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from sslang.data.batches import Batch, Batches
from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.processes.group import Processes
from sslang.processes.shards import whole_bytes
from sslang.track.files import write_atomic
from sslang.track.run_folder import RunFolder
from sslang.train import checkpoint
from sslang.train.learner import Learner, StepReport
from sslang.train.loop import all_finite
from sslang.train.memory import available, is_out_of_memory
from sslang.train.together import at_all, at_first, attempt, texts
from sslang.train.walk import Origin, origin

T = TypeVar("T")


@dataclass(frozen=True)
class Inquest:
    """What it takes to find out: the steps are repeated from the last checkpoint.

    A step is a function of the state and of its number, so it goes wrong the same way again. The
    learner is used up by this: the run is at its end. `batches` gives those of this process from
    a step on, `whole` the global ones; `undivided` is a learner that computes such a one in one
    piece, which is the same step.
    """

    folder: RunFolder
    processes: Processes
    learner: Learner
    batches: Callable[[int], Batches]
    whole: Callable[[int], Batches]
    undivided: Callable[[], Learner]

    def error(self, step: int) -> DiagnosticError:
        """E703 for a run whose loss at `step` (from 0) is no number. Called by all processes.

        One that has no memory to look says so, and ends without the others, which then end too.
        """
        message = f"the loss of step {step + 1} is not a number"
        try:
            return self._looked_for(step, message)
        except (MemoryError, RuntimeError) as failure:
            if not is_out_of_memory(failure):
                raise
        message += "; there is no memory to repeat the steps before it and to find the op"
        hint = "a lower learning rate or a longer warm-up mostly helps; --resume repeats the steps"
        return DiagnosticError(
            Diagnostic("E703", message, self.learner.program.spans.get("loss"), hint=hint)
        )

    def _looked_for(self, step: int, message: str) -> DiagnosticError:
        began = at_all(self.processes, self._load)
        culprit = step if began is None else self._first_bad(step)
        found = None
        if began is not None and culprit is not None:
            at_all(self.processes, self._load)
            found = self._origin(culprit)
        at = step if culprit is None else culprit
        kept = at_first(self.processes, lambda: self._keep(at))
        span = self.learner.program.spans.get("loss")
        if found is not None:
            message, span = f"step {at + 1}: {found.text}", found.span or span
        elif began is not None:
            message += (
                f"; repeated from the checkpoint of step {began} it is one: the device or the "
                "libraries do not repeat themselves"
            )
        hint = f"a lower learning rate or a longer warm-up mostly helps; {kept}; the last "
        hint += "checkpoint is from before it"
        return DiagnosticError(Diagnostic("E703", message, span, hint=hint))

    def _load(self) -> int | None:
        """Put the learner back to the last checkpoint; its step, None where there is none."""
        loaded = checkpoint.load_latest(self.folder.checkpoints)
        if loaded is None or loaded.payload["phase"] != self.learner.program.phase:
            return None
        self.learner.load_state_dict(loaded.payload["learner"])
        return self.learner.step

    def _first_bad(self, last: int) -> int | None:
        """The first step up to `last` whose loss, or what it makes of the parameters, is bad."""
        with self.batches(self.learner.step) as batches:
            while self.learner.step <= last:
                number = self.learner.step
                report = self._step(next(batches))
                bad = not bool(report.loss.isfinite()) or not all_finite(self.learner)
                if self.processes.largest(int(bad))[0]:
                    return number
        return None

    def _origin(self, step: int) -> Origin | None:
        """What goes wrong in `step`: the first process looks, on the whole batch."""
        with self.batches(self.learner.step) as batches:
            while self.learner.step < step:
                self._step(next(batches))
        if not self.learner.in_pieces:
            state = self.learner.state_dict()
            return at_first(self.processes, lambda: self._found(step, lambda: state))
        if not at_first(self.processes, self._has_room):
            return _unfound("the first process has no memory for what all hold together")
        path, why = self._hand_over(step)
        if path is None:
            return _unfound(why)
        return at_first(
            self.processes, lambda: self._found(step, lambda: checkpoint.load(path).payload)
        )

    def _has_room(self) -> bool:
        """Whether the state in one piece fits into the host's memory, and a learner beside it."""
        return 2 * whole_bytes(self.learner.state_dict()) < available(torch.device("cpu"))

    def _hand_over(self, step: int) -> tuple[Path | None, str]:
        """Write the pieces of the state to the disk, from which the first process reads them all.

        Gathered, they would take memory at every process. The file of this one, or None at all
        and why.
        """
        part = checkpoint.Part(1 + self.processes.rank, self.processes.count, f"looked at {step}")
        state = self.learner.state_dict()
        path, why = _tried(
            "writing the state", lambda: checkpoint.save(self._handing, step, state, part=part)
        )
        reasons = texts(self.processes, [why] if why else [], self.learner.device)
        if not reasons:
            return path, ""
        at_first(self.processes, self._clear)
        return None, reasons[0]

    @property
    def _handing(self) -> Path:
        return self.folder.path / "looked-at"

    def _clear(self) -> None:
        shutil.rmtree(self._handing, ignore_errors=True)

    def _found(self, step: int, state: Callable[[], Mapping[str, Any]]) -> Origin | None:
        """What goes wrong in `step`, or why that cannot be found."""
        try:
            found, why = _tried("the step in one piece", lambda: self._looked_at(step, state()))
        finally:
            self._clear()
        return _unfound(why) if why else found

    def _looked_at(self, step: int, state: Mapping[str, Any]) -> Origin | None:
        learner = self.undivided()
        learner.load_state_dict(state)
        with self.whole(step) as batches:
            batch = next(batches)
        return origin(learner, lambda: _stepped(learner, batch))

    def _step(self, batch: Batch) -> StepReport:
        return _stepped(self.learner, batch)

    def _keep(self, step: int) -> str:
        """Write the whole batch of `step` into the run's folder; where it is, in words."""
        with self.whole(step) as batches:
            batch = next(batches)
        path = self.folder.path / f"batch-{step + 1:08}.pt"
        try:
            write_atomic(path, _bytes(self.learner.program.phase, step, batch))
        except OSError as error:
            why = error.strerror
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            why = "memory ran out"
        else:
            return f"the batch is kept in {path}"
        first = batch.index[:8].tolist()
        return f"the batch, which began with images {first}, cannot be kept: {why}"


def _tried(what: str, work: Callable[[], T]) -> tuple[T | None, str]:
    """What `work` gives; or why `what` it does came to nothing, for want of memory or a file."""
    try:
        found, error = attempt(work)
    except (MemoryError, RuntimeError) as failure:
        if not is_out_of_memory(failure):
            raise
        return None, f"{what} ran out of memory"
    if error is not None:
        return None, error.diagnostics[0].message
    return (None if found is None else found[0]), ""


def _unfound(why: str) -> Origin:
    return Origin(f"the loss is not a number; the op that made it cannot be looked for: {why}")


def _stepped(learner: Learner, batch: Batch) -> StepReport:
    return learner.train_step(
        batch.pixels, batch.sizes, index=batch.index, label=batch.label, batch=batch.rows
    )


def _bytes(phase: str, step: int, batch: Batch) -> bytes:
    content = {
        "phase": phase,
        "step": step,
        "pixels": batch.pixels.cpu(),
        "sizes": torch.from_numpy(batch.sizes.copy()),
        "index": batch.index.cpu(),
        "label": batch.label.cpu(),
    }
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def kept_batch(path: Path) -> dict[str, Any]:
    """A batch that `Inquest` kept: pixels uint8 [B, 3, H, W], sizes, index, label, step, phase."""
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content
