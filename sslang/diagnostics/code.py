"""What a diagnostic code is: one declaration, which raising, rendering and `explain` all read."""

from __future__ import annotations

from typing import Literal

from sslang.records import record

Severity = Literal["error", "warning", "note"]

# What examples that are no whole specs begin with.
PREAMBLE = """\
method "example"
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head g = mlp(64, 32)
"""


@record(frozen=True)
class Example:
    """A program that gives the code and one that does not: the page of `sslang explain`.

    Programs stand after PREAMBLE, unless they begin with `method` themselves or are `whole`.
    `found` says what finds it: the check of the text, or the start of a run, when data and nets
    exist.
    """

    fails: str
    mended: str
    found: Literal["check", "start"] = "check"
    whole: bool = False

    def programs(self) -> tuple[str, str]:
        """Both, whole."""
        return self._whole(self.fails), self._whole(self.mended)

    def _whole(self, text: str) -> str:
        return text if self.whole or text.lstrip().startswith("method") else PREAMBLE + text


@record(frozen=True)
class Code:
    """`explanation` says why it is one; `arises` how, where no program alone can bring it about."""

    code: str
    title: str
    explanation: str
    severity: Severity = "error"
    example: Example | None = None
    arises: str = ""
