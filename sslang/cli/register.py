"""`sslang register`."""

from __future__ import annotations

from pathlib import Path

import click

from sslang.cli.shared import as_json, print_json, reporting


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("name")
@as_json
@reporting
def command(run: Path, name: str, json_: bool) -> None:
    """Register the model of the run RUN in MLflow under NAME, as its next version.

    The model takes images and gives their features; MLflow has it since the end of the run.
    """
    from sslang.track.registry import register
    from sslang.track.run_folder import open_run

    version, uri = register(open_run(run), name)
    if json_:
        print_json({"name": name, "version": version, "uri": uri})
        return
    click.echo(f"{name}, version {version}: mlflow.pyfunc.load_model({uri!r})")
