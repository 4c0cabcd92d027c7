"""`sslang`: arguments in, diagnostics and tables out. Each command imports what it needs."""

from __future__ import annotations

import importlib
import io
import sys

import click

_COMMANDS = {
    "run": "Train a spec into a tracked run.",
    "submit": "Train a spec as a job of Slurm.",
    "check": "Check specs under all of their recipes.",
    "explain": "Explain the code of a finding.",
    "fmt": "Bring specs into the one spelling.",
    "show": "Show a spec as tree, resolved text, IR or code.",
    "doc": "Explain a name of the language or of the standard library.",
    "sweep": "Train a spec under a grid of settings and seeds.",
    "runs": "List and compare runs.",
    "diff": "Tell what differs between two specs or runs.",
    "embed": "Write the features of images.",
    "register": "Register a run's model in MLflow.",
    "track": "Send what a tracking server lacks.",
    "ui": "Open MLflow on the store of the runs.",
    "bench": "Measure a spec's step beside the plain step.",
    "completion": "Print completion for a shell.",
}


class _Lazy(click.Group):
    """A group that imports a command when it is called, so that `--help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = importlib.import_module(f"sslang.cli.{name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            from sslang.diagnostics import nearest

            hint = nearest(args[0], _COMMANDS)
            ctx.fail(f"there is no command `{args[0]}`" + (f"; {hint}" if hint else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sslang")
def main() -> None:
    """Self-supervised vision methods as short .ssl files: check, train, compare.

    Begin with: sslang run specs/simclr.ssl
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a spec may have letters that a terminal lacks
            stream.reconfigure(errors="backslashreplace")
