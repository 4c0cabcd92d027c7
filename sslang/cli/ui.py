"""`sslang ui`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from sslang.cli.shared import as_json, print_json, reporting


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option("--port", default=5000, show_default=True)
@as_json
@reporting
def command(out: Path, port: int, json_: bool) -> None:
    """Serve MLflow's pages on the store of the runs below --out, until Ctrl-C."""
    from sslang.track.store import ui_command, ui_url

    line, url = ui_command(out, port=port), ui_url(out, port=port)
    if json_:
        print_json({"url": url, "command": line})
        return
    click.echo(f"{url}  (ready in about 15 seconds; Ctrl-C ends it)" if line else url, err=True)
    if line:
        os.execvp(line[0], line)
