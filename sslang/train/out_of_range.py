"""An index of a step that names no row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.train.learner import Learner


@contextmanager
def naming_index(learner: Learner) -> Iterator[None]:
    """Where a step raises IndexError, raise E729."""
    try:
        yield
    except IndexError as error:
        message = f"step {learner.step + 1} reads or writes a row that is not there: {error}"
        hint = "rows count from 0 to the size less 1: see that what is computed stays within"
        span = learner.program.spans.get("loss")
        raise DiagnosticError(Diagnostic("E729", message, span, hint=hint)) from error
