"""Traits of ops, as MLIR has them: what is true of an op whatever it computes.

An op that does not say is an error when it is asked, never a silent "no". The ops of views declare
theirs; those of tensors follow when their analyses ask for them.
"""

from __future__ import annotations

from sslang.records import record


@record(frozen=True)
class Trait:
    """Something that is true of an op."""


@record(frozen=True)
class KeepsRows(Trait):
    """Row r of the result depends on row r of the operands alone."""


@record(frozen=True)
class MixesRows(Trait):
    """Row r of the result also depends on rows that are drawn, the partners of r."""


@record(frozen=True)
class Random(Trait):
    """Draws numbers beside whether it is applied at all."""
