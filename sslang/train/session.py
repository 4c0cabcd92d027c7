"""A run in its folder: its phases in order, each trained, evaluated and recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.ir.program import Program
from sslang.track import environment, run_folder, store
from sslang.track.recorder import Recorder
from sslang.track.run_folder import RunFolder
from sslang.train import artifacts, checkpoint, described, requeue
from sslang.train.data import Data
from sslang.train.display import Quiet, display
from sslang.train.learner import Learner
from sslang.train.loop import Log
from sslang.train.options import RunOptions
from sslang.train.phase import Phase, PhaseLog, Unwritten
from sslang.train.stopping import AGAIN, Interrupted, Stopping
from sslang.train.together import at_all, at_first, naming_faults
from sslang.train.writer import CheckpointWriter

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


@dataclass
class Session:
    """A run in its folder, at one of its processes. Only the first of them writes."""

    folder: RunFolder
    program: Program
    options: RunOptions
    prepare: Prepare
    recorder: Recorder | None = None
    known: Set[tuple[int, frozenset[str]]] = frozenset()

    def __post_init__(self) -> None:
        self.writer = CheckpointWriter(self.folder.checkpoints)

    def run(self, at: Position, data: Data, learner: Learner) -> Outcome:
        """Train from `at` to the end, or to where the user or the system stops it."""
        processes, folder = self.options.processes, self.folder
        at_first(processes, lambda: self._open(at, data, learner))
        status: run_folder.Status = "FAILED"
        code = 1
        try:
            with naming_faults(processes), ExitStack() as ending:
                stopping = Stopping(self.options.save_every, alone=processes.alone)
                stopper = ending.enter_context(stopping)
                shown = ending.enter_context(self._display())
                ending.callback(self.writer.close)
                try:
                    outcome = self._phases(at, data, learner, stopper, shown)
                except Interrupted:
                    outcome = Outcome(folder, False, AGAIN)
            status = "FINISHED" if outcome.finished else "KILLED"
            code = outcome.exit_code
        except KeyboardInterrupt:
            status, code = "KILLED", 130
            raise
        finally:
            if self.recorder is not None:
                self.recorder.close(status, exit_code=code)
        return outcome

    def _display(self) -> Quiet:
        if self.recorder is None:
            return Quiet()
        quiet, verbose = self.options.quiet, self.options.verbose
        return display(self.folder.log_path, quiet=quiet, verbose=verbose)

    def _phases(
        self, at: Position, data: Data, learner: Learner, stopper: Stopping, shown: Quiet
    ) -> Outcome:
        if at.loaded is None and self.recorder is not None:
            artifacts.write_specs(self.folder, self.recorder)
        while True:
            phase = self._phase(at, data, learner, stopper, shown)
            done = phase.train(at.loaded)
            if not done:
                return Outcome(self.folder, False, stopper.exit_code)
            last = at.phase + 1 == len(self.program.phases)
            nets = learner.whole_nets(everywhere=not last)
            results, encoder = phase.finish(nets)
            at_first(self.options.processes, self._describe)
            if last:
                return Outcome(self.folder, True, 0, results, encoder)
            carried = {**at.carried, **nets}
            at = Position(at.phase + 1, at.offset + learner.total_steps, carried, None)
            data, learner = self._prepared(at)

    def _prepared(self, at: Position) -> tuple[Data, Learner]:
        program, options = self.program.phases[at.phase], self.options
        return at_all(options.processes, lambda: self.prepare(program, options, at.carried))

    def _phase(
        self, at: Position, data: Data, learner: Learner, stopper: Stopping, shown: Quiet
    ) -> Phase:
        name = learner.program.phase if at.phase else ""  # the first phase needs no name
        written: Log = Unwritten() if self.recorder is None else self.recorder
        log = PhaseLog(written, at.offset, f"{name}/" if name else "", self.known)
        return Phase(
            name, self.folder, self.options, data, learner, self.recorder, self.writer, log, shown,
            stopper, at.offset, at.carried, len(self.program.phases) > 1,
        )  # fmt: skip

    def _open(self, at: Position, data: Data, learner: Learner) -> None:
        """Take the folder for this run, which nothing else may write into meanwhile."""
        resumed = None if at.loaded is None else at.loaded.step
        self.recorder = self._recorder(data, learner, resumed)
        if resumed is not None:
            checkpoint.forget_after(self.folder.checkpoints, resumed)
            rows = [r for r in self.folder.metrics() if r.step == resumed]
            self.known = {(r.step, frozenset(r.metrics)) for r in rows}

    def _recorder(self, data: Data, learner: Learner, resumed: int | None) -> Recorder:
        spec, options, folder = self.program.spec, self.options, self.folder
        git = environment.git_state(Path.cwd())
        recipe = folder.record().recipe if resumed is not None else spec.recipe_name or ""
        tags = {
            "method": spec.method,
            "recipe": recipe,
            "spec_hash": options.hash_of(spec.hash),
            "dataset": data.name,
            "dataset_digest": data.train.digest,
            "views": learner.method.form_of_views,
        }
        if git is not None:
            tags["git_commit"] = git.commit
        recorder = Recorder(
            folder,
            tracking=store.tracking_uri(folder.root, options.tracking),
            experiment=store.experiment_name("sslang"),
            params=described.parameters(self.program, options),
            tags=tags,
            resumed=resumed,
            prepare=lambda: self._introduce(data, resumed),
        )
        folder.update(
            method=spec.method,
            spec_hash=options.hash_of(spec.hash),
            seed=options.seed,
            device=str(learner.device),
            dataset=data.name,
            versions=environment.versions(),
            git_commit=git.commit if git is not None else "",
            git_dirty=git.dirty if git is not None else False,
            job=requeue.job(),
        )
        return recorder

    def _introduce(self, data: Data, resumed: int | None) -> None:
        """Write what sets the run apart, before it is sent anywhere.

        A resumed run is read from its resolved spec, which has no recipe and no overrides.
        """
        spec, folder = self.program.spec, self.folder
        if resumed is None:
            record = folder.record()
            label = described.run_name(self.program, self.options, record.name, record.number)
            inputs = described.data_sets(self.program, data)
            folder.update(recipe=spec.recipe_name or "", overrides=spec.overrides, label=label,
                          seed=self.options.seed, inputs=inputs)  # fmt: skip
        self._describe()

    def _describe(self) -> None:
        folder = self.folder
        text = folder.spec_path.read_text(encoding="utf-8")
        folder.update(description=described.page(self.program, folder.record(), text))


def refuse_other_data(folder: RunFolder, data: Data, phase: str) -> None:
    """E727 where the images of a phase are not those that the run in `folder` began with."""
    begun = folder.record().data.get(phase)
    if begun is not None and begun != data.train.digest:
        message = f"the data of {folder.path} ({data.name}) are not those that it began with"
        hint = "put them back as they were and resume, or begin a new run"
        raise DiagnosticError(Diagnostic("E727", message, hint=hint))
