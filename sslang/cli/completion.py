"""`sslang completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print completion for SHELL; e.g. `eval "$(sslang completion bash)"`."""
    from sslang.cli.main import main

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "sslang", "_SSLANG_COMPLETE").source())
