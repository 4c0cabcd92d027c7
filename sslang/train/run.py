"""A run from its first line to its last: data, training phase by phase, evaluation, record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from sslang.diagnostics import Diagnostic, DiagnosticError, nearest
from sslang.emit.augmentations.installed import expect_installed
from sslang.ir.graph import Graph
from sslang.ir.program import Program
from sslang.track import run_folder
from sslang.track.files import write_atomic
from sslang.track.run_folder import RunFolder
from sslang.train import checkpoint, requeue
from sslang.train.building import build
from sslang.train.data import Data, Listings, data_facts, open_data, read_listings
from sslang.train.learner import Learner
from sslang.train.options import RunOptions
from sslang.train.pretrained import pretrained_weights, refuse_misfits
from sslang.train.session import Outcome, Position, Session, refuse_other_data
from sslang.train.together import at_all, at_first


def prepare(
    program: Program,
    options: RunOptions,
    carried: Mapping[str, Tensor] | None = None,
    listed: Listings | None = None,
) -> tuple[Data, Learner]:
    """Data and learner of a phase, with every check that needs the data. Raises DiagnosticError.

    `carried` are the nets of earlier phases; what the spec declares as pretrained is loaded.
    `listed` are the files that a run which goes on began with.
    """
    device = options.resolved_device()
    _check_device(device)
    expect_installed(*_graphs(program.phases))
    data = open_data(program, listed)
    problems = data_facts(program, len(data.train))
    if problems:
        raise DiagnosticError(*problems)
    loaded = pretrained_weights(program)
    learner = build(program, options, data, {**loaded, **(carried or {})})
    refuse_misfits(program, learner.method.nets.state_dict(), loaded)
    if options.compile:
        learner.compile()
    return data, learner


def _graphs(phases: Sequence[Program]) -> Iterator[Graph]:
    """The steps of phases, and what evaluation computes in them."""
    for program in phases:
        yield program.step
        if program.features is not None:
            yield program.features


def _check_device(device: str) -> None:
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        message = f"the device `{device}` cannot be used: {reason}"
        raise DiagnosticError(Diagnostic("E704", message, hint="--device cpu")) from None


def run(
    program: Program,
    options: RunOptions,
    source_text: str,
    source: str,
    *,
    phase: str | None = None,
    begun: RunFolder | None = None,
) -> Outcome:
    """Train from the start, or from `phase` on with the nets that the run `begun` had then.

    `source` names the file of the spec, or what stands for it.
    """
    first = phase_number(program, phase)
    processes = options.processes

    def prepared() -> tuple[Position, Data, Learner]:
        expect_installed(*_graphs(program.phases[first:]))
        carried = _carried(program, first, begun)
        data, learner = prepare(program.phases[first], options, carried)
        _check_later(program.phases[first + 1 :])
        return Position(first, 0, carried, None), data, learner

    def made() -> Path:
        folder = run_folder.create(options.out, Path(source).stem, source)
        write_atomic(folder.spec_path, source_text)
        write_atomic(folder.resolved_path, program.spec.text)
        return folder.path

    at, data, learner = at_all(processes, prepared)
    folder = RunFolder(at_first(processes, made))
    return Session(folder, program, options, prepare).run(at, data, learner)


def begin_or_go_on(program: Program, options: RunOptions, source_text: str, source: str) -> Outcome:
    """`run`, or under a requeue `resume`: see `sslang.train.requeue`."""
    hash_, name = run_hash(program, options), Path(source).stem
    begun = at_first(
        options.processes, lambda: requeue.unfinished(options.out, name, hash_, options.seed)
    )
    if begun is not None:
        return resume(begun, program, options)
    return run(program, options, source_text, source)


def _check_later(phases: Sequence[Program]) -> None:
    """Raise now what a later phase could not do with its data."""
    for program in phases:
        problems = data_facts(program, len(open_data(program).train))
        if problems:
            raise DiagnosticError(*problems)


def phase_number(program: Program, phase: str | None) -> int:
    """The place of a phase among those of a spec, 0 for None; E204 where there is none."""
    names = [p.phase for p in program.phases]
    if phase is None:
        return 0
    if phase not in names:
        hint = nearest(phase, names) or f"its phases: {', '.join(names)}"
        raise DiagnosticError(Diagnostic("E204", f"the spec has no phase `{phase}`", hint=hint))
    return names.index(phase)


def _carried(program: Program, first: int, begun: RunFolder | None) -> dict[str, Tensor]:
    """The nets with which a run that starts late begins: those at the end of the phase before."""
    if begun is None or first == 0:
        return {}
    before = program.phases[first - 1].phase
    loaded = checkpoint.load_latest(begun.phases / before)
    if loaded is None:
        message = f"{begun.path} has not finished the phase `{before}`"
        hint = "resume that run, or begin a new one without --phase"
        raise DiagnosticError(Diagnostic("E701", message, hint=hint))
    nets: dict[str, Tensor] = loaded.payload["nets"]
    return nets


def resume(folder: RunFolder, program: Program, options: RunOptions) -> Outcome:
    """Go on from the last good checkpoint of a run. Raises E701, E702, E714, E727."""
    at_first(options.processes, lambda: _refuse_if_live(folder))
    at, data, learner = at_all(options.processes, lambda: _taken_up(folder, program, options))
    return Session(folder, program, options, prepare).run(at, data, learner)


def _taken_up(
    folder: RunFolder, program: Program, options: RunOptions
) -> tuple[Position, Data, Learner]:
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
    state = loaded.payload
    number = phase_number(program, state["phase"])
    expect_installed(*_graphs(program.phases[number:]))
    at = Position(number, state["offset"], state["carried"], loaded)
    listed = read_listings(folder, state["phase"])
    data, learner = prepare(program.phases[number], options, state["carried"], listed)
    refuse_other_data(folder, data, state["phase"])
    return at, data, learner


def _refuse_if_live(folder: RunFolder) -> None:
    """Before a checkpoint is read that another process is about to replace."""
    if folder.is_live(patience=requeue.PATIENCE):
        message = f"another process is training into {folder.path}"
        hint = "wait for it, or begin a new run"
        raise DiagnosticError(Diagnostic("E714", message, hint=hint))


def run_hash(program: Program, options: RunOptions) -> str:
    """The spec's hash; another precision is another computation."""
    return options.hash_of(program.spec.hash)


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
