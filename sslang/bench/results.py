"""The table of results on the embedded images: every method, before and after.

    python -m sslang.bench.results

Runs that are done are not run again. Each method's figure stands beside that of its own network
as initialised, on the same test images, with the standard error of the difference. The table is
written into README.md between its two marks.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sslang.bench.lines import length
from sslang.data.sources import open_source
from sslang.evaluate.bootstrap import paired_difference
from sslang.evaluate.knn import knn_top1
from sslang.model.resolve import read
from sslang.track.run_folder import RunFolder, list_runs

METRIC = "eval/knn_top1"
BEGIN, END = "<!-- results -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Line:
    """One method: means over seeds, and the gain with its standard error."""

    spec: Path
    method: str
    lines: str
    steps: int
    minutes: float
    before: float
    after: float
    gain: float
    error: float
    linear: float
    rank: float


def main(arguments: list[str]) -> int:
    """Run what is missing, print the table as Markdown, and write it into README."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m sslang.bench.results")
    parser.add_argument("--out", type=Path, default=Path("runs/results"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    parser.add_argument("specs", nargs="*", type=Path)
    given = parser.parse_args(arguments)
    specs = given.specs or sorted(Path("specs").glob("*.ssl"))
    lines = [_method(spec, given.out, given.seeds) for spec in specs]
    text = table(lines, given.seeds)
    pixels = "; ".join(f"{name} {figure:.3f}" for name, figure in raw_pixels().items())
    text += f"\nkNN on the raw pixels: {pixels}."
    print(text)
    if not given.specs and given.readme.exists():
        written = between_marks(given.readme.read_text(encoding="utf-8"), text)
        given.readme.write_text(written, encoding="utf-8")
    return 0


def between_marks(page: str, text: str) -> str:
    """The page with `text` between the marks; AssertionError where it has none."""
    first, found, rest = page.partition(BEGIN)
    _, closed, last = rest.partition(END)
    assert found and closed, f"the page has no {BEGIN} and {END}"
    return f"{first}{BEGIN}\n{text}\n{END}{last}"


def _method(spec: Path, out: Path, seeds: int) -> Line:
    import sslang

    wanted = sslang.load(spec).spec.hash
    runs = [_finished(spec, out, seed, wanted) for seed in range(seeds)]
    return summarise(spec, runs)


def _finished(spec: Path, out: Path, seed: int, wanted: str) -> RunFolder:
    found = _find(spec, out, seed, wanted)
    if found is None:
        command = [sys.executable, "-m", "sslang.cli", "run", str(spec), "--seed", str(seed),
                   "--out", str(out), "--tracking", "off", "-q"]  # fmt: skip
        print(f"running {spec.stem}, seed {seed}", file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = _find(spec, out, seed, wanted)
    assert found is not None, "the run left no record"
    return found


def _find(spec: Path, out: Path, seed: int, wanted: str) -> RunFolder | None:
    for folder in list_runs(out):
        record = folder.record()
        same = record.spec_hash == wanted and record.seed == seed
        if same and folder.path.parent.name == spec.stem and folder.status() == "FINISHED":
            return folder
    return None


def summarise(spec: Path, runs: list[RunFolder]) -> Line:
    """Means over the runs of one method, which differ in their seeds."""
    after, before = (torch.stack([_hits(r, key) for r in runs]) for key in ("hits", "hits_at_init"))
    difference = paired_difference(after, before)
    last = [{k: v for row in run.metrics() for k, v in row.metrics.items()} for run in runs]
    return Line(
        spec=spec,
        lines=str(length(read(spec))),
        method=runs[0].record().method,
        steps=max(row.step for row in runs[0].metrics()),
        minutes=float(np.mean([_minutes(run) for run in runs])),
        before=float(before.double().mean()),
        after=float(after.double().mean()),
        gain=difference.mean,
        error=difference.standard_error,
        linear=float(np.mean([m["eval/linear_top1"] for m in last])),
        rank=float(np.mean([m["eval/effective_rank"] for m in last])),
    )


def _hits(run: RunFolder, key: str) -> Tensor:
    record = json.loads((run.artifacts / "evaluation.json").read_text())[METRIC]
    return torch.tensor([c == "1" for c in record[key]])


def _minutes(run: RunFolder) -> float:
    """From the first line of the log to the last line of training."""
    rows = run.metrics()
    trained = [r.time for r in rows if any(k.endswith("train/loss") for k in r.metrics)]
    return (trained[-1] - rows[0].time) / 60


def table(lines: list[Line], seeds: int) -> str:
    """The lines as a Markdown table."""
    rows = [
        "| method | lines | steps | minutes | kNN as initialised | kNN after | gain | linear after "
        "| effective rank |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| [{x.method}]({x.spec.as_posix()}) | {x.lines} | {x.steps} | {x.minutes:.1f} | "
        f"{x.before:.3f} | {x.after:.3f} | {x.gain:+.3f} ± {x.error:.3f} | {x.linear:.3f} | "
        f"{x.rank:.1f} |"
        for x in lines
    ]
    over = "One seed" if seeds == 1 else f"Means over {seeds} seeds"
    note = f"{over}; ± is one standard error, by a bootstrap over test images."
    return "\n".join([*rows, "", note])


def raw_pixels() -> dict[str, float]:
    """kNN (k = 20) on the pixels themselves, as they are and with every channel standardised."""
    train, test = (open_source("embedded", s) for s in ("train", "test"))
    pixels, labels = [], []
    for source in (train, test):
        array = source.array()
        assert array is not None
        known = np.array([source.label(i) for i in range(len(source))])
        kept = known >= 0
        pixels.append(torch.from_numpy(array[kept].astype(np.float32) / 255))
        labels.append(torch.from_numpy(known[kept]))
    mean, std = pixels[0].mean((0, 1, 2)), pixels[0].std((0, 1, 2))
    forms = {"as they are": pixels, "channels standardised": [(p - mean) / std for p in pixels]}
    return {
        name: knn_top1(
            bank.flatten(1), labels[0], queries.flatten(1), labels[1], k=20, temperature=0.07
        )
        for name, (bank, queries) in forms.items()
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
