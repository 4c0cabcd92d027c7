"""Faults done to real runs: nothing that was committed is lost, and resuming gives the same bits.

The table of all of them: `python -m sslang.bench.faults`.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from sslang.bench.faults.__main__ import main, table
from sslang.bench.faults.bench import Bench, Row, SkippedError
from sslang.bench.faults.faults import FAULTS

# Killed and damaged runs are tried quickly in train/test_run.py and train/test_checkpoint.py.
QUICK = ("nan",)
# Exit codes; of the faults that are not listed any but those of a traceback would do.
CODES = {
    "kill": "-9", "sigterm": "75", "sigusr1": "75", "ctrl-c": "130", "nan": "1", "full": "1",
    "file": "1", "memory": "1", "too": "1", "vanishing": "0", "two": "1; 0", "database": "0; 0; 0",
    "tracking": "0; 0", "truncated": "-9", "flipped": "-9", "kill-worker": "0",
    "kill-workers-twice": "1", "kill-rank": "1",
}  # fmt: skip
SAID = {
    "kill-workers-twice": "E606", "full-disk": "E71", "file-limit": "E71", "memory": "E726",
    "nan": "kept batch-", "two-runs": "E714", "flipped": "E712", "too-many-vanish": "E605",
    "vanishing": "2 skipped", "tracking-server": "E71", "kill-rank": "E723",
}  # fmt: skip
WITHOUT_BITS = ("nan", "vanishing", "too-many-vanish")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One undisturbed run serves all."""
    return Bench(tmp_path_factory.mktemp("faults"), random.Random(1))


def expect_nothing_lost(name: str, bench: Bench) -> None:
    try:
        row = FAULTS[name](bench)
    except SkippedError as error:
        pytest.skip(str(error))
    assert row.lost == 0, row
    assert row.identical is (None if name in WITHOUT_BITS else True), row
    assert row.exit_code == CODES.get(name, CODES.get(name.partition("-")[0])), row
    assert SAID.get(name, "") in row.happened, row


@pytest.mark.parametrize("name", QUICK)
def test_nothing_is_lost(name: str, bench: Bench) -> None:
    expect_nothing_lost(name, bench)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FAULTS if name not in QUICK])
def test_nothing_is_lost_by_the_rarer_faults(name: str, bench: Bench) -> None:
    expect_nothing_lost(name, bench)


def test_the_table_says_what_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of an earlier call are not found again, and one lost step makes the exit code 1."""
    rows = tmp_path / "rows.json"
    row = '{"fault": "f", "happened": "a | b", "exit_code": "1", "lost": %d, "identical": %s}'
    rows.write_text('{"nan": ' + row % (0, "null") + "}")
    assert main(["--only", "nan", "--resume", str(rows)]) == 0
    assert "| f | a \\| b | 1 | 0 | - |" in capsys.readouterr().out
    rows.write_text('{"nan": ' + row % (3, "true") + "}")
    assert main(["--only", "nan", "--resume", str(rows)]) == 1
    rows.write_text('{"nan": ' + row % (0, "false") + "}")
    assert main(["--only", "nan", "--resume", str(rows)]) == 1
    assert "| no |" in table([Row("f", "g", "1", 0, False)])
