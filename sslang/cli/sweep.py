"""`sslang sweep`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sslang.cli.shared import as_json, print_json, reporting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sslang.track.run_folder import RunFolder
    from sslang.train.sweep import Cell, Group


@click.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.argument("axes", nargs=-1, required=True, metavar="NAME=A,B,...")
@click.option("--recipe", help="The recipe; `default` if none is named.")
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True,
              help="Runs at a time.")  # fmt: skip
@click.option("--metric", metavar="NAME", help="What is compared; the first result if not named.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
              help="Where runs go.")  # fmt: skip
@click.option("--device", help="cpu, cuda, cuda:1, ...; the best there is if not named.")
@click.option("--workers", type=click.IntRange(0, 64), default=2, show_default=True,
              help="Helpers of each run that decode images.")  # fmt: skip
@click.option("--tracking", metavar="URI", help="An MLflow URI, or `off`.")
@as_json
@reporting
def command(
    spec: Path, axes: tuple[str, ...], recipe: str | None, jobs: int, metric: str | None, out: Path,
    device: str | None, workers: int, tracking: str | None, json_: bool,
) -> None:  # fmt: skip
    """Train SPEC under every combination of settings: temperature=0.1,0.2 seed=0..4.

    What is done is left as it is, and what was interrupted goes on: the same command after a stop
    finishes the sweep. A table and a plot with error bars stand below --out in `sweeps`, and in
    MLflow the runs are children of one. Ends with 1 where a run failed.
    """
    from sslang.train.sweep import SEED, Grid, Sweep, axis, groups, metric_of, seeds_of

    try:
        given = dict(axis(text) for text in axes)
        if len(given) < len(axes):
            raise ValueError("an axis is named twice")
        seeds = seeds_of(given.pop(SEED, ("0",)))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    options = ["--workers", str(workers)]
    options += [] if device is None else ["--device", device]
    options += [] if tracking is None else ["--tracking", tracking]
    grid = Grid(spec, recipe, given, seeds)
    sweep = Sweep(grid, out, tuple(options), jobs, lambda text: click.echo(text, err=True))
    found = sweep.run()
    compared = metric_of(found, metric)
    made = groups(found, compared)
    folder = out / "sweeps" / f"{spec.stem}-{_digest(grid.axes, recipe)}"
    _write(folder, spec.stem, found, made, compared)
    if json_:
        print_json({"folder": str(folder), "metric": compared,
                    "settings": [{**dict(g.settings), "mean": g.mean, "values": g.values}
                                 for g in made]})  # fmt: skip
    else:
        _print(made, compared, folder)
    raise SystemExit(0 if all(found.values()) else 1)


def _digest(axes: Mapping[str, tuple[str, ...]], recipe: str | None) -> str:
    """Name a grid: the same axes go on with the same sweep, whatever values and seeds are added."""
    return hashlib.sha256(f"{sorted(axes)} {recipe}".encode()).hexdigest()[:8]


def _write(
    folder: Path, name: str, found: Mapping[Cell, RunFolder | None], made: list[Group], metric: str
) -> None:
    from sslang.diagnostics import Diagnostic, render
    from sslang.track.mlflow_client import UnreachableError
    from sslang.track.sweeps import Parent, send_sweep
    from sslang.train.sweep import write_plot, write_table

    folder.mkdir(parents=True, exist_ok=True)
    table, plot = folder / "table.csv", folder / "plot.png"
    swept = " x ".join(name for name, _ in made[0].settings) or "seeds"
    title = f"{name}: {swept}, {sum(f is not None for f in found.values())} runs"
    write_table(table, found, metric)
    write_plot(plot, made, metric, title)
    best = made[0]
    reached = {folder: value for cell, folder in found.items() if folder is not None
               and cell.settings == best.settings
               for value in [r.value for r in folder.record().results if r.metric == metric]
               }  # fmt: skip
    metrics = {f"{metric}/best_mean": best.mean}
    if len(best.values) > 1:
        metrics[f"{metric}/best_deviation"] = best.deviation
    lines = ["| setting | runs | mean | deviation |", "|---|---|---|---|"]
    lines += [f"| {g.name} | {len(g.values)} | {g.mean:.3f} | {_deviation(g)} |" for g in made]
    parent = Parent(
        f"sweep {title}", f"# {title}\n\n`{metric}`\n\n" + "\n".join(lines) + "\n",
        metrics, max(reached, key=lambda folder: reached[folder]), (table, plot),
    )  # fmt: skip
    try:
        send_sweep(folder, parent, [f for f in found.values() if f is not None])
    except UnreachableError as error:
        message = f"MLflow does not take the sweep: {error}"
        click.echo(render(Diagnostic("E717", message, hint="the table is in the sweep's folder")),
                   err=True)  # fmt: skip


def _deviation(group: Group) -> str:
    return f"{group.deviation:.3f}" if len(group.values) > 1 else "-"


def _print(made: list[Group], metric: str, folder: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in (*(name for name, _ in made[0].settings), "runs", f"{metric} mean", "deviation"):
        table.add_column(title)
    for group in made:
        table.add_row(*(value for _, value in group.settings), str(len(group.values)),
                      f"{group.mean:.3f}", _deviation(group))  # fmt: skip
    Console().print(table)
    click.echo(f"{folder}/table.csv and plot.png")
