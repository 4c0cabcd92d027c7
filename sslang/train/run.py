"""A run from its first line to its last: data, training, evaluation, record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sslang.data.batches import Batches
from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.ir.program import Program
from sslang.track import environment, run_folder, store
from sslang.track.files import write_atomic
from sslang.track.recorder import Recorder
from sslang.track.run_folder import RunFolder
from sslang.train import artifacts, checkpoint
from sslang.train.data import Data, data_facts, open_data
from sslang.train.display import Quiet, display
from sslang.train.evaluation import Evaluator, hits, metric_name, protocol
from sslang.train.learner import Learner
from sslang.train.loop import Interval, train
from sslang.train.options import RunOptions
from sslang.train.stopping import Stopping

PHASE = "pretrain"


@dataclass
class Outcome:
    """How a run ended: its folder, whether it is done, what it reached."""

    folder: RunFolder
    finished: bool
    exit_code: int
    results: dict[str, float] = field(default_factory=dict)
    encoder: Path | None = None


def prepare(program: Program, options: RunOptions) -> tuple[Data, Learner]:
    """Data and learner, with every check that needs the data. Raises DiagnosticError."""
    device = options.resolved_device()
    _check_device(device)
    data = open_data(program)
    problems = data_facts(program, len(data.train))
    if problems:
        raise DiagnosticError(*problems)
    learner = Learner(
        program,
        images=len(data.train),
        seed=options.seed,
        device=device,
        autocast=torch.bfloat16 if options.precision == "bfloat16" else None,
        channels_last=options.channels_last,
    )
    if options.compile:
        learner.method.compile()
    return data, learner


def _check_device(device: str) -> None:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        message = f"the device `{device}` cannot be used: {reason}"
        raise DiagnosticError(Diagnostic("E704", message, hint="--device cpu")) from None


def run(program: Program, options: RunOptions, source_text: str, name: str) -> Outcome:
    """Train from the start into a new folder."""
    data, learner = prepare(program, options)
    folder = run_folder.create(options.out, name)
    write_atomic(folder.spec_path, source_text)
    write_atomic(folder.resolved_path, program.spec.text)
    return _session(folder, program, options, data, learner, None)


def resume(folder: RunFolder, program: Program, options: RunOptions) -> Outcome:
    """Go on from the last good checkpoint of a run. Raises E701, E702."""
    record = folder.record()
    if record.spec_hash != run_hash(program, options):
        message = f"{folder.path} was begun with another spec ({record.spec_hash})"
        raise DiagnosticError(
            Diagnostic("E702", message, hint="resume with the spec and overrides of the run")
        )
    loaded = checkpoint.load_latest(folder.checkpoints)
    if loaded is None:
        raise DiagnosticError(
            Diagnostic("E701", f"{folder.path} has no checkpoint", hint="begin the run anew")
        )
    data, learner = prepare(program, options)
    return _session(folder, program, options, data, learner, loaded)


def run_hash(program: Program, options: RunOptions) -> str:
    """The spec's hash; another precision is another computation."""
    if options.precision == "float32":
        return program.spec.hash
    return f"{program.spec.hash}-{options.precision}"


def _session(
    folder: RunFolder,
    program: Program,
    options: RunOptions,
    data: Data,
    learner: Learner,
    loaded: checkpoint.Loaded | None,
) -> Outcome:
    if loaded is not None:  # before the recorder opens the file
        _refuse_if_live(folder)
        folder.truncate_metrics(loaded.step)
    recorder = _recorder(folder, program, options, data, learner, fresh=loaded is None)
    status: run_folder.Status = "FAILED"
    try:
        with display(folder.log_path, quiet=options.quiet, verbose=options.verbose) as shown:
            outcome = _train(folder, program, options, data, learner, loaded, recorder, shown)
        status = "FINISHED" if outcome.finished else "KILLED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        recorder.close(status)
    return outcome


def _refuse_if_live(folder: RunFolder) -> None:
    if folder.is_live():
        message = f"another process is training into {folder.path}"
        raise DiagnosticError(Diagnostic("E714", message, hint="wait for it, or begin a new run"))


