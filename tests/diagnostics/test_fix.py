"""Fixes: edits that do not meet are made together, and what `--fix` leaves is right."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sslang.checks import check_file
from sslang.cli.check import command, mend
from sslang.diagnostics import Source, Span
from sslang.diagnostics.fix import Fix, apply, removal, replacement, wrapped

TEXT = "a = 1\nb = a  # two\nc = 3\n"
SOURCE = Source("x.ssl", TEXT)


def _at(text: str) -> Span:
    start = TEXT.index(text)
    return Span(SOURCE, start, start + len(text))


def test_edits_are_made_together() -> None:
    fixes = [replacement(_at("1"), "10"), wrapped(_at("3"), "f(", ")")]
    assert apply(SOURCE, fixes) == ("a = 10\nb = a  # two\nc = f(3)\n", 2)


def test_of_two_that_meet_the_first_is_made() -> None:
    fixes = [replacement(_at("= 1"), "= 2"), replacement(_at("1"), "3")]
    assert apply(SOURCE, fixes) == (TEXT.replace("1", "2"), 1)


def test_unsafe_ones_and_those_of_another_text_are_left() -> None:
    other = Source("y.ssl", "else")
    fixes = [Fix(replacement(_at("1"), "2").edits, safe=False), replacement(Span(other, 0, 1), "x")]
    assert apply(SOURCE, fixes) == (TEXT, 0)


def test_a_statement_goes_with_its_line_and_comment() -> None:
    assert apply(SOURCE, [removal(_at("b = a"))]) == ("a = 1\nc = 3\n", 1)


MISTAKES = """method "x"
view a, b = simclr_views(size)
param size = 32
param unused = 3
fn idle(x) = x
encoder f = resnet18(width = 0.25, stm = small)
head g = mlp(64, 32)
branch t = ema(f | g | l2_normalize, 0.99)
p = l2_normalise(g(f(a)))
y = label
loss = info_nce(p, t(b), stop_grad(t(a)), temprature = 0.1) + 0 * y
"""


def test_what_is_mended_is_right(tmp_path: Path) -> None:
    path = tmp_path / "x.ssl"
    path.write_text(MISTAKES)
    assert mend(path) == 7
    text = path.read_text()
    assert check_file(Source("x.ssl", text)) == []
    assert 'method "x" (labels = true)' in text
    assert "stem = small" in text
    assert "stop_grad(t(b)), stop_grad(t(a)), temperature = 0.1" in text
    assert "unused" not in text and "idle" not in text
    assert mend(path) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["x.ssl"]


def test_two_names_that_are_as_near_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.ssl"
    text = 'method "x"\nparam size_a = 1\nparam size_b = 2\nloss = size_c + size_a + size_b\n'
    path.write_text(text)
    mend(path)
    assert path.read_text() == text


@pytest.mark.parametrize("form", ["concise", "github", "full", "json"])
def test_check_counts_what_could_be_mended(tmp_path: Path, form: str) -> None:
    path = tmp_path / "x.ssl"
    path.write_text(MISTAKES)
    done = CliRunner().invoke(command, [str(path), "--format", form])
    assert done.exit_code == 1
    assert path.read_text() == MISTAKES
    assert ("`--fix` mends" in done.output) == (form != "json")
    assert "E303" in done.output


def test_what_a_recipe_sets_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "x.ssl"
    text = """method "x"
param temperature = 0.1
param temperature2 = 0.5
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
head g = mlp(64, 32)
loss = nt_xent(l2_normalize(g(f([a, b]))), temperature2)
recipe default : laptop { temperature = 0.2 }
"""
    path.write_text(text)
    assert mend(path) == 0
    assert path.read_text() == text


def test_an_average_in_a_function_of_nets_is_not_cut_for_all(tmp_path: Path) -> None:
    path = tmp_path / "x.ssl"
    text = """method "x"
view a, b = simclr_views(32)
encoder f = resnet18(width = 0.25, stem = small)
branch target = ema(f, 0.99)
fn embed(net, x) = l2_normalize(net(x))
loss = info_nce_batch(embed(f, a), embed(target, b), 0.2)
"""
    path.write_text(text)
    assert [d.code for d in check_file(Source("x.ssl", text))] == ["E401"]
    assert mend(path) == 0


def test_bytes_that_no_fix_is_about_stay(tmp_path: Path) -> None:
    """Ends of lines, the byte-order mark, the mode, and a link."""
    path, link = tmp_path / "x.ssl", tmp_path / "link.ssl"
    path.write_bytes(b"\xef\xbb\xbf" + MISTAKES.replace("\n", "\r\n").encode())
    path.chmod(0o600)
    link.symlink_to(path)
    assert mend(link) == 7
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbfmethod")
    assert data.count(b"\n") == data.count(b"\r\n") > 5
