"""Settings that have no effect in the whole file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sslang.diagnostics import Diagnostic
from sslang.ir.program import Program


def idle_drops(programs: Sequence[Program]) -> Iterator[Diagnostic]:
    """E425 for a `drop_path` whose branch has paths to drop under no recipe and in no phase."""
    drops = [phase.drops for program in programs for phase in program.phases]
    for span in dict.fromkeys(span for found in drops for span in found):
        if not any(found.get(span) for found in drops):
            message = "`drop_path` drops nothing: no net of the branch has paths to drop"
            yield Diagnostic("E425", message, span, (), "leave it away; `vit` and `transformer` "
                             "of two blocks or more have such paths")  # fmt: skip
