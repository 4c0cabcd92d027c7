"""What a process of `sslang run` does: read the spec, compute, and say what came of it.

The first process, or the only one, reads and decides; the others do what it has decided.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sslang.cli.shared import print_diagnostics, print_json
from sslang.diagnostics import Diagnostic, DiagnosticError, Source
from sslang.train.options import RunOptions

if TYPE_CHECKING:
    from sslang.ir.program import Program
    from sslang.track.run_folder import RunFolder
    from sslang.train.dry_run import Rehearsal
    from sslang.train.session import Outcome


@dataclass(frozen=True)
class Request:
    """What the command line asks for, besides how it is computed."""

    spec: str | None
    overrides: tuple[str, ...]
    recipe: str | None
    resume: str | None
    phase: str | None
    begun: Path | None
    dry_run: bool
    json_: bool


@dataclass(frozen=True)
class Chosen:
    """What is computed: the spec, as text under a name, or the folder of a run to go on with."""

    name: str = ""
    text: str = ""
    folder: str = ""


def choose(request: Request, options: RunOptions, *, checked: bool) -> tuple[Chosen, Program]:
    """Read and check what is asked for, and print what there is to say about it.

    `checked` leaves out what the process that started this one has done: the warnings, and the
    search for a collapse. Raises DiagnosticError.
    """
    silent = request.json_ or checked
    if request.resume is not None:
        chosen = Chosen(folder=str(_to_resume(request, options).path))
        return chosen, program_of(chosen, request)
    assert request.spec is not None
    from sslang.model.resolve import read

    source = read(Path(request.spec))
    chosen = Chosen(source.name, source.text)
    program = program_of(chosen, request)
    if not silent:
        print_diagnostics(program.diagnostics)
    if not checked:
        _refuse_collapse(program, silent=silent)
    return chosen, program


def program_of(chosen: Chosen, request: Request) -> Program:
    """The program that was chosen. A run's own spec has its recipe and overrides in place."""
    import sslang
    from sslang.api import load_source
    from sslang.track.run_folder import RunFolder

    if chosen.folder:
        return sslang.load(RunFolder(Path(chosen.folder)).resolved_path)
    return load_source(Source(chosen.name, chosen.text), request.recipe, request.overrides)


def compute(
    request: Request, options: RunOptions, chosen: Chosen, program: Program
) -> Outcome | Rehearsal:
    """Do it. Raises DiagnosticError."""
    from sslang.track.run_folder import RunFolder, open_run
    from sslang.train import run as running

    if chosen.folder:
        folder = RunFolder(Path(chosen.folder))
        return running.resume(folder, program, _as_begun(folder, options))
    if request.dry_run:
        from sslang.train.dry_run import dry_run

        return dry_run(program, options)
    if request.phase is None:  # a job that the system has started once more finds its run
        return running.begin_or_go_on(program, options, chosen.text, chosen.name)
    begun = None if request.begun is None else open_run(request.begun)
    return running.run(program, options, chosen.text, chosen.name, phase=request.phase, begun=begun)


def show(result: Outcome | Rehearsal, *, json_: bool) -> None:
    """Print what came of it."""
    from sslang.train.dry_run import Rehearsal
    from sslang.train.run import results_line

    if isinstance(result, Rehearsal):
        print_json(result.plain()) if json_ else print(result.text())
        return
    folder = result.folder.path
    if json_:
        print_json({"folder": str(folder), "finished": result.finished, "results": result.results})
        return
    shown = _relative(folder)
    if not result.finished:
        print(f"stopped; all is saved. Go on: sslang run --resume {shown}", file=sys.stderr)
        return
    for line in results_line(result.results):
        print(line)
    print(f"run: {shown}")
    if result.encoder is not None:
        print(f"encoder for torchvision, timm or plain torch: {_relative(result.encoder)}")
    print("compare runs: sslang runs, or sslang ui for MLflow's pages")


def exit_code(result: Outcome | Rehearsal) -> int:
    """The exit status of the command."""
    from sslang.train.session import Outcome

    return result.exit_code if isinstance(result, Outcome) else 0


def _refuse_collapse(program: Program, *, silent: bool) -> None:
    """Raises DiagnosticError where numbers say that a loss collapses; warns where it may."""
    from sslang.evaluate.probe import findings
    from sslang.evaluate.probe_file import probe_phases

    found: list[Diagnostic] = []
    for phase, verdict in probe_phases(program):
        found += findings(phase, verdict)
        if verdict.outcome == "undecided" and not silent:
            print(f"collapse of {verdict.line(phase.phase)}", file=sys.stderr)
    if any(d.is_error for d in found):
        raise DiagnosticError(*found)
    if not silent:
        print_diagnostics(found)


def _to_resume(request: Request, options: RunOptions) -> RunFolder:
    """The run to go on with. Raises DiagnosticError E701 and E702."""
    import sslang
    from sslang.track.run_folder import list_runs, open_run
    from sslang.train.run import run_hash

    if request.resume != "latest":
        assert request.resume is not None
        folder = open_run(Path(request.resume))
    else:
        assert request.spec is not None
        name = Path(request.spec).stem
        runs = [r for r in list_runs(options.out) if r.path.parent.name == name]
        if not runs:
            message = f"there is no run of `{name}` below {options.out}"
            raise DiagnosticError(
                Diagnostic("E701", message, hint="name its folder after --resume")
            )
        folder = runs[-1]
    record = folder.record()
    if request.spec is not None:  # a changed spec is noticed before anything is computed
        recipe, overrides = request.recipe, request.overrides
        given = sslang.load(
            request.spec, recipe or record.recipe or None, overrides or record.overrides
        )
        if run_hash(given, options) != record.spec_hash:
            before = folder.resolved_path.read_text("utf-8")
            raise DiagnosticError(_changed(before, given.spec.text, folder.path))
    return folder


def _as_begun(folder: RunFolder, options: RunOptions) -> RunOptions:
    """The options with what the run was begun with: seed, precision, place."""
    record = folder.record()
    bfloat16 = record.spec_hash.endswith("-bfloat16")
    return replace(
        options, seed=record.seed, precision="bfloat16" if bfloat16 else "float32",
        out=folder.root,
    )  # fmt: skip


def _changed(before: str, after: str, folder: Path) -> Diagnostic:
    import difflib

    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), "the run", "the spec now", lineterm="", n=0
    )
    difference = "\n    ".join(line for line in lines if not line.startswith("@@"))
    message = f"the run in {folder} was begun with another spec:\n    {difference}"
    return Diagnostic(
        "E702", message, hint=f"sslang run --resume {folder} goes on with the run's own"
    )


def _relative(path: Path) -> Path:
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
