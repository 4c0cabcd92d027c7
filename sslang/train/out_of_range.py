"""An index of a step that names no row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.train.learner import Learner

# What torch says of an index, in a RuntimeError.
_SAID = ("out of bounds", "Class values must be smaller than num_classes",
         "index out of range")  # fmt: skip


@contextmanager
def naming_index(learner: Learner) -> Iterator[None]:
    """Where a step names a row that is not there, raise E729.

    torch raises IndexError of some ops, and of others a RuntimeError that says so.
    """
    try:
        yield
    except (IndexError, RuntimeError) as error:
        if not isinstance(error, IndexError) and not any(w in str(error) for w in _SAID):
            raise
        message = f"step {learner.step + 1} reads or writes a row that is not there: {error}"
        hint = "rows count from 0 to the size less 1: see that what is computed stays within"
        span = learner.program.spans.get("loss")
        raise DiagnosticError(Diagnostic("E729", message, span, hint=hint)) from error
