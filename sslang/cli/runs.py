"""`sslang runs`."""

from __future__ import annotations

from pathlib import Path

import click

from sslang.cli.shared import as_json, print_json, reporting

_METRICS = ("train/loss", "eval/knn_top1_at_init", "eval/knn_top1", "eval/linear_top1",
            "health/effective_rank")  # fmt: skip


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@as_json
@reporting
def command(out: Path, json_: bool) -> None:
    """List the runs below --out: method, recipe, state, what each reached."""
    from sslang.track.run_folder import list_runs

    rows = []
    for folder in list_runs(out):
        record = folder.record()
        last: dict[str, float] = {}
        step = 0
        for row in folder.metrics():
            last.update(row.metrics)
            step = max(step, row.step)
        rows.append(
            {
                "run": folder.title,
                "method": record.method,
                "recipe": record.recipe,
                "seed": record.seed,
                "status": folder.status(),
                "step": step,
                **{name: last[name] for name in _METRICS if name in last},
                **{name: value for name, value in last.items() if name.endswith("eval/accuracy")},
            }
        )
    if json_:
        print_json(rows)
        return
    if not rows:
        click.echo(f"no runs below {out}; begin one: sslang run specs/simclr.ssl", err=True)
        return
    _table(rows)


def _table(rows: list[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    names = ["run", "method", "recipe", "seed", "status", "step", *_METRICS]
    accuracies = dict.fromkeys(n for row in rows for n in row if n.endswith("eval/accuracy"))
    shown = [n for n in (*names, *accuracies) if any(n in row for row in rows)]
    table = Table(box=None, pad_edge=False)
    for name in shown:
        table.add_column(_title(name), no_wrap=True)
    for row in rows:
        table.add_row(*(_cell(row.get(name)) for name in shown))
    console = Console()
    if not console.is_terminal:
        console = Console(width=240)
    console.print(table)


def _title(metric: str) -> str:
    """The last word of a metric's name, after the phase where it is of a later one."""
    *path, last = metric.split("/")
    return f"{path[0]} {last}" if len(path) > 1 else last


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
