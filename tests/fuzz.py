"""A long search for texts that the checker cannot stand.

    python -m tests.fuzz --minutes 15 --seed 0

A child process makes and tries one case after another; where it dies or hangs, its parent notes
the case and goes on with the next. Printed: how many cases of each sort, what came of them, and
each fault. The files of a faulty case are kept under `--keep`, for a seed makes the same case
only as long as the texts stay that it is made from.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import json
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from sslang.checks import check_file
from sslang.cli.check import mend
from sslang.diagnostics import Diagnostic, DiagnosticError, Source, Span, render, to_json
from sslang.diagnostics.render import concise, github
from sslang.model.resolve import read
from tests.grafts import grafted
from tests.hostile import HOSTILE
from tests.texts import SPECS, junk, mutated, soup

SECONDS = 2.0  # of processor time for one check, on an idle machine
MEGABYTES = 500  # of the whole process at its largest
_GIVE_UP = 10  # seconds of processor time after which a case is stopped
_DIE = 60  # seconds after which the child is stopped, whatever it does


@dataclass(frozen=True)
class Case:
    """A folder of files, of which `spec.ssl` is checked."""

    sort: str
    files: dict[str, bytes]


class Overtime(BaseException):
    """Raised by the clock inside what takes too long; no handler of errors catches it."""


# --- cases -------------------------------------------------------------------------------


def case(seed: int) -> Case:
    """The case of a seed."""
    rng = random.Random(seed)
    sort = rng.choices([*_SORTS], [weight for weight, _ in _SORTS.values()])[0]
    text = _SORTS[sort][1](rng)
    files = {"spec.ssl": text if isinstance(text, bytes) else _encoded(rng, text)}
    if b"use" in files["spec.ssl"]:
        files |= {
            "other.ssl": _bytes(grafted(rng)),
            "ring.ssl": b'use x from "spec.ssl"\nuse y from "ring.ssl"\nx = y\n',
            "bytes.ssl": rng.randbytes(300),
        }
    return Case(sort, files)


def _hostile(rng: random.Random) -> str:
    return mutated(rng, rng.choice([t for t in HOSTILE.values() if len(t) < 20_000]))


def _again(rng: random.Random) -> str:
    """Tokens of a grafted spec changed."""
    return mutated(rng, grafted(rng))


def _large(rng: random.Random) -> str:
    """Up to 1 MB: one text many times, or its longest parts longer."""
    text = grafted(rng) if rng.random() < 0.5 else mutated(rng)
    size = rng.choice([20_000, 100_000, 1_000_000, 1_100_000])
    match rng.randrange(4):
        case 0:
            return (text + "\n") * (size // (len(text) + 1) + 1)
        case 1:
            at = rng.randrange(len(text))
            return text[:at] + text[at : at + 1] * size + text[at:]
        case 2:
            at = rng.randrange(len(text))
            part = text[at : at + rng.randrange(1, 30)]
            return text[:at] + part * (size // (len(part) or 1)) + text[at:]
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    return "\n".join([*lines[:at], *[lines[at]] * min(3_000, size // (len(lines[at]) + 1)),
                      *lines[at:]])  # fmt: skip


def _random_bytes(rng: random.Random) -> bytes:
    data = bytearray(_bytes(rng.choice([mutated, grafted])(rng)))
    for _ in range(rng.choice([1, 3, 30])):
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.randrange(3)] = rng.choice(
            [b"\x00", b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\r", b"\x0c", b"\x1b[31m",
             rng.randbytes(2)]
        )  # fmt: skip
    return bytes(data)


def _encoded(rng: random.Random, text: str) -> bytes:
    """The bytes of a text; a tenth of the time as another editor would save them."""
    if rng.random() > 0.1:
        return _bytes(text)
    match rng.randrange(6):
        case 0:
            return b"\xef\xbb\xbf" + _bytes(text)
        case 1:
            return _bytes(text.replace("\n", "\r\n"))
        case 2:
            return _bytes(text.replace("\n", "\r"))
        case 3:
            return _bytes(text.replace(" ", rng.choice(["\t", "\u00a0", "\u3000", "\u200b"])))
        case 4:
            letter = rng.choice("aelopst")
            return _bytes(text.replace(letter, rng.choice(["é", "ß", "ı", "名", "𝒂", "a\u0301"])))
    return text.encode("utf-16", "replace")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


_Maker = Callable[[random.Random], str | bytes]
_SORTS: dict[str, tuple[float, _Maker]] = {
    "tree": (0.50, grafted),
    "tree and tokens": (0.12, _again),
    "tokens": (0.20, mutated),
    "hostile": (0.06, _hostile),
    "soup": (0.03, soup),
    "junk": (0.02, junk),
    "bytes": (0.04, _random_bytes),
    "large": (0.03, _large),
}

# --- what must hold ----------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What a check came to: errors, other findings, and the processor time that it took."""

    errors: int
    others: int
    seconds: float
    fixes: int


