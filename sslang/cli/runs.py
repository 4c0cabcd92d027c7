"""`sslang runs`."""

from __future__ import annotations

import csv
import operator
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sslang.cli.shared import as_json, print_json, reporting
from sslang.diagnostics import nearest

if TYPE_CHECKING:
    from sslang.track.run_folder import RunFolder

Row = dict[str, Any]


_RATES = ("eval/knn_top1", "eval/linear_top1", "eval/accuracy")  # also of a run that goes on
_ALWAYS = ("train/loss", "health/effective_rank")
_CLAUSE = re.compile(r"\s*(\S.*?)\s*(<=|>=|==|!=|=|<|>)\s*(\S.*?)\s*")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": operator.eq, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option("--where", metavar="CONDITION",
              help='Only runs of which this is true: "temperature < 0.2 and method = MoCo v2".',
              )  # fmt: skip
@click.option("--sort", metavar="NAME", help="Order by this, the least first; -NAME the largest.")
@click.option("--csv", "as_csv", is_flag=True, help="Write all that is known of each as CSV.")
@as_json
@reporting
def command(out: Path, where: str | None, sort: str | None, as_csv: bool, json_: bool) -> None:
    """List the runs below --out: what sets each apart, its state, what it reached.

    Conditions and orders name parameters (`temperature`, `optimizer.lr`), metrics (`knn_top1`,
    `train/loss`) and the columns of the table. Runs on different data stand apart.
    """
    from sslang.track.run_folder import list_runs

    if as_csv and json_:
        raise click.UsageError("--csv and --json exclude each other")
    rows = [_row(folder) for folder in list_runs(out)]
    some = bool(rows)
    for condition in [] if where is None else _conditions(where, rows):
        rows = [row for row in rows if condition.holds(row)]
    if sort is not None:
        rows = _sorted(rows, sort)
    if json_:
        print_json(rows)
    elif as_csv:
        names = list(dict.fromkeys(name for row in rows for name in row))
        writer = csv.DictWriter(sys.stdout, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    elif rows:
        _tables(rows)
    elif some:
        click.echo(f"no run below {out} is such that {where}", err=True)
    else:
        click.echo(f"no runs below {out}; begin one: sslang run specs/simclr.ssl", err=True)


def _row(folder: RunFolder) -> Row:
    """All that is known of a run, by name: its record, its parameters, its last metrics."""
    record = folder.record()
    last: dict[str, float] = {}
    step = 0
    for line in folder.metrics():
        last.update(line.metrics)
        step = max(step, line.step)
    known: Row = {
        "run": folder.title,
        "name": record.label or folder.title,
        "method": record.method,
        "recipe": record.recipe,
        "seed": record.seed,
        "dataset": record.dataset,
        "data": next((one.digest[:8] for one in record.inputs), ""),
        "encoder": _encoder(record.params),
        "status": folder.status(),
        "step": step,
    }
    for result in record.results:
        name = result.metric
        known |= {name: result.value, f"{name} error": result.error,
                  f"{name} gain": result.gain, f"{name} gain error": result.gain_error,
                  f"{name} initial": result.initial}  # fmt: skip
        if result.pixels is not None:
            known[f"{name} raw pixels"] = result.pixels
    known |= {name: value for name, value in last.items() if name not in known}
    params = {name: _number(value) for name, value in record.params.items()}
    return known | {name: value for name, value in params.items() if name not in known}


def _encoder(params: Any) -> str:
    """The first encoder among the parameters of a run, in a word: `resnet18`, `vit`."""
    for name, kind in params.items():
        net, _, last = name.rpartition(".")
        if net and last == "architecture":
            return f"{kind}{params.get(f'{net}.depth', '')}" if kind == "resnet" else str(kind)
    return ""


def _number(text: str) -> Any:
    """A parameter as a number where it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@dataclass(frozen=True)
class _Condition:
    """A comparison of something that is known of a run with a value."""

    name: str
    compare: Callable[[Any, Any], bool]
    value: Any

    def holds(self, row: Row) -> bool:
        """Whether it is true of a run; never where the run has no such thing."""
        found = _known(row, self.name)
        if found is None or isinstance(found, str) != isinstance(self.value, str):
            equality = self.compare in (operator.eq, operator.ne)
            same = str(found) == str(self.value)
            return found is not None and equality and same == (self.compare is operator.eq)
        return self.compare(found, self.value)


def _conditions(text: str, rows: Sequence[Row]) -> list[_Condition]:
    found = []
    for clause in re.split(r"\s+and\s+", text):
        parts = _CLAUSE.fullmatch(clause)
        if parts is None:
            raise click.UsageError(
                f'--where: {clause!r} is no condition; write e.g. --where "temperature < 0.2"'
            )
        name, sign, value = parts.groups()
        _expect_known(name, rows, "--where")
        found.append(_Condition(name, _OPERATORS[sign], _number(value.strip("\"'"))))
    return found


def _expect_known(name: str, rows: Sequence[Row], option: str) -> None:
    names = {n for row in rows for n in row}
    if rows and not any(_known(row, name) is not None for row in rows):
        short = {n.rpartition("/")[2] for n in names}
        hint = nearest(name, names | short)
        raise click.UsageError(f"{option}: no run has a `{name}`{f'; {hint}' if hint else ''}")


def _known(row: Row, name: str) -> Any:
    """What is known of a run under a name, or under its last word: `knn_top1`."""
    if name in row:
        return row[name]
    alike = [n for n in row if n.rpartition("/")[2] == name]
    return row[alike[0]] if alike else None


def _sorted(rows: list[Row], name: str) -> list[Row]:
    """Runs by something known of them, and those without it last."""
    down = name.startswith("-") and not any(_known(row, name) is not None for row in rows)
    name = name[1:] if down else name
    _expect_known(name, rows, "--sort")
    having = [row for row in rows if _known(row, name) is not None]
    numbers = all(not isinstance(_known(row, name), str) for row in having)
    having.sort(key=lambda row: _known(row, name) if numbers else str(_known(row, name)),
                reverse=down)  # fmt: skip
    return having + [row for row in rows if _known(row, name) is None]


def _tables(rows: list[Row]) -> None:
    """A table for each data set: figures of different images are not to be compared."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=240)
    groups = {key: list(group) for key, group in groupby(sorted(rows, key=_data), key=_data)}
    for number, (key, group) in enumerate(groups.items()):
        if len(groups) > 1:
            console.print(f"{'' if number == 0 else chr(10)}{key[0]} ({key[1] or 'unknown'})",
                          highlight=False, markup=False)  # fmt: skip
        console.print(_table([row for row in rows if row in group]))


def _data(row: Row) -> tuple[str, str]:
    return (row["dataset"], row.get("data", ""))


def _table(rows: list[Row]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    cells = [_cells(row) for row in rows]
    shown = [title for title in dict.fromkeys(t for each in cells for t in each)
             if any(each.get(title) for each in cells)]  # fmt: skip
    if len({each["encoder"] for each in cells}) == 1:
        shown = [title for title in shown if title != "encoder"]
    for title in shown:
        table.add_column(title, no_wrap=title != "what", overflow="fold")
    for each in cells:
        table.add_row(*(Text(each.get(title) or "-") for title in shown))
    return table


def _cells(row: Row) -> dict[str, str]:
    """What the table says of a run, by the title of the column."""
    what = row["name"].removeprefix(row["run"].partition("/")[0]).strip()
    found = {"run": row["run"], "what": "" if what.startswith("/") else what}
    found |= {name: str(row[name]) for name in ("encoder", "status", "step")}
    for name in row:
        error = row.get(f"{name} error")
        if error is not None:  # of a share of the images, or of what training brought to it
            sign = "+" if name.endswith(" gain") else ""
            found[_title(name)] = f"{row[name]:{sign}.3f} ± {error:.3f}"
        elif name.endswith(_RATES) or name in _ALWAYS:
            found[_title(name)] = f"{row[name]:.3f}"
    return found


def _title(metric: str) -> str:
    """The last word of a metric's name, after the phase where it is of a later one."""
    *path, last = metric.split("/")
    return f"{path[0]} {last}" if len(path) > 1 else last
