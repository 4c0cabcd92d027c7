"""Which of several ends is shown."""

from __future__ import annotations

import signal
from pathlib import Path

import torch.distributed as dist

from sslang.diagnostics import Diagnostic, DiagnosticError
from sslang.processes.report import (
    Ending,
    Failure,
    Verdict,
    ending_of,
    read_endings,
    verdict,
    write_ending,
)

GONE = Diagnostic("E605", "the images are gone")
KILLED, ENDED, FAILED = (
    Failure(-signal.SIGKILL, "its last words"), Failure(-signal.SIGTERM), Failure(1),
)  # fmt: skip


def refused(rank: int) -> Ending:
    return Ending(rank, 1, "diagnostics", 1, diagnostics=(GONE,))


def lost(rank: int) -> Ending:
    return Ending(rank, 1, "lost", 1, "Connection closed by peer")


def done(rank: int, code: int) -> Ending:
    return Ending(rank, 1, "done", code)


def messages(found: Verdict) -> list[str]:
    return [d.message for d in found.diagnostics]


def test_all_end_with_the_code_of_one() -> None:
    assert verdict({}, {0: done(0, 0), 1: done(1, 0)}) == Verdict(0)
    assert verdict({}, {0: done(0, 75), 1: done(1, 75)}).code == 75
    assert verdict({}, {0: done(0, 130), 1: done(1, 130)}).code == 130


def test_what_happens_to_a_process_that_is_done_is_no_failure() -> None:
    aborted = {0: Failure(-signal.SIGABRT), 1: ENDED}
    assert verdict(aborted, {0: done(0, 0), 1: done(1, 0)}) == Verdict(0)


def test_a_killed_process_comes_before_those_that_lost_it() -> None:
    found = verdict({0: FAILED, 1: KILLED, 2: ENDED}, {0: lost(0)})
    assert (found.code, found.text) == (1, "its last words")
    assert messages(found) == ["process 1 was killed by SIGKILL"]


def test_a_diagnostic_of_one_has_its_number_and_that_of_all_has_none() -> None:
    one = verdict({0: FAILED, 1: FAILED}, {0: lost(0), 1: refused(1)})
    assert messages(one) == ["process 1: the images are gone"]
    all_ = verdict({1: FAILED, 0: FAILED}, {0: refused(0), 1: refused(1)})
    assert messages(all_) == ["the images are gone"]
    first = verdict({0: FAILED}, {0: refused(0)})
    assert messages(first) == ["the images are gone"]


def test_what_another_reports_is_not_reported_again() -> None:
    told = DiagnosticError(Diagnostic("E721", "process 1 ended with an error"))
    endings = {0: ending_of(told, 0), 1: refused(1)}
    assert messages(verdict({0: FAILED, 1: FAILED}, endings)) == ["process 1: the images are gone"]


def test_if_all_have_only_lost_another_that_is_said() -> None:
    found = verdict({0: FAILED, 1: FAILED}, {0: lost(0), 1: lost(1)})
    assert messages(found) == ["process 0 has lost another one: Connection closed by peer"]
    assert found.diagnostics[0].code == "E723"


def test_a_fault_in_the_code_is_shown_with_its_traceback() -> None:
    try:
        raise ZeroDivisionError("a fault")
    except ZeroDivisionError as error:
        ending = ending_of(error, 1)
    found = verdict({1: FAILED, 0: ENDED}, {1: ending})
    assert found.code == 1
    assert found.text.startswith("process 1: Traceback")
    assert "ZeroDivisionError: a fault" in found.text


def test_a_status_without_a_word_is_named() -> None:
    found = verdict({1: Failure(3, "words")}, {})
    assert messages(found) == ["process 1 ended by itself, with exit status 3"]
    assert found.text == "words"


def test_a_signal_before_anything_was_saved_is_no_fault() -> None:
    early = {0: Failure(-signal.SIGTERM), 1: Failure(-signal.SIGTERM)}
    assert verdict(early, {}, asked=signal.SIGTERM).code == 128 + signal.SIGTERM
    assert verdict({0: Failure(-signal.SIGINT)}, {}, asked=signal.SIGINT).code == 130
    stopped = ending_of(KeyboardInterrupt(), 1)
    assert verdict({1: Failure(130), 0: ENDED}, {1: stopped}).code == 130


def test_one_that_has_saved_decides_for_those_that_it_left() -> None:
    assert verdict({1: FAILED}, {0: done(0, 75), 1: lost(1)}, asked=signal.SIGTERM).code == 75
    late = {1: Failure(-signal.SIGTERM)}
    assert verdict(late, {0: done(0, 75)}, asked=signal.SIGTERM).code == 75
    assert verdict({1: FAILED}, {0: done(0, 75), 1: refused(1)}).code == 1


def test_errors_of_communication_are_losses() -> None:
    gloo = RuntimeError("[gloo/transport/tcp/pair.cc:545] Connection closed by peer")
    assert ending_of(gloo, 0).kind == "lost"
    assert ending_of(dist.DistBackendError("NCCL"), 0).kind == "lost"
    assert ending_of(RuntimeError("shapes do not fit"), 0).kind == "error"


def test_endings_come_back_from_a_folder(tmp_path: Path) -> None:
    endings = dict(enumerate((refused(0), lost(1))))
    for ending in endings.values():
        write_ending(tmp_path, ending)
    (tmp_path / "2.tmp").write_bytes(b"half a file")
    assert read_endings(tmp_path) == endings
