"""`sslang run`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sslang.cli.shared import as_json, print_diagnostics, print_json, reporting, share_cores
from sslang.diagnostics import Diagnostic
from sslang.train.options import RunOptions

if TYPE_CHECKING:
    from sslang.ir.program import Program


@click.command()
@click.argument("spec", required=False, type=click.Path())
@click.argument("overrides", nargs=-1)
@click.option("--recipe", help="The recipe; `default` if none is named.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", help="cpu, cuda, cuda:1, ...; the best there is if not named.")
@click.option("--workers", type=click.IntRange(0, 64), default=2, show_default=True,
              help="Processes that decode images.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
              help="Where runs go.")  # fmt: skip
@click.option("--resume", is_flag=False, flag_value="latest", metavar="[RUN]",
              help="Go on with a run: its folder, or the spec's latest.")  # fmt: skip
@click.option("--phase", metavar="NAME", help="Begin with this phase of the spec.")
@click.option("--from", "begun", type=click.Path(path_type=Path), metavar="RUN",
              help="The run whose nets a later phase begins with.")  # fmt: skip
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), default="float32",
              show_default=True, help="bfloat16 is autocast.")  # fmt: skip
@click.option("--compile", "compile_", is_flag=True, help="Run the step through torch.compile.")
@click.option("--channels-last/--no-channels-last", default=True, show_default=True,
              help="Images in memory as NHWC, which convolutions are faster on.")  # fmt: skip
@click.option("--tracking", metavar="URI", help="An MLflow URI, or `off`.")
@click.option("--save-every", type=float, default=60.0, show_default=True, metavar="SECONDS",
              help="How often to save a checkpoint.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Check everything, take one step, write nothing.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors and results.")
@click.option("-v", "--verbose", is_flag=True, help="A line for every line of the log.")
@as_json
@reporting
def command(
    spec: str | None,
    overrides: tuple[str, ...],
    recipe: str | None,
    seed: int,
    device: str | None,
    workers: int,
    out: Path,
    resume: str | None,
    phase: str | None,
    begun: Path | None,
    precision: str,
    compile_: bool,
    channels_last: bool,
    tracking: str | None,
    save_every: float,
    dry_run: bool,
    quiet: bool,
    verbose: bool,
    json_: bool,
) -> None:
    """Train SPEC, with OVERRIDES `name=expression`, into a tracked run."""
    share_cores()
    if spec is None and resume in (None, "latest"):
        raise click.UsageError("name a spec, or a run to resume")
    options = RunOptions(
        seed=seed, device=device, workers=workers, out=out,
        precision="bfloat16" if precision == "bfloat16" else "float32",
        compile=compile_, channels_last=channels_last, tracking=tracking, save_every=save_every,
        quiet=quiet or json_, verbose=verbose,
    )  # fmt: skip
    if begun is not None and phase is None:
        raise click.UsageError("--from goes with --phase, the phase to begin with")
    if resume is not None:
        _resume(spec, resume, overrides, recipe, options, json_)
        return
    assert spec is not None
    import sslang
    from sslang.model.resolve import read

    program = sslang.load(spec, recipe, overrides)
    if not json_:
        print_diagnostics(program.diagnostics)
    _refuse_collapse(program, silent=json_)
    if dry_run:
        from sslang.train.dry_run import dry_run as rehearse

        report = rehearse(program, options)
        if json_:
            print_json(report.plain())
        else:
            print(report.text())
        return
    from sslang.track.run_folder import open_run
    from sslang.train.run import run

    source = read(Path(spec)).text
    folder = None if begun is None else open_run(begun)
    _end(run(program, options, source, Path(spec).stem, phase=phase, begun=folder), json_)


def _refuse_collapse(program: Program, *, silent: bool) -> None:
    """Raises DiagnosticError where numbers say that a loss collapses; warns where it may."""
    from sslang.diagnostics import DiagnosticError
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


def _resume(
    spec: str | None,
    wanted: str,
    overrides: tuple[str, ...],
    recipe: str | None,
    options: RunOptions,
    json_: bool,
) -> None:
    """Go on from the resolved spec in the run's folder, which holds all that the run is."""
    from dataclasses import replace

    import sslang
    from sslang.diagnostics import DiagnosticError
    from sslang.track.run_folder import list_runs, open_run
    from sslang.train import run as running

    if wanted == "latest":
        assert spec is not None
        name = Path(spec).stem
        runs = [r for r in list_runs(options.out) if r.path.parent.name == name]
        if not runs:
            message = f"there is no run of `{name}` below {options.out}"
            raise DiagnosticError(
                Diagnostic("E701", message, hint="name its folder after --resume")
            )
        folder = runs[-1]
    else:
        folder = open_run(Path(wanted))
    record = folder.record()
    if spec is not None:  # a changed spec is noticed before anything is computed
        given = sslang.load(spec, recipe or record.recipe or None, overrides or record.overrides)
        if running.run_hash(given, options) != record.spec_hash:
            raise DiagnosticError(
                _changed(folder.resolved_path.read_text("utf-8"), given.spec.text, folder.path)
            )
    program = sslang.load(folder.resolved_path)
    bfloat16 = record.spec_hash.endswith("-bfloat16")
    options = replace(
        options, seed=record.seed, precision="bfloat16" if bfloat16 else "float32",
        out=folder.root,
    )  # fmt: skip
    _end(running.resume(folder, program, options), json_)


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


def _end(outcome: object, json_: bool) -> None:
    from sslang.train.run import results_line
    from sslang.train.session import Outcome

    assert isinstance(outcome, Outcome)
    folder = outcome.folder.path
    if json_:
        print_json(
            {"folder": str(folder), "finished": outcome.finished, "results": outcome.results}
        )
        raise SystemExit(outcome.exit_code)
    shown = _relative(folder)
    if not outcome.finished:
        print(f"stopped; all is saved. Go on: sslang run --resume {shown}", file=sys.stderr)
        raise SystemExit(outcome.exit_code)
    for line in results_line(outcome.results):
        print(line)
    print(f"run: {shown}")
    if outcome.encoder is not None:
        print(f"encoder for torchvision, timm or plain torch: {_relative(outcome.encoder)}")
    print("compare runs: sslang runs, or sslang ui for MLflow's pages")


def _relative(path: Path) -> Path:
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path
