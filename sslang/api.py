"""The Python API: load a spec, check it, compile it, and step it in a loop of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sslang.diagnostics import Diagnostic, DiagnosticError, Source
from sslang.syntax import tree

if TYPE_CHECKING:
    from sslang.ir.program import Program
    from sslang.train.learner import Learner


def load(path: str | Path, recipe: str | None = None, overrides: Sequence[str] = ()) -> Program:
    """The program of a spec under a recipe (`default` if none is named).

    `overrides` are texts `name=expression`, as on the command line. Raises DiagnosticError with
    all errors that were found; `program.diagnostics` holds warnings and notes.
    """
    from sslang.model.resolve import read

    return load_source(read(Path(path)), recipe, overrides)


def load_source(
    source: Source, recipe: str | None = None, overrides: Sequence[str] = ()
) -> Program:
    """`load`, for a text that is no file."""
    from dataclasses import replace

    from sslang.checks import check_program
    from sslang.ir.build import build
    from sslang.model.overlay import resolve
    from sslang.model.resolve import load as load_module

    program = build(resolve(load_module(source), recipe, parse_overrides(overrides)))
    found = check_program(program)
    if any(d.is_error for d in found):
        raise DiagnosticError(*found)
    return replace(program, diagnostics=tuple(found))


def parse_overrides(overrides: Sequence[str]) -> list[tree.Binding | tree.Nested]:
    """`name=expression` texts as bindings. Raises DiagnosticError."""
    from sslang.syntax.parser import parse_expression

    bindings: list[tree.Binding | tree.Nested] = []
    found: list[Diagnostic] = []
    for text in overrides:
        node, diagnostics = parse_expression(Source("command line", text))
        found.extend(diagnostics)
        if isinstance(node, tree.Binding | tree.Nested):
            bindings.append(node)
    if found:
        raise DiagnosticError(*found)
    return bindings


def check(path: str | Path) -> list[Diagnostic]:
    """Every finding about a spec under all of its recipes. Raises DiagnosticError if unreadable."""
    from sslang.checks import check_file
    from sslang.model.resolve import read

    return check_file(read(Path(path)))


def compile(program: Program, *, images: int, **options: Any) -> Learner:  # noqa: A001
    """Nets, optimizer and code of a program, initialised from a seed.

    `images` is the size of the training set, which makes epochs into steps. Options: `seed`,
    `device`, `dtype`, `autocast` (a torch dtype), `channels_last`. The learner has `train_step`,
    `features`, `state_dict` and `load_state_dict`.
    """
    from sslang.train.learner import Learner

    return Learner(program, images=images, **options)