def attempt(files: dict[str, bytes], folder: Path) -> Outcome:
    """Write the files, check `spec.ssl`, and mend it. Raises AssertionError where it must not."""
    _written(files, folder / "folder")
    _written(files, folder)
    path = folder / "spec.ssl"
    start = time.process_time()
    found = _found(path)
    seconds = time.process_time() - start
    assert seconds < SECONDS, f"{seconds:.1f} s"
    assert all(isinstance(d, Diagnostic) for d in found)
    for diagnostic in found[:300]:
        shown_in_every_form(diagnostic)
    errors = sum(d.is_error for d in found)
    made = _mended(path, errors) if any(d.fix is not None for d in found) else 0
    return Outcome(errors, len(found) - errors, seconds, made)


def _found(path: Path) -> Sequence[Diagnostic]:
    try:
        return check_file(read(path))
    except DiagnosticError as error:
        return error.diagnostics


def _mended(path: Path, errors: int) -> int:
    """`--fix` ends; a text without errors has none after it."""
    made = mend(path)
    after = sum(d.is_error for d in _found(path))
    assert errors or not after, f"--fix put {after} errors into a text without any"
    return made


def shown_in_every_form(diagnostic: Diagnostic) -> None:
    """Ranges lie in their texts, and every form of output can be written."""
    edits = diagnostic.fix.edits if diagnostic.fix is not None else ()
    spans = [diagnostic.span, *(x.span for x in diagnostic.labels), *(e.span for e in edits)]
    for span in spans:
        assert span is None or _inside(span), f"{diagnostic.code}: a range outside its text"
    forms = (
        render(diagnostic), render(diagnostic, colour=True), concise(diagnostic),
        json.dumps(to_json(diagnostic)),
    )  # fmt: skip
    assert all(forms)
    assert github(diagnostic).count("\n") == 0, f"{diagnostic.code}: an annotation of two lines"
    assert "\n" not in concise(diagnostic), f"{diagnostic.code}: more than a line"
    assert len(forms[0]) < 20_000, f"{diagnostic.code}: {len(forms[0])} characters"


def _inside(span: Span) -> bool:
    return 0 <= span.start <= span.end <= len(span.source.text)


@contextmanager
def clock(seconds: float) -> Iterator[None]:
    """Overtime inside what takes more processor time than this."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise Overtime

    before = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def fault(files: dict[str, bytes], folder: Path) -> tuple[str, Outcome | None]:
    """What is wrong with what the checker makes of these files; "" where nothing is."""
    try:
        with clock(_GIVE_UP):
            outcome = attempt(files, folder)
    except Overtime:
        return f"more than {_GIVE_UP} s in\n{_last_lines(12)}", None
    except BaseException as error:  # whatever it is, it is what is looked for
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {error}\n{_last_lines(6)}", None
    return "", outcome


def _last_lines(count: int) -> str:
    return "\n".join(traceback.format_exc().rstrip().split("\n")[-2 * count :])


def megabytes() -> float:
    """The largest size that this process has had.

    From /proc, where there is one: `ru_maxrss` of a child begins with the size of its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8"))
        if found is not None:
            return int(found.group(1)) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- the runner --------------------------------------------------------------------------


