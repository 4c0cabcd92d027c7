"""`# allow CODE: reason` silences warnings and notes of its line, and nothing else."""

from __future__ import annotations

import pytest

from sslang.checks import check_file
from sslang.diagnostics import Diagnostic, Source, Span
from sslang.diagnostics.silence import without_allowed

SPEC = """method "x"
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head g = mlp(64, 32)
queue old[64] = sphere(32){comment}
loss = info_nce(g(f(a)), stop_grad(g(f(b))), old, 0.2)
"""


def _codes(comment: str) -> list[str]:
    return [d.code for d in check_file(Source("x.ssl", SPEC.format(comment=comment)))]


def test_a_warning_is_silenced_with_a_reason() -> None:
    assert _codes("") == ["E404"]
    assert _codes("  # allow E404: random negatives are the point") == []


@pytest.mark.parametrize(
    ("comment", "codes"),
    [
        ("  # allow E404", ["E404", "E213"]),  # no reason
        ("  # allow E410: other", ["E404", "E213"]),  # an error
        ("  # allow E999: other", ["E404", "E213"]),  # unknown
        ("  # allow E208: other", ["E404", "E213"]),  # nothing there
    ],
)
def test_an_allow_that_allows_nothing_is_a_warning(comment: str, codes: list[str]) -> None:
    assert _codes(comment) == codes


def test_with_an_error_no_allow_is_called_idle() -> None:
    text = SPEC.format(comment="  # allow E404: random negatives are the point")
    broken = text.replace("0.2)", "tmperature)")
    assert [d.code for d in check_file(Source("x.ssl", broken))] == ["E201"]


def test_what_the_probe_alone_finds_may_be_allowed() -> None:
    source = Source("x.ssl", SPEC.format(comment="  # allow E411: seen"))
    assert [d.code for d in check_file(source)] == ["E404"]
    line = source.text.index("queue")
    found = Diagnostic("E411", "some starts collapse", Span(source, line, line + 5))
    assert without_allowed(source, [found]) == []
