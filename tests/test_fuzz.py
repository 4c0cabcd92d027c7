"""The checker stands whatever it is given: mutated specs, odd bytes, and what is no file at all."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from sslang.checks import check_file
from sslang.diagnostics import Diagnostic, DiagnosticError, Source
from sslang.model.resolve import read
from sslang.syntax.parser import parse
from tests.conftest import ROOT
from tests.fuzz import Overtime, attempt, case, clock, search
from tests.grafts import grafted


def test_cases_of_every_sort_hold(tmp_path: Path) -> None:
    outcomes = [attempt(case(seed).files, tmp_path) for seed in range(100)]
    assert any(o.errors for o in outcomes)
    assert any(not o.errors for o in outcomes), "no case gets through: the fuzz tests little"
    assert any(o.fixes for o in outcomes), "no case is mended: the fuzz tests no fixes"


@pytest.mark.slow
def test_ten_minutes_of_cases_hold(tmp_path: Path) -> None:
    report = search(random.SystemRandom().randrange(10**9), 10.0, 10**9, tmp_path)
    assert report.cases > 100
    assert not report.faults, str(report)


def test_the_search_goes_on_after_a_fault(tmp_path: Path) -> None:
    report = search(5, 2.0, 4, tmp_path)
    assert report.cases == 4
    assert sum(report.sorts.values()) == 4
    assert not list(tmp_path.iterdir()), "the files of cases without a fault are not kept"


def test_most_grafted_specs_are_read() -> None:
    texts = [grafted(random.Random(seed)) for seed in range(40)]
    assert sum(not parse(Source("grafted", text))[1] for text in texts) > 20
    assert len(set(texts)) == len(texts)


def test_the_clock_stops_what_does_not_end() -> None:
    def endless() -> None:
        while True:
            pass

    with clock(0.05), pytest.raises(Overtime):
        endless()


# --- what is no file -----------------------------------------------------------------------


def _refused(path: Path) -> Diagnostic:
    with pytest.raises(DiagnosticError) as raised:
        read(path)
    (found,) = raised.value.diagnostics
    return found


@pytest.fixture
def no_files(tmp_path: Path) -> Path:
    """A folder of things that have names and are no specs."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    return tmp_path


WHAT = {
    "folder": "is a directory",
    "pipe": "is a pipe or a device",
    "device": "is a pipe or a device",
    "loop": "symbolic links",
    "gone": "no such file",
    "none": "no such file",
    "bytes": "not UTF-8",
    "bytes/inside": "not a directory",
    "x" * 5_000: "name too long",
    "a\0b": "is no path",
}


@pytest.mark.parametrize("name", WHAT, ids=lambda name: name[:20].replace("\0", "0"))
def test_what_is_no_spec_is_refused_at_once(no_files: Path, name: str) -> None:
    found = _refused(no_files / name)
    assert found.code == ("E104" if name == "bytes" else "E206")
    assert WHAT[name] in found.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_leave_to_read_it(tmp_path: Path) -> None:
    (tmp_path / "x.ssl").touch(mode=0o000)
    assert "permission denied" in _refused(tmp_path / "x.ssl").message


@pytest.mark.parametrize("name", [n for n in WHAT if "\0" not in n], ids=lambda name: name[:20])
def test_use_of_what_is_no_spec(no_files: Path, name: str) -> None:
    text = f'method "x"\nuse z from "{name}"\nloss = z\n'
    found = check_file(Source(str(no_files / "spec.ssl"), text))
    first = next(d for d in found if d.span is not None and d.span.line == 2)
    assert first.code == ("E104" if name == "bytes" else "E206")
    assert WHAT[name] in first.message


def test_files_that_use_each_other_are_read_once(tmp_path: Path) -> None:
    for own, other in (("a", "b"), ("b", "a")):
        text = f'method "x"\nuse z from "{other}.ssl"\nloss = z\n'
        (tmp_path / f"{own}.ssl").write_text(text, encoding="utf-8")
    assert "E210" in {d.code for d in check_file(read(tmp_path / "a.ssl"))}


def test_a_finding_can_be_printed_in_any_encoding(tmp_path: Path) -> None:
    """Letters that the terminal lacks, and names of files that are not UTF-8."""
    path = tmp_path / "x.ssl"
    path.write_text('method "é"\nloss = 名\n', encoding="utf-8")
    none = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.ssl")
    for encoding in ("ascii", "utf-8"):
        command = [sys.executable, "-m", "sslang.cli", "check", "--format", "concise"]
        done = subprocess.run(
            [*command, str(path), none], capture_output=True, check=False, cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"},
        )  # fmt: skip
        assert done.returncode == 1
        assert b"Traceback" not in done.stderr
        assert done.stdout.count(b"\n") == done.stdout.count(b"error[")
