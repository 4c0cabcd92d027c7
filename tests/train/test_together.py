"""Errors, results and unreadable images among real processes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sslang.data.decode import Skipped
from sslang.data.files import FileSource
from sslang.diagnostics import Diagnostic, DiagnosticError, Source, Span
from sslang.processes.group import ALONE, Processes
from sslang.train.loop import Interval, measured
from sslang.train.skips import Skips
from sslang.train.together import at_all, at_first, naming_faults, texts
from tests.train.several import called

CPU = torch.device("cpu")


def codes(work: Callable[[], object]) -> list[str]:
    """The diagnostics with which it fails."""
    try:
        work()
    except DiagnosticError as error:
        return [d.code for d in error.diagnostics]
    return []


def broken() -> int:
    raise DiagnosticError(Diagnostic("E605", "gone", Span(Source("x", "loss = 1"), 0, 4)))


def of_helpers(processes: Processes) -> dict[str, Any]:
    rank = processes.rank
    own = [["a", "b é"], [], ["\udcff"]][rank]

    def one_fails() -> int:
        return broken() if rank == 1 else rank

    return {
        "all": at_all(processes, lambda: rank),
        "none": at_all(processes, lambda: None),
        "one fails": codes(lambda: at_all(processes, one_fails)),
        "first": at_first(processes, lambda: [rank, Path("x").name]),
        "first fails": codes(lambda: at_first(processes, broken)),
        "texts": [t.encode("utf-8", "surrogateescape").hex() for t in texts(processes, own, CPU)],
        "no texts": texts(processes, [], CPU),
    }


def of_a_process_that_goes(processes: Processes) -> list[str]:
    """What the others raise in their next collective: not after half an hour of waiting."""

    def waits() -> None:
        with naming_faults(processes):
            processes.sum_([torch.ones(3)])

    return codes(waits)


def unreadable(number: int) -> Skipped:
    return Skipped(f"{number}.png", "gone")


def source_of(images: int) -> FileSource:
    paths = [f"{i}.png" for i in range(images)]
    root = Path("no such folder")
    return FileSource("example", root, paths, [0] * images, None, limit=None, probed=False)


def of_skips(processes: Processes) -> dict[str, Any]:
    """Each process meets two images of 500, of which all meet the second, and later one more."""
    sources, said = (source_of(500), source_of(10)), list[str]()
    skips = Skips(sources, processes, CPU, said.append)
    new = [skips.new]
    sources[0].note_skipped([unreadable(processes.rank), unreadable(7)])
    new.append(skips.new)
    skips.share()
    new.append(skips.new)
    told = sorted(s.path for s in sources[0].skipped)
    sources[1].note_skipped([unreadable(8)] if processes.rank else [])
    skips.share()
    other = [s.path for s in sources[1].skipped]
    sources[0].note_skipped([unreadable(100 + processes.rank)][: processes.rank])
    failed = codes(skips.share)
    return {"new": new, "told": told, "said": len(said), "other": other, "failed": failed}


def test_alone_each_is_told_once() -> None:
    source, said = source_of(400), list[str]()
    skips = Skips([source], ALONE, CPU, said.append)
    skips.share()
    assert not said
    source.note_skipped([unreadable(1)])
    source.note_skipped([unreadable(1), unreadable(2)])
    assert skips.new
    skips.share()
    assert said == [
        "skipped, unreadable: 1.png (gone); 1 so far",
        "skipped, unreadable: 2.png (gone); 2 so far",
    ]
    assert not skips.new


class Even:
    """In place of a learner: two features of an image, its first value and the square of it."""

    device = CPU

    def whole(self) -> AbstractContextManager[None]:
        return nullcontext()

    def features(self, pixels: torch.Tensor, sizes: np.ndarray[Any, Any]) -> torch.Tensor:
        value = pixels[:, 0, 0, 0].float()
        return torch.stack([value, value.square()], 1)


def of_features(processes: Processes) -> dict[str, Any]:
    from sslang.data.source import ArraySource
    from sslang.train.evaluation import Evaluator

    images = np.zeros((300, 2, 2, 3), dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(300) % 251
    labels = [i % 3 - 1 for i in range(300)]  # a third has none
    source = ArraySource("example", images, labels, ("a", "b"))
    few = source.subset(np.arange(5))
    found = Evaluator(source, few, 0, processes).features(Even())  # type: ignore[arg-type]
    return {
        "train": found.train[:, 0].tolist(),
        "labels": found.train_labels.tolist(),
        "test": found.test.tolist(),
        "test labels": found.test_labels.tolist(),
    }


def of_health(processes: Processes) -> dict[str, float]:
    """The metrics of a line where each process has a part of the embedding, or all of it."""
    whole = torch.randn(30, 4, generator=torch.Generator().manual_seed(3)) + 1
    counts = (17, 4, 9) if processes.count == 3 else None
    starts = [0, 17, 21]
    own = whole[starts[processes.rank] :][: counts[processes.rank]] if counts else whole
    interval = Interval()
    interval.add(torch.tensor(2.0), 30)
    found = measured(
        SimpleNamespace(step=10, steps_per_epoch=20),  # type: ignore[arg-type]
        SimpleNamespace(wait_seconds=0.0),  # type: ignore[arg-type]
        SimpleNamespace(scheduled={"lr": 0.5}, embedding=own, counts=counts),  # type: ignore[arg-type]
        interval,
        processes,
    )
    return {name: value for name, value in found.items() if not name.startswith("time/")}


def of_all(processes: Processes, folder: Path) -> dict[str, Any]:
    found = {
        "helpers": of_helpers(processes),
        "skips": of_skips(processes),
        "features": of_features(processes),
        "health": of_health(processes),
    }
    if processes.rank == 1:
        (folder / "1.json").write_text(json.dumps(found))
        os._exit(5)
    found["gone"] = of_a_process_that_goes(processes)
    (folder / f"{processes.rank}.json").write_text(json.dumps(found))
    os._exit(0)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What three processes have found."""
    folder = tmp_path_factory.mktemp("several")
    return called(3, of_all, folder, codes=(0, 5, 0))


