"""`sslang run`: alone, as one of several processes, or as the one that starts them."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import click

from sslang.cli.shared import as_json, passes_of, passes_option, reporting, share_cores, tell
from sslang.cli.work import Request, choose, compute, exit_code, program_of, show
from sslang.diagnostics import DiagnosticError
from sslang.processes import environment
from sslang.processes.environment import Place
from sslang.processes.report import Reporter, Verdict, watch_parent
from sslang.train.options import MicroBatch, RunOptions

_ARGUMENTS = "sslang.arguments"


class _Remembering(click.Command):
    """Keeps its arguments as they were given, for the processes that get the same ones."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)


def _rows(ctx: click.Context, param: click.Parameter, text: str | None) -> MicroBatch:
    """A number of rows from 1, or `auto`."""
    if text is None or text == "auto":
        return "auto" if text else None
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise click.BadParameter(f"{text!r} is neither a number of rows nor `auto`", ctx, param)
    return int(text)


@click.command(cls=_Remembering)
@click.argument("spec", required=False, type=click.Path())
@click.argument("overrides", nargs=-1)
@click.option("--recipe", help="The recipe; `default` if none is named.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--device", help="cpu, cuda, cuda:1, ...; the best there is if not named.")
@click.option("--workers", type=click.IntRange(0, 64), default=2, show_default=True,
              help="Helpers of each process that decode images.")  # fmt: skip
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
@click.option("--processes", type=click.IntRange(1, 1024), metavar="N",
              help="Compute with N processes on this machine.")  # fmt: skip
@click.option("--nodes", type=click.IntRange(1, 4096), metavar="N",
              help="So many machines, on each of which this command is started.")  # fmt: skip
@click.option("--rendezvous", metavar="HOST:PORT", help="Where the machines meet: on one of them.")
@click.option("--micro-batch", callback=_rows, metavar="N|auto",
              help="Rows of the batch that a process computes at a time.")  # fmt: skip
@passes_option
@click.option("--shard", is_flag=True, help="Several processes hold the nets together (FSDP2).")
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
    processes: int | None,
    nodes: int | None,
    rendezvous: str | None,
    micro_batch: MicroBatch,
    passes: str | None,
    shard: bool,
    tracking: str | None,
    save_every: float,
    dry_run: bool,
    quiet: bool,
    verbose: bool,
    json_: bool,
) -> None:
    """Train SPEC, with OVERRIDES `name=expression`, into a tracked run."""
    if spec is None and resume in (None, "latest"):
        raise click.UsageError("name a spec, or a run to resume")
    if begun is not None and phase is None:
        raise click.UsageError("--from goes with --phase, the phase to begin with")
    if (nodes or 1) > 1 and rendezvous is None:
        raise click.UsageError("--nodes goes with --rendezvous, where the machines meet")
    if (nodes is not None or rendezvous is not None) and processes is None:
        raise click.UsageError("--nodes and --rendezvous go with --processes, on each machine")
    starts = (processes or 1) * (nodes or 1) > 1 and environment.REPORTS not in os.environ
    if starts:
        environment.refuse_second_start(os.environ, nodes or 1)
    place = Place() if starts else environment.find(os.environ)
    if shard and not starts and place.count == 1:
        raise click.UsageError("--shard goes with several processes: add --processes N")
    share_cores(place)
    request = Request(spec, overrides, recipe, resume, phase, begun, dry_run, json_)
    options = RunOptions(
        seed=seed, device=device, workers=workers, out=out,
        precision="bfloat16" if precision == "bfloat16" else "float32",
        compile=compile_, channels_last=channels_last, tracking=tracking, save_every=save_every,
        quiet=quiet or json_, verbose=verbose, micro_batch=micro_batch, shard=shard,
        passes=passes_of(passes),
    )  # fmt: skip
    if starts:
        assert processes is not None
        _start(request, options, processes, nodes or 1, rendezvous or "")
    if place.count > 1:
        _take_part(request, options, place)
    chosen, program = choose(request, options, checked=False)
    result = compute(request, options, chosen, program)
    show(result, json_=json_)
    raise SystemExit(exit_code(result))


def _start(
    request: Request, options: RunOptions, processes: int, nodes: int, rendezvous: str
) -> None:
    """Find what is wrong before anything is started, then start the processes."""
    from sslang.processes.launch import Launch, launch

    device = options.resolved_device()
    if device.startswith("cuda"):
        import torch

        environment.refuse_too_many(processes, torch.cuda.device_count())
        environment.device_of(Place(count=processes), device)
    choose(request, options, checked=False)
    arguments = click.get_current_context().meta[_ARGUMENTS]
    verdict = launch(
        Launch(
            command=("-m", "sslang", "run", *arguments),
            processes=processes,
            nodes=nodes,
            rendezvous=rendezvous,
            keep_output=options.verbose,
        )
    )
    _print(verdict, request.json_)
    raise SystemExit(verdict.code)


def _take_part(request: Request, options: RunOptions, place: Place) -> None:
    """Be one of several processes: the first reads, decides and prints, for all of them."""
    from sslang.train.together import ended_elsewhere  # imports torch

    with Reporter(place, lambda verdict: _print(verdict, request.json_)) as reporter:
        if os.environ.get(environment.PARENT):
            watch_parent(int(os.environ[environment.PARENT]))
        reporter.store = store = environment.meet(place)
        device = environment.device_of(place, options.device)
        processes = environment.join(place, device, store)
        first = processes.is_first
        options = replace(
            options, processes=processes, device=device, quiet=options.quiet or not first,
            verbose=options.verbose and first,
        )  # fmt: skip
        if first:
            try:
                chosen, program = choose(request, options, checked=bool(place.reports))
            except DiagnosticError:
                processes.from_first(None)
                raise
            processes.from_first(chosen)
        else:
            chosen = processes.from_first(None)
            if chosen is None:
                raise ended_elsewhere(0, processes.count)
            program = program_of(chosen, request)
        result = compute(request, options, chosen, program)
        if first:
            show(result, json_=request.json_)
        code = exit_code(result)
        if code == 0:  # else the others may be elsewhere, and must not be waited for
            environment.leave(processes)
        reporter.done(code)


def _print(verdict: Verdict, json_: bool) -> None:
    if verdict.diagnostics:
        tell(verdict.diagnostics, json_=json_)
    if verdict.text:
        print(verdict.text, file=sys.stderr)
