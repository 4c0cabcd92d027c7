"""What the commands share: the frame that turns errors into diagnostics, and output."""

from __future__ import annotations

import functools
import gc
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from sslang.diagnostics import Diagnostic, DiagnosticError, render, to_json
from sslang.processes.environment import Place, thread_count

if TYPE_CHECKING:
    from sslang.passes import Pass

Command = TypeVar("Command", bound=Callable[..., Any])
Given = ParamSpec("Given")
Result = TypeVar("Result")

as_json = click.option(
    "--json", "json_", is_flag=True, help="Data for programs on standard output."
)

passes_option = click.option(
    "--passes", metavar="NAMES",
    help="Passes over the graph, with commas between, or `none`; those of the device if not named.",
)  # fmt: skip


def passes_of(names: str | None) -> tuple[Pass, ...] | None:
    """The passes that `--passes` names; None for those of the device. Raises click.UsageError."""
    from sslang.passes import passes_named

    try:
        return passes_named(names)
    except ValueError as error:
        raise click.UsageError(f"--passes: {error}") from None


def png_path(given: str, option: str) -> Path:
    """The place of a picture. Raises click.UsageError for what cannot be one."""
    path = Path(given)
    if path.suffix.lower() != ".png":
        raise click.UsageError(f"{option} writes .png")
    if not path.parent.is_dir():
        raise click.UsageError(f"{option}: there is no folder `{path.parent}`")
    return path


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within, a file that the disk does not take is E716, with the name that the user gave it."""
    try:
        yield
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise DiagnosticError(Diagnostic("E716", message)) from error


def share_cores(place: Place | None = None) -> None:
    """Threads that wait sleep, so that a run stays fast beside loader processes and other work.

    One of several processes computes with its share of the machine's cores. Before torch is
    imported; what the user has set stands.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    threads = None if place is None else thread_count(place, os.environ)
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(threads)


@contextmanager
def at_once() -> Iterator[None]:
    """Leave off, in a command that answers and ends, what only keeps it waiting.

    The collector would walk over all that was loaded, many times, and Pydantic would look for
    plugins in every package that is installed, unless the user has named some that it shall not.
    """
    thresholds = gc.get_threshold()
    named = "PYDANTIC_DISABLE_PLUGINS" in os.environ
    gc.set_threshold(200_000, *thresholds[1:])
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if not named:
            del os.environ["PYDANTIC_DISABLE_PLUGINS"]


def reporting(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """DiagnosticErrors become text (or JSON) and exit status 1; Ctrl-C is exit status 130."""

    @functools.wraps(function)
    def wrapped(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            return function(*args, **kwargs)
        except DiagnosticError as error:
            tell(error.diagnostics, json_=bool(kwargs.get("json_")))
            raise SystemExit(1) from None
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            raise SystemExit(130) from None

    return wrapped


def tell(diagnostics: Sequence[Diagnostic], *, json_: bool) -> None:
    """What has ended a command: text on standard error, or JSON on standard output."""
    if json_:
        print_json({"diagnostics": [to_json(d) for d in diagnostics]})
    else:
        print_diagnostics(diagnostics)


def print_diagnostics(diagnostics: Iterable[Diagnostic]) -> None:
    """Full form on standard error, coloured on a terminal."""
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    for diagnostic in diagnostics:
        print(render(diagnostic, colour=colour), file=sys.stderr)


def print_json(value: object) -> None:
    print(json.dumps(value))


def count(diagnostics: Iterable[Diagnostic]) -> str:
    """`2 errors, 1 warning`, or `no findings`."""
    kinds = [d.severity for d in diagnostics]
    parts = []
    for kind in ("error", "warning", "note"):
        number = kinds.count(kind)
        if number:
            parts.append(f"{number} {kind}{'s' if number > 1 else ''}")
    return ", ".join(parts) or "no findings"