def _child(seed: int, until: float, cases: int, keep: Path) -> None:
    """Try cases until the time is over; a line of JSON before and after each."""
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
    check_file(Source("warm", SPECS[0].read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory() as name:
        for at in range(seed, seed + cases):
            if time.time() > until:
                return
            faulthandler.dump_traceback_later(_DIE, exit=True)
            made = case(at)
            kept = _written(made.files, keep / str(at))
            print(json.dumps({"seed": at, "sort": made.sort}), flush=True)
            wrong, outcome = fault(made.files, Path(name))
            faulthandler.cancel_dump_traceback_later()
            large = megabytes()
            if not wrong and large > MEGABYTES:
                wrong = f"{large:.0f} MB"
            if not wrong:
                shutil.rmtree(kept)
            told = None if outcome is None else vars(outcome)
            print(json.dumps({"fault": wrong, "outcome": told}), flush=True)
            if large > MEGABYTES:
                return  # the largest size never shrinks: the next case gets a fresh process


def _written(files: dict[str, bytes], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


@dataclass
class Report:
    """What a search has come to."""

    sorts: collections.Counter[str]
    faults: list[tuple[int, str]]
    clean: int = 0
    warned: int = 0
    fixes: int = 0
    longest: tuple[float, int] = (0.0, 0)
    cases: int = 0

    def add(self, seed: int, sort: str, answer: Mapping[str, object]) -> None:
        self.cases += 1
        self.sorts[sort] += 1
        if answer["fault"]:
            self.faults.append((seed, str(answer["fault"])))
        if isinstance(outcome := answer["outcome"], dict):
            self.clean += not outcome["errors"]
            self.warned += not outcome["errors"] and outcome["others"] > 0
            self.fixes += outcome["fixes"]
            self.longest = max(self.longest, (outcome["seconds"], seed))

    def __str__(self) -> str:
        lines = [
            f"{self.cases} cases; {self.clean} without errors, {self.warned} of them with "
            f"warnings or notes; {self.fixes} fixes made",
            "by sort: " + ", ".join(f"{sort} {n}" for sort, n in self.sorts.most_common()),
            f"longest check: {self.longest[0]:.2f} s of processor time, seed {self.longest[1]}",
            f"faults: {len(self.faults)}",
        ]
        lines += [f"  seed {seed}: {text}" for seed, text in self.faults]
        return "\n".join(lines)


def search(seed: int, minutes: float, cases: int, keep: Path) -> Report:
    """Cases from `seed` on, in children that are started anew where they end early."""
    report = Report(collections.Counter(), [])
    until, at = time.time() + 60 * minutes, seed
    while time.time() < until and at < seed + cases:
        given = ["--seed", str(at), "--cases", str(seed + cases - at), "--keep", str(keep)]
        command = [sys.executable, "-m", "tests.fuzz", "--until", str(until), *given]
        before = at
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            begun: dict[str, object] = {}
            for line in child.stdout:
                answer = json.loads(line)
                if "seed" in answer:
                    begun = answer
                    continue
                report.add(at, str(begun["sort"]), answer)
                if answer["fault"]:
                    print(f"seed {at}: {answer['fault']}", flush=True)
                at += 1
        if child.returncode:
            died = {"fault": f"the process ended with {child.returncode}", "outcome": None}
            report.add(at, str(begun.get("sort", "?")), died)
            at += 1
        elif at == before:
            break
    return report


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=10**9)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "sslang-fuzz")
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)  # of a child: when to end
    given = parser.parse_args(arguments)
    if given.until is not None:
        _child(given.seed, given.until, given.cases, given.keep)
        return 0
    report = search(given.seed, given.minutes, given.cases, given.keep)
    print(report)
    return 1 if report.faults else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
