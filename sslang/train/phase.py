"""One phase of a run at one process: begun or taken up again, trained, evaluated, recorded."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from sslang.data.batches import Batches, Share
from sslang.processes.shards import pieces_alone
from sslang.track.recorder import Recorder
from sslang.track.run_folder import RunFolder
from sslang.train import artifacts, checkpoint
from sslang.train.building import build_whole
from sslang.train.data import Data, write_listings
from sslang.train.described import data_sets
from sslang.train.display import Quiet
from sslang.train.embedder import write_embedder
from sslang.train.evaluation import (
    Evaluation,
    Evaluator,
    Features,
    evaluate,
    evaluate_pixels,
    write_evaluation,
)
from sslang.train.gallery import write_gallery
from sslang.train.learner import Learner
from sslang.train.loop import Interval, Log, Loop, WentWrongError
from sslang.train.memory import naming_memory
from sslang.train.not_a_number import Inquest
from sslang.train.options import RunOptions
from sslang.train.skips import Skips
from sslang.train.stopping import Stopping
from sslang.train.together import at_all, at_first
from sslang.train.view_values import expect_declared_values
from sslang.train.views import write_views
from sslang.train.writer import CheckpointWriter


class Unwritten:
    """The log of a process that does not write."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...


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
class Phase:
    """One phase of a session.

    `recorder` is that of the first process and None elsewhere. `offset` counts the steps of the
    phases before, whose nets are `carried`.
    """

    name: str
    folder: RunFolder
    options: RunOptions
    data: Data
    learner: Learner
    recorder: Recorder | None
    writer: CheckpointWriter
    log: PhaseLog
    shown: Quiet
    stopper: Stopping
    offset: int
    carried: Mapping[str, Tensor]
    one_of_several: bool
    interval: Interval = field(default_factory=Interval)
    at_init: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.processes = self.options.processes
        self.program = self.learner.program
        evaluator = Evaluator(
            self.data.train, self.data.test, self.options.workers, self.processes, self._show
        )
        wanted = self.program.features is not None and bool(self.learner.recipe.evaluate)
        self.evaluator = evaluator if wanted and evaluator.possible() else None
        sources = (self.data.train, self.data.test)
        self.skips = Skips(sources, self.processes, self.learner.device, self.shown.say)

    def train(self, loaded: checkpoint.Loaded | None) -> bool:
        """From the start or from a checkpoint; False where the run was stopped before its end."""
        if loaded is not None:
            self._take_up(loaded)
        self.shown.say(self._opening())
        if self.learner.recipe.evaluate and self.program.features is None:
            self.shown.say("nothing is evaluated: the spec has no `features`")
        self._tell_skips()
        if loaded is None:
            with naming_memory(
                "what comes before the first step", self.learner.device, self.learner
            ):
                self._begin()
        if self.learner.step >= self.learner.total_steps:
            return True
        try:
            done = self._steps()
        except WentWrongError as error:
            at_all(self.processes, self.wait)
            inquest = Inquest(
                self.folder, self.processes, self.learner, self._batches, self._whole_batches,
                self._undivided,
            )  # fmt: skip
            raise inquest.error(error.step) from None
        at_all(self.processes, self.wait)
        return done

    def finish(self, nets: Mapping[str, Tensor]) -> tuple[dict[str, float], Path | None]:
        """What the phase reached with these `nets`, and its exported encoder."""
        results: dict[str, float] = {}
        final: Evaluation | None = None
        if self.evaluator is not None:
            with naming_memory("the evaluation", self.learner.device, self.learner):
                final = evaluate(self.learner, self.evaluator)
            before = Evaluation.load(self.at_init)
            results = final.rates() | {f"{k}_at_init": v for k, v in before.rates().items()}
            self._tell_skips()
        encoder = at_first(self.processes, lambda: self._record(final, nets))
        return results, encoder

    # --- what the loop asks for: `Saver` -------------------------------------------------

    @property
    def busy(self) -> bool:
        return self.writer.busy

    def check(self) -> None:
        self.writer.check()

    def wait(self) -> None:
        self.writer.wait()

    def save(self, interval: Interval) -> None:
        """Have the state written: by the first process, and by each what it alone holds.

        All take part, when the writing of the save before is over everywhere.
        """
        payload = {
            "phase": self.program.phase,
            "offset": self.offset,
            "carried": dict(self.carried),
            "learner": self.learner.state_dict(),
            "interval": interval.state(),
            "at_init": self.at_init,
        }
        part = self._part()
        if part is not None:
            kept = payload if part.is_first else pieces_alone(payload)
            self.writer.save(self.offset + self.learner.step, kept, part)

    def _part(self) -> checkpoint.Part | None:
        """Which part of a checkpoint this process writes, if any."""
        if not self.learner.in_pieces:
            return checkpoint.ALL if self.processes.is_first else None
        name = self.processes.from_first(secrets.token_hex(8))
        return checkpoint.Part(1 + self.processes.rank, self.processes.count, name)

    # --- parts ---------------------------------------------------------------------------

    def _steps(self) -> bool:
        with self._batches(self.learner.step) as batches, self.stopper.steps():
            loop = Loop(
                self.processes, self.learner, batches, self.log, self.shown, self.stopper, self,
                self.evaluator, self.interval, self.skips,
            )  # fmt: skip
            return loop.run()

    def _tell_skips(self) -> None:
        if self.processes.largest(int(self.skips.new))[0]:
            self.skips.share()

    def _take_up(self, loaded: checkpoint.Loaded) -> None:
        self.learner.load_state_dict(loaded.payload["learner"])
        self.interval.load(loaded.payload["interval"], self.learner.device)
        self.at_init = loaded.payload["at_init"]
        loaded.payload.clear()  # as large as the learner, which has it all now
        for warning in loaded.warnings:
            self.shown.say(f"{warning.code}: {warning.message}; {warning.hint}")
        self.shown.say(f"goes on from step {loaded.step}")

    def _begin(self) -> None:
        """What a phase leaves before its first step, which is there to go on from."""
        at_first(self.processes, self._first_artifacts)
        if self.evaluator is not None:
            found = evaluate(self.learner, self.evaluator)
            pixels = evaluate_pixels(self.learner, self.evaluator)
            self.at_init = replace(found, pixels=pixels).state()
            at_first(self.processes, lambda: self.log.log(0, found.rates()))
        self.save(self.interval)
        at_all(self.processes, self.wait)
        self.stopper.saved()

    def _first_artifacts(self) -> None:
        assert self.recorder is not None
        artifacts.write_texts(self.folder, self.recorder, self.learner, self.name)
        record = self.folder.record()
        data = {**record.data, self.program.phase: self.data.train.digest}
        inputs = dict.fromkeys((*record.inputs, *data_sets(self.program, self.data)))
        self.folder.update(data=data, inputs=tuple(inputs))
        write_listings(self.folder, self.program.phase, self.data)
        with self._batches(0) as batches:
            batch = next(batches)
        with naming_memory("making the views", self.learner.device, self.learner):
            expect_declared_values(self.learner.method, batch)
        artifacts.write_views(
            self.folder, self.recorder, self.learner, self.data.train, self.name,
            workers=self.options.workers,
        )  # fmt: skip

    def _show(self, features: Features) -> None:
        """Leave pictures of what the net has learned so far."""
        if self.recorder is None or self.evaluator is None:
            return
        prefix = f"{self.name}_" if self.name else ""
        step = self.offset + self.learner.step
        try:
            paths = write_gallery(self.folder, self.evaluator, features, step, prefix)
            paths += self._views(step, prefix)
            for path in paths:
                self.recorder.artifact(path)
        except OSError as error:  # a step is worth more than a picture
            self.shown.say(f"the pictures of step {step} cannot be written: {error.strerror}")

    def _views(self, step: int, prefix: str) -> list[Path]:
        """The next images under every view; none after the last step."""
        if self.learner.step >= self.learner.total_steps:
            return []
        path = self.folder.images / f"{prefix}views" / f"{step:08}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_views(path, self.learner, self.data.train, workers=0, step=self.learner.step)
        return [path]

    def _batches(self, first_step: int) -> Batches:
        """The rows of this process."""
        return self._opened(first_step, self.learner.share)

    def _whole_batches(self, first_step: int) -> Batches:
        return self._opened(first_step, None)

    def _undivided(self) -> Learner:
        if self.processes.alone and self.options.micro_batch is None:
            return self.learner
        return build_whole(self.program, self.options, self.data)

    def _opened(self, first_step: int, share: Share | None) -> Batches:
        return Batches(
            self.data.train,
            self.learner.recipe.batch,
            last_batch=self.learner.recipe.last_batch,
            seed=self.options.seed,
            phase=self.program.phase,
            device=self.learner.device,
            workers=self.options.workers,
            first_step=first_step,
            share=share,
        )

    def _opening(self) -> str:
        spec, learner = self.program.spec, self.learner
        recipe = f", recipe {spec.recipe_name}" if spec.recipe_name else ""
        phase = f", phase {self.name}" if self.name else ""
        parameters = sum(p.numel() for _, p in learner.method.trained())
        count = self.processes.count
        place = f"{count} processes, {learner.device}" if count > 1 else str(learner.device)
        return (
            f"{spec.method}{recipe}{phase} on {self.data.name}: {len(self.data.train)} images, "
            f"{parameters / 1e6:.2f} M trained parameters, {learner.total_steps} steps of "
            f"{learner.recipe.batch} on {place}\nviews: {learner.method.form_of_views}\n"
            f"{self.folder.path}"
        )

    def _record(self, final: Evaluation | None, nets: Mapping[str, Tensor]) -> Path | None:
        """Results, curve, encoder and the nets for later phases; the encoder's place."""
        assert self.recorder is not None
        if final is not None:
            self.log.log(self.learner.step, final.rates())
            before = Evaluation.load(self.at_init)
            path = write_evaluation(self.folder, self.learner, final, before, self.name)
            self.recorder.artifact(path)
            found = {r.metric: r for r in self.folder.record().results}
            for result in final.results(before, self.learner.recipe):
                metric = f"{self.log.prefix}{result.metric}"
                found[metric] = replace(result, metric=metric)
            self.folder.update(results=tuple(found.values()))
        artifacts.write_curve(self.folder, self.recorder, self.program.spec.method)
        encoder = artifacts.write_encoder(self.folder, self.recorder, self.learner, nets, self.name)
        place = self.folder.embedders / self.program.phase
        try:
            write_embedder(place, self.learner.method, nets, self.data.train.read(0)[None])
        except OSError as error:  # the checkpoint still holds the nets
            self.shown.say(f"{place} cannot be written: {error.strerror}")
        if self.one_of_several:
            folder = self.folder.phases / self.program.phase
            kept = {"nets": {**self.carried, **nets}}
            checkpoint.save(folder, self.offset + self.learner.step, kept)
        return encoder
