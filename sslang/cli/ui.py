"""`sslang ui`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from sslang.cli.shared import as_json, print_json, reporting
from sslang.track.store import LOOPBACK, ui_command, ui_url


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option("--host", default=LOOPBACK, show_default=True,
              help="The address to serve at. 127.0.0.1 is this machine alone; with 0.0.0.0 whoever "
              "reaches it can read and change every run, for the pages ask for no password.",
              )  # fmt: skip
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@as_json
@reporting
def command(out: Path, host: str, port: int, json_: bool) -> None:
    """Serve MLflow's pages on the store of the runs below --out, until Ctrl-C.

    Open the address that is printed: it is that of the training runs.
    """
    line, url = ui_command(out, host=host, port=port), ui_url(out, host=host, port=port)
    if json_:
        print_json({"url": url, "command": line})
        return
    click.echo(f"{url}  (ready in about 15 seconds; Ctrl-C ends it)" if line else url, err=True)
    if line:
        os.execvp(line[0], line)
