"""`sslang submit`."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import click

from sslang.cli.shared import as_json, print_json, reporting
from sslang.diagnostics import Diagnostic, DiagnosticError

_TIME = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>\d\d)(?::\d\d)?")
_SHORT = re.compile(r"(?P<number>\d+)(?P<unit>[mhd])")
_MINUTES = {"m": 1, "h": 60, "d": 24 * 60}


def _minutes(ctx: click.Context, param: click.Parameter, text: str) -> int:
    """`90m`, `12h`, `2d`, or Slurm's `[days-]hours:minutes[:seconds]`, in minutes."""
    if (match := _SHORT.fullmatch(text)) is not None:
        found = int(match["number"]) * _MINUTES[match["unit"]]
    elif (match := _TIME.fullmatch(text)) is not None:
        found = (int(match["days"] or 0) * 24 + int(match["hours"])) * 60 + int(match["minutes"])
    else:
        raise click.BadParameter(f"{text!r} is no time; write 90m, 12h, 2d or 1-12:00", ctx, param)
    if found < 1:
        raise click.BadParameter("less than a minute", ctx, param)
    return found


def _extras(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """`name=value` texts as they go to sbatch."""
    pairs = [text.partition("=") for text in texts]
    for name, equals, _ in pairs:
        if not (name and equals):
            raise click.BadParameter("write name=value, as in --slurm qos=long", ctx, param)
    return {name: value for name, _, value in pairs}


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="SPEC [RUN OPTIONS]...")
@click.option("--nodes", type=click.IntRange(min=1), default=1, show_default=True,
              help="Machines.")  # fmt: skip
@click.option("--gpus", type=click.IntRange(min=0), default=0, show_default=True,
              help="GPUs on each machine, each for a process.")  # fmt: skip
@click.option("--processes", type=click.IntRange(min=1), metavar="N",
              help="Processes on each machine; one for each GPU if not named.")  # fmt: skip
@click.option("--cpus", type=click.IntRange(min=1), default=8, show_default=True,
              help="Cores of each process.")  # fmt: skip
@click.option("--memory", type=click.IntRange(min=1), metavar="GB", help="Of each machine.")
@click.option("--time", "minutes", callback=_minutes, default="12h", show_default=True,
              help="90m, 12h, 2d or 1-12:00. Runs that are not finished go on.")  # fmt: skip
@click.option("--requeues", type=click.IntRange(min=0), default=100, show_default=True,
              help="How often at most.")  # fmt: skip
@click.option("--notice", type=click.IntRange(min=10), default=120, show_default=True,
              metavar="SECONDS", help="For saving, before the time is over.")  # fmt: skip
@click.option("--partition", help="Where to queue.")
@click.option("--account", help="Who pays.")
@click.option("--slurm", "extras", callback=_extras, multiple=True, metavar="NAME=VALUE",
              help="Another option of sbatch.")  # fmt: skip
@click.option("--logs", type=click.Path(path_type=Path), default=Path("runs/jobs"),
              show_default=True, help="Where jobs write.")  # fmt: skip
@click.option("--cluster", type=click.Choice(["slurm", "local"]), default="slurm",
              show_default=True, help="`local` is this machine, without a queue.")  # fmt: skip
@as_json
@reporting
def command(
    arguments: tuple[str, ...],
    nodes: int,
    gpus: int,
    processes: int | None,
    cpus: int,
    memory: int | None,
    minutes: int,
    requeues: int,
    notice: int,
    partition: str | None,
    account: str | None,
    extras: dict[str, str],
    logs: Path,
    cluster: str,
    json_: bool,
) -> None:
    """Train SPEC as a job of Slurm, with any option of `sslang run` but those of processes.

    Each task of the job is one process of the run. Before its time is over, or it is preempted,
    the run saves, and the job is queued again and goes on.
    """
    name = _checked(arguments)
    if importlib.util.find_spec("submitit") is None:
        raise DiagnosticError(
            Diagnostic("E725", "jobs are submitted by submitit, which is not installed",
                       hint="pip install 'sslang[slurm]', or use examples/slurm.sh with sbatch")
        )  # fmt: skip
    settings: dict[str, Any] = {
        "name": name,
        "timeout_min": minutes,
        "nodes": nodes,
        "tasks_per_node": processes or max(1, gpus),
        "cpus_per_task": cpus,
        "gpus_per_node": gpus,
        "mem_gb": memory,
    }
    if cluster == "slurm":
        settings |= {
            "slurm_partition": partition,
            "slurm_account": account,
            "slurm_signal_delay_s": notice,
            "slurm_additional_parameters": {"requeue": True, **extras},
        }
    job = _submit(settings, arguments, logs, cluster, requeues)
    log = Path(job.paths.stdout)
    if json_:
        print_json({"job": job.job_id, "log": str(log)})
    else:
        print(f"job {job.job_id}, its log: {log}")


def _checked(arguments: tuple[str, ...]) -> str:
    """The name of the run, when its command and its spec have been found right."""
    from sslang.cli.run import command as run

    with run.make_context("sslang run", list(arguments)) as context:
        given = context.params
    if given["processes"] or given["nodes"] or given["rendezvous"]:
        raise click.UsageError("the job says how many processes there are")
    if given["spec"] is None:
        if given["resume"] in (None, "latest"):
            raise click.UsageError("name a spec, or a run to resume")
        return "resumed"
    import sslang

    sslang.load(given["spec"], given["recipe"], given["overrides"])
    return Path(given["spec"]).stem


def _submit(
    settings: dict[str, Any], arguments: tuple[str, ...], logs: Path, cluster: str, requeues: int
) -> Any:
    """The job, as submitit has it. Raises DiagnosticError E728 where the queue refuses it."""
    import submitit

    from sslang.processes.job import Job

    try:
        executor = submitit.AutoExecutor(logs, cluster, **{f"{cluster}_max_num_timeout": requeues})
        executor.update_parameters(**settings)
        return executor.submit(Job(arguments))
    except RuntimeError as error:  # also those of submitit's own kinds
        reason = str(error).strip().partition("\n")[0]
        raise DiagnosticError(
            Diagnostic("E728", f"the job was not taken: {reason}",
                       hint="--partition and --account name where to queue, --slurm the rest")
        ) from error  # fmt: skip
