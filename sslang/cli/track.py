"""`sslang track`."""

from __future__ import annotations

from pathlib import Path

import click

from sslang.cli.shared import as_json, print_json, reporting


@click.group()
def command() -> None:
    """What concerns the tracking store."""


@command.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option("--tracking", help="Another MLflow URI than the run's.")
@as_json
@reporting
def sync(folders: tuple[Path, ...], out: Path, tracking: str | None, json_: bool) -> None:
    """Send what MLflow lacks of the runs FOLDERS, or of all below --out."""
    from sslang.track.recorder import sync as send
    from sslang.track.run_folder import list_runs, open_run

    runs = [open_run(f) for f in folders] or list_runs(out)
    left = False
    results = []
    for run in runs:
        if not folders and run.record().tracking is None:
            continue
        result = send(run, tracking=tracking)
        complete = result.unsent_lines == 0 and result.unsent_files == 0
        left = left or not complete
        results.append(
            {"run": run.title, "unsent_lines": result.unsent_lines,
             "unsent_files": result.unsent_files, "reason": result.reason}
        )  # fmt: skip
        if not json_:
            left_over = f"{result.unsent_lines} lines and {result.unsent_files} files unsent"
            said = "complete" if complete else f"{left_over}: {result.reason}"
            click.echo(f"{run.title}: {said}")
    if json_:
        print_json(results)
    raise SystemExit(1 if left else 0)