def _recorder(
    folder: RunFolder,
    program: Program,
    options: RunOptions,
    data: Data,
    learner: Learner,
    *,
    fresh: bool,
) -> Recorder:
    spec = program.spec
    git = environment.git_state(Path.cwd())
    if fresh:  # a resumed run is read from its resolved spec, which has no recipe any more
        folder.update(recipe=spec.recipe_name or "", overrides=spec.overrides)
    record = folder.update(
        method=spec.method,
        spec_hash=run_hash(program, options),
        seed=options.seed,
        device=str(learner.device),
        dataset=data.name,
        versions=environment.versions(),
        git_commit=git.commit if git is not None else "",
        git_dirty=git.dirty if git is not None else False,
    )
    params: dict[str, object] = {**spec.settings, "seed": options.seed}
    params["precision"] = options.precision
    tags = {
        "method": spec.method,
        "recipe": record.recipe,
        "spec_hash": run_hash(program, options),
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


def _train(
    folder: RunFolder,
    program: Program,
    options: RunOptions,
    data: Data,
    learner: Learner,
    loaded: checkpoint.Loaded | None,
    recorder: Recorder,
    shown: Quiet,
) -> Outcome:
    evaluator = Evaluator(data.train, data.test, options.workers)
    can_evaluate = program.features is not None and bool(learner.recipe.evaluate)
    can_evaluate = can_evaluate and evaluator.possible()
    interval = Interval()
    at_init: dict[str, Any] = {}
    if loaded is not None:
        learner.load_state_dict(loaded.payload["learner"])
        interval.load(loaded.payload["interval"], learner.device)
        at_init = loaded.payload["at_init"]
        for warning in loaded.warnings:
            shown.say(f"{warning.code}: {warning.message}; {warning.hint}")
    shown.say(_opening(folder, program, learner, data))
    named = _name_skipped(data, shown, 0)
    with _batches(data, learner, options) as batches:
        if loaded is None:
            artifacts.write_texts(folder, recorder, learner)
            if can_evaluate:
                at_init = _evaluate(learner, evaluator)
                metrics = {f"{k}_at_init": v for k, v in _rates(at_init).items()}
                recorder.log(0, metrics)

        def save(now: Interval) -> None:
            payload = {"learner": learner.state_dict(), "interval": now.state(), "at_init": at_init}
            checkpoint.save(folder.checkpoints, learner.step, payload)

        with Stopping(options.save_every) as stopper:
            if loaded is None:
                _first_views(folder, recorder, learner, data, options)
            done = learner.step >= learner.total_steps or train(
                learner, batches, recorder, shown, stopper, save,
                evaluator if can_evaluate else None, interval,
            )  # fmt: skip
            _name_skipped(data, shown, named)
            if not done:
                return Outcome(folder, False, stopper.exit_code)
    return _finish(folder, recorder, learner, evaluator if can_evaluate else None, at_init)


def _batches(data: Data, learner: Learner, options: RunOptions) -> Batches:
    return Batches(
        data.train,
        learner.recipe.batch,
        last_batch=learner.recipe.last_batch,
        seed=options.seed,
        phase=PHASE,
        device=learner.device,
        workers=options.workers,
        first_step=learner.step,
    )


def _first_views(
    folder: RunFolder, recorder: Recorder, learner: Learner, data: Data, options: RunOptions
) -> None:
    with _batches(data, learner, options) as batches:
        artifacts.write_views(folder, recorder, learner, next(batches))


def _name_skipped(data: Data, shown: Quiet, known: int) -> int:
    """Name the images that could not be read, beyond the first `known`; how many there are."""
    found = [*data.train.skipped, *data.test.skipped]
    for skipped in found[known:]:
        shown.say(f"skipped, unreadable: {skipped.path} ({skipped.reason})")
    return len(found)


def _opening(folder: RunFolder, program: Program, learner: Learner, data: Data) -> str:
    spec = program.spec
    recipe = f", recipe {spec.recipe_name}" if spec.recipe_name else ""
    parameters = sum(p.numel() for _, p in learner.method.trained())
    return (
        f"{spec.method}{recipe} on {data.name}: {len(data.train)} images, "
        f"{parameters / 1e6:.2f} M trained parameters, {learner.total_steps} steps of "
        f"{learner.recipe.batch} on {learner.device}\n{folder.path}"
    )


def _evaluate(learner: Learner, evaluator: Evaluator) -> dict[str, Tensor]:
    """Hits of every evaluation of the recipe, by metric."""
    features = evaluator.features(learner)
    return {metric_name(e): hits(e, features, learner.method.seed) for e in learner.recipe.evaluate}


def _rates(found: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(right.double().mean()) for name, right in found.items()}


def _finish(
    folder: RunFolder,
    recorder: Recorder,
    learner: Learner,
    evaluator: Evaluator | None,
    at_init: dict[str, Any],
) -> Outcome:
    results: dict[str, float] = {}
    if evaluator is not None:
        final = _evaluate(learner, evaluator)
        results = _rates(final)
        recorder.log(learner.step, results)
        results |= {f"{k}_at_init": v for k, v in _rates(at_init).items()}
        path = folder.artifacts / "evaluation.json"
        write_atomic(path, _evaluation_record(learner, final, at_init))
        recorder.artifact(path)
    artifacts.write_curve(folder, recorder, learner.program.spec.method)
    encoder = artifacts.write_encoder(folder, recorder, learner)
    return Outcome(folder, True, 0, results, encoder)


def _evaluation_record(
    learner: Learner, final: dict[str, Tensor], at_init: dict[str, Tensor]
) -> str:
    """Protocols and, image by image, what was classified rightly: for comparisons in pairs."""
    record = {
        metric_name(e): {
            "protocol": protocol(e),
            "hits": _bits(final[metric_name(e)]),
            "hits_at_init": _bits(at_init[metric_name(e)]),
        }
        for e in learner.recipe.evaluate
    }
    return json.dumps(record, indent=1) + "\n"


def _bits(right: Tensor) -> str:
    return "".join("1" if r else "0" for r in right.tolist())


def results_line(results: dict[str, float]) -> Sequence[str]:
    """What a run reached, each figure beside the same at the start."""
    lines = []
    for name, value in results.items():
        if not name.endswith("_at_init"):
            before = results[f"{name}_at_init"]
            lines.append(
                f"{name.removeprefix('eval/')}: {value:.3f} (as initialised: {before:.3f})"
            )
    return lines
