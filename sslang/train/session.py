"""One process's part of a run: its phases in order, each trained, evaluated and recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from sslang.data.batches import Batches
from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.ir.program import Program
from sslang.track import environment, run_folder, store
from sslang.track.recorder import Recorder
from sslang.track.run_folder import RunFolder
from sslang.train import artifacts, checkpoint
from sslang.train.data import Data
from sslang.train.display import Quiet, display
from sslang.train.evaluation import Evaluation, Evaluator, evaluate, write_evaluation
from sslang.train.learner import Learner
from sslang.train.loop import Interval, Log, train
from sslang.train.options import RunOptions
from sslang.train.stopping import Stopping

Prepare = Callable[[Program, RunOptions, Mapping[str, Tensor]], tuple[Data, Learner]]


@dataclass
class Outcome:
    """How a run ended: its folder, whether it is done, what it reached."""

    folder: RunFolder
    finished: bool
    exit_code: int
    results: dict[str, float] = field(default_factory=dict)
    encoder: Path | None = None


@dataclass(frozen=True)
class Position:
    """Where a run stands: phase, steps of the phases before it, their nets, a checkpoint in it."""

    phase: int
    offset: int
    carried: Mapping[str, Tensor]
    loaded: checkpoint.Loaded | None


@dataclass(frozen=True)
class PhaseLog:
    """The run's log as a phase writes it: steps go on, later phases have names of their own.

    `known` are lines that a resumed run finds at the step of its checkpoint, written after it was
    saved: they are not written a second time.
    """

    log_: Log
    offset: int
    prefix: str
    known: Set[tuple[int, frozenset[str]]] = frozenset()

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        named = {self.prefix + name: value for name, value in metrics.items()}
        if (step + self.offset, frozenset(named)) not in self.known:
            self.log_.log(step + self.offset, named)


@dataclass
class Session:
    """A run in its folder."""

    folder: RunFolder
    program: Program
    options: RunOptions
    prepare: Prepare
    known: Set[tuple[int, frozenset[str]]] = frozenset()

    def run(self, at: Position, data: Data, learner: Learner) -> Outcome:
        """Train from `at` to the end, or to where the user or the system stops it."""
        if at.loaded is not None:  # before the recorder opens the file
            self._refuse_if_live()
            self.folder.truncate_metrics(at.loaded.step)
            rows = [r for r in self.folder.metrics() if r.step == at.loaded.step]
            self.known = {(r.step, frozenset(r.metrics)) for r in rows}
        recorder = self._recorder(data, learner, fresh=at.loaded is None)
        status: run_folder.Status = "FAILED"
        quiet, verbose = self.options.quiet, self.options.verbose
        try:
            with display(self.folder.log_path, quiet=quiet, verbose=verbose) as shown:
                outcome = self._phases(at, data, learner, recorder, shown)
            status = "FINISHED" if outcome.finished else "KILLED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            recorder.close(status)
        return outcome

    def _phases(
        self, at: Position, data: Data, learner: Learner, recorder: Recorder, shown: Quiet
    ) -> Outcome:
        if at.loaded is None:
            artifacts.write_specs(self.folder, recorder)
        while True:
            outcome = _Phase(self, at, data, learner, recorder, shown).run()
            if not outcome.finished or at.phase + 1 == len(self.program.phases):
                return outcome
            carried = {**at.carried, **learner.method.nets.state_dict()}
            offset = at.offset + learner.total_steps
            at = Position(at.phase + 1, offset, carried, None)
            data, learner = self.prepare(self.program.phases[at.phase], self.options, carried)

    def _refuse_if_live(self) -> None:
        if self.folder.is_live():
            message = f"another process is training into {self.folder.path}"
            hint = "wait for it, or begin a new run"
            raise DiagnosticError(Diagnostic("E714", message, hint=hint))

    def _recorder(self, data: Data, learner: Learner, *, fresh: bool) -> Recorder:
        spec, options, folder = self.program.spec, self.options, self.folder
        git = environment.git_state(Path.cwd())
        if fresh:  # a resumed run is read from its resolved spec, which has no recipe any more
            folder.update(recipe=spec.recipe_name or "", overrides=spec.overrides)
        record = folder.update(
            method=spec.method,
            spec_hash=options.hash_of(spec.hash),
            seed=options.seed,
            device=str(learner.device),
            dataset=data.name,
            versions=environment.versions(),
            git_commit=git.commit if git is not None else "",
            git_dirty=git.dirty if git is not None else False,
        )
        params: dict[str, object] = {**spec.settings, "seed": options.seed}
        params["precision"] = options.precision
        for name, reason in spec.assumes:
            params[f"assume {name}"] = reason
        tags = {
            "method": spec.method,
            "recipe": record.recipe,
            "spec_hash": options.hash_of(spec.hash),
            "dataset": data.name,
            "dataset_digest": data.train.digest,
        }
        if git is not None:
            tags["git_commit"] = git.commit
        return Recorder(
            folder,
            tracking=store.tracking_uri(folder.root, options.tracking),
            experiment=store.experiment_name("sslang"),
            params=params,
            tags=tags,
        )


class _Phase:
    """One phase of a session."""

    def __init__(
        self,
        session: Session,
        at: Position,
        data: Data,
        learner: Learner,
        recorder: Recorder,
        shown: Quiet,
    ) -> None:
        self.session, self.at, self.data, self.learner = session, at, data, learner
        self.folder, self.options = session.folder, session.options
        self.recorder, self.shown = recorder, shown
        self.program = learner.program
        self.name = self.program.phase if at.phase else ""  # the first phase needs no name
        prefix = f"{self.name}/" if self.name else ""
        self.log = PhaseLog(recorder, at.offset, prefix, session.known)
        self.interval = Interval()
        self.at_init: dict[str, Any] = {}
        evaluator = Evaluator(data.train, data.test, self.options.workers)
        wanted = self.program.features is not None and bool(learner.recipe.evaluate)
        self.evaluator = evaluator if wanted and evaluator.possible() else None

    def run(self) -> Outcome:
        loaded = self.at.loaded
        if loaded is not None:
            self.learner.load_state_dict(loaded.payload["learner"])
            self.interval.load(loaded.payload["interval"], self.learner.device)
            self.at_init = loaded.payload["at_init"]
            for warning in loaded.warnings:
                self.shown.say(f"{warning.code}: {warning.message}; {warning.hint}")
        self.shown.say(self._opening())
        if self.learner.recipe.evaluate and self.program.features is None:
            self.shown.say("nothing is evaluated: the spec has no `features`")
        named = self._name_skipped(0)
        with self._batches() as batches:
            if loaded is None:
                self._begin()
            with Stopping(self.options.save_every) as stopper:
                if loaded is None:
                    self._first_views()
                done = self.learner.step >= self.learner.total_steps or train(
                    self.learner, batches, self.log, self.shown, stopper, self.save,
                    self.evaluator, self.interval,
                )  # fmt: skip
                self._name_skipped(named)
                if not done:
                    return Outcome(self.folder, False, stopper.exit_code)
        return self._finish()

    def save(self, now: Interval) -> None:
        payload = {
            "phase": self.program.phase,
            "offset": self.at.offset,
            "carried": dict(self.at.carried),
            "learner": self.learner.state_dict(),
            "interval": now.state(),
            "at_init": self.at_init,
        }
        checkpoint.save(self.folder.checkpoints, self.at.offset + self.learner.step, payload)

    def _begin(self) -> None:
        artifacts.write_texts(self.folder, self.recorder, self.learner, self.name)
        if self.evaluator is not None:
            found = evaluate(self.learner, self.evaluator)
            self.at_init = found.state()
            self.log.log(0, {f"{k}_at_init": v for k, v in found.rates().items()})

    def _batches(self) -> Batches:
        return Batches(
            self.data.train,
            self.learner.recipe.batch,
            last_batch=self.learner.recipe.last_batch,
            seed=self.options.seed,
            phase=self.program.phase,
            device=self.learner.device,
            workers=self.options.workers,
            first_step=self.learner.step,
        )

    def _first_views(self) -> None:
        with self._batches() as batches:
            artifacts.write_views(
                self.folder, self.recorder, self.learner, next(batches), self.name
            )

    def _name_skipped(self, known: int) -> int:
        """Name the images that could not be read, beyond the first `known`; how many there are."""
        found = [*self.data.train.skipped, *self.data.test.skipped]
        for skipped in found[known:]:
            self.shown.say(f"skipped, unreadable: {skipped.path} ({skipped.reason})")
        return len(found)

    def _opening(self) -> str:
        spec, learner = self.program.spec, self.learner
        recipe = f", recipe {spec.recipe_name}" if spec.recipe_name else ""
        phase = f", phase {self.name}" if self.name else ""
        parameters = sum(p.numel() for _, p in learner.method.trained())
        return (
            f"{spec.method}{recipe}{phase} on {self.data.name}: {len(self.data.train)} images, "
            f"{parameters / 1e6:.2f} M trained parameters, {learner.total_steps} steps of "
            f"{learner.recipe.batch} on {learner.device}\n{self.folder.path}"
        )

    def _finish(self) -> Outcome:
        results: dict[str, float] = {}
        if self.evaluator is not None:
            final = evaluate(self.learner, self.evaluator)
            before = Evaluation.load(self.at_init)
            results = final.rates()
            self.log.log(self.learner.step, results)
            results |= {f"{k}_at_init": v for k, v in before.rates().items()}
            path = write_evaluation(self.folder, self.learner, final, before, self.name)
            self.recorder.artifact(path)
        artifacts.write_curve(self.folder, self.recorder, self.program.spec.method)
        encoder = artifacts.write_encoder(self.folder, self.recorder, self.learner, self.name)
        if len(self.session.program.phases) > 1:
            nets = {**self.at.carried, **self.learner.method.nets.state_dict()}
            folder = self.folder.phases / self.program.phase
            checkpoint.save(folder, self.at.offset + self.learner.step, {"nets": nets})
        return Outcome(self.folder, True, 0, results, encoder)
