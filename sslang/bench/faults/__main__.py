"""Do every fault to a run of its own, and print the table.

    python -m sslang.bench.faults [--only NAME] [--resume FILE.json]

With --resume, faults whose rows are in the file are not done again, and new rows go there. Ends
with 1 where a committed step was lost, a resumed run differs, or a fault could not be judged.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from sslang.bench.faults.bench import Bench, Row, SkippedError
from sslang.bench.faults.faults import FAULTS
from sslang.bench.faults.trial import UnexpectedError
from sslang.track.files import write_atomic

HEAD = ("fault", "what happened", "exit code", "committed steps lost", "resumed to the same bits")


def table(rows: list[Row]) -> str:
    """Markdown."""
    same = {True: "yes", False: "no", None: "-"}
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    for row in rows:
        happened = row.happened.replace("|", "\\|").replace("\n", " ")
        cells = (row.fault, happened, row.exit_code, str(row.lost), same[row.identical])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def read(path: Path | None) -> dict[str, Row]:
    """Rows that an earlier call has found."""
    if path is None or not path.exists():
        return {}
    return {name: Row(**row) for name, row in json.loads(path.read_text("utf-8")).items()}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m sslang.bench.faults")
    parser.add_argument("--only", action="append", choices=list(FAULTS), metavar="NAME")
    parser.add_argument("--resume", type=Path, metavar="FILE.json")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    given = parser.parse_args(arguments)
    found = read(given.resume)
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="sslang-faults-") as root:
        bench = Bench(Path(root), random.Random(given.seed))
        for name in given.only or FAULTS:
            if name in found:
                continue
            print(f"{name} ...", file=sys.stderr, flush=True)
            try:
                found[name] = FAULTS[name](bench)
            except SkippedError as error:
                skipped[name] = str(error)
            except UnexpectedError as error:
                failed[name] = str(error)
            if given.resume is not None:
                rows = {key: asdict(row) for key, row in found.items()}
                write_atomic(given.resume, json.dumps(rows, indent=1) + "\n")
    print(table([found[name] for name in FAULTS if name in found]))
    for title, reasons in (("skipped", skipped), ("not judged", failed)):
        for name, reason in reasons.items():
            print(f"\n{title}: {name}: {reason}")
    bad = any(row.lost or row.identical is False for row in found.values())
    return int(bad or bool(failed))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