def test_all_know_what_one_found(found: list[Any]) -> None:
    for rank, each in enumerate(found):
        helpers = each["helpers"]
        assert helpers["all"] == rank
        assert helpers["none"] is None
        assert helpers["one fails"] == (["E605"] if rank == 1 else ["E721"])
        assert helpers["first"] == [0, "x"]
        assert helpers["first fails"] == (["E605"] if rank == 0 else ["E721"])
        assert helpers["texts"] == [b"a".hex(), "b é".encode().hex(), b"\xff".hex()]
        assert helpers["no texts"] == []


def test_a_process_that_has_gone_is_a_diagnostic_of_the_others(found: list[Any]) -> None:
    assert [each.get("gone") for each in found] == [["E721"], None, ["E721"]]


def test_unreadable_images_are_counted_over_all_processes(found: list[Any]) -> None:
    """None has more than five of 500, as many as may be; together they are too many."""
    for each in (each["skips"] for each in found):
        assert each["new"] == [False, True, False]
        assert each["told"] == ["0.png", "1.png", "2.png", "7.png"]
        assert each["other"] == ["8.png"]
        assert each["failed"] == ["E605"]
        assert each["said"] == 7


def test_features_are_those_of_one_process(found: list[Any]) -> None:
    """Of labelled images, in their order; the third process has no image of 300 at all."""
    expected = of_features(ALONE)
    assert expected["labels"] == [i % 3 - 1 for i in range(300) if i % 3]
    assert [each["features"] for each in found] == [expected] * 3


def test_health_is_that_of_the_whole_embedding(found: list[Any]) -> None:
    expected = of_health(ALONE)
    assert expected.keys() > {"health/embedding_std", "health/effective_rank"}
    assert found[0]["health"] == expected
    assert "health/embedding_std" not in found[1]["health"], "one computes it"
