"""Batches of which each process reads its own rows: together they are the whole, once each."""

from __future__ import annotations

from itertools import accumulate, islice
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sslang.data.batches import Batch, Batches, Share, all_images
from sslang.data.files import FileSource, image_folder
from sslang.data.labelled import Labelled
from sslang.data.plan import LastBatch
from sslang.data.source import ArraySource
from sslang.processes.rows import shares


def array_source(count: int = 10) -> ArraySource:
    values = np.arange(count, dtype=np.uint8)[:, None, None, None]
    images = np.broadcast_to(values, (count, 4, 6, 3)).copy()
    return ArraySource("array", images, list(range(count)), None)


def folder(path: Path, count: int = 10) -> Path:
    path.mkdir(exist_ok=True)
    for i in range(count):
        Image.new("RGB", (4 + i, 9 - i % 4), (i, i, i)).save(path / f"{i:02}.png")
    return path


def share_of(rank: int, processes: int, unit: int = 1) -> Share:
    def own(rows: int) -> tuple[int, int]:
        ends = (0, *accumulate(shares(rows, processes, unit)))
        return ends[rank], ends[rank + 1]

    return own


def batches(source: ArraySource | FileSource, last: LastBatch, **options: object) -> Batches:
    settings: dict[str, object] = {"seed": 1, "phase": "p", "device": "cpu", "workers": 0}
    return Batches(source, 4, last_batch=last, **settings | options)  # type: ignore[arg-type]


def content(batch: Batch) -> list[tuple[int, int, tuple[int, ...], bytes]]:
    """Each row without its padding, which is none of the image's."""
    rows = []
    for pixels, size, index, label in zip(
        batch.pixels, batch.sizes, batch.index, batch.label, strict=True
    ):
        height, width = (int(n) for n in size)
        image = pixels[:, :height, :width].numpy().tobytes()
        rows.append((int(index), int(label), (height, width), image))
    return rows


def expect_whole(parts: list[list[Batch]], whole: list[Batch]) -> None:
    for step, expected in enumerate(whole):
        own = [part[step] for part in parts]
        assert [row for batch in own for row in content(batch)] == content(expected)
        assert {batch.rows for batch in own} == {expected.rows} == {len(expected.index)}
        assert {batch.epoch for batch in own} == {expected.epoch}
        starts = [0, *accumulate(len(batch.index) for batch in own)]
        assert [batch.first for batch in own] == starts[:-1]


@pytest.mark.parametrize("last", ["drop", "keep", "wrap"])
@pytest.mark.parametrize("processes", [2, 3, 7])
@pytest.mark.parametrize("kind", ["memory", "files"])
def test_shares_make_the_batch(kind: str, processes: int, last: LastBatch, tmp_path: Path) -> None:
    """Also where a process has no row at all: 7 processes, batches of 4 and of 2."""
    path = str(folder(tmp_path / "images"))
    source = array_source() if kind == "memory" else image_folder("train", path=path)
    whole = list(islice(batches(source, last), 7))
    parts = [
        list(islice(batches(source, last, share=share_of(rank, processes)), 7))
        for rank in range(processes)
    ]
    expect_whole(parts, whole)
    again = batches(source, last, share=share_of(1, processes), first_step=5)
    assert content(next(again)) == content(parts[1][5])


def test_shares_in_runs_of_a_group(tmp_path: Path) -> None:
    whole = list(islice(batches(array_source(), "keep"), 4))
    parts = [
        list(islice(batches(array_source(), "keep", share=share_of(rank, 2, unit=3)), 4))
        for rank in range(2)
    ]
    assert [len(batch.index) for batch in parts[0]] == [3, 3, 2, 3]
    expect_whole(parts, whole)


def test_workers_read_a_share_and_no_more(tmp_path: Path) -> None:
    source = image_folder("train", path=str(folder(tmp_path / "images")))
    share = share_of(1, 2)
    here = list(islice(batches(source, "wrap", share=share), 4))
    with batches(source, "wrap", share=share, workers=2) as made:
        assert [content(b) for b in islice(made, 4)] == [content(b) for b in here]


class Counting(FileSource):
    """Notes which images are read."""

    reads: list[int]

    def read_readable(self, i: int) -> tuple[NDArray[np.uint8], int]:
        self.reads.append(i)
        return super().read_readable(i)


def test_only_the_own_rows_are_decoded(tmp_path: Path) -> None:
    root = folder(tmp_path / "images")
    names = sorted(p.name for p in root.iterdir())
    source = Counting("counting", root, names, [-1] * 10, None, limit=None)
    source.reads = []
    batch = next(batches(source, "drop", share=share_of(1, 2)))
    assert source.reads == batch.index.tolist()
    assert len(source.reads) == 2


def test_replacements_do_not_depend_on_who_reads(tmp_path: Path) -> None:
    root = folder(tmp_path / "images")
    for name in ("03.png", "04.png"):
        whole = (root / name).read_bytes()
        (root / name).write_bytes(whole[: whole.index(b"IDAT") + 8])

    def opened() -> FileSource:
        return image_folder("train", path=str(root))

    expected = list(islice(batches(opened(), "wrap"), 5))
    parts = [
        list(islice(batches(opened(), "wrap", share=share_of(rank, 3)), 5)) for rank in range(3)
    ]
    expect_whole(parts, expected)
    assert 3 not in torch.cat([b.index for b in expected])


@pytest.mark.parametrize("processes", [1, 2, 3, 4])
def test_evaluation_reads_every_image_once(processes: int) -> None:
    """Shares in runs of the batch, so that its batches are those of one process."""
    whole = list(all_images(array_source(), 4, "cpu"))
    shared = [
        batch
        for rank in range(processes)
        for batch in all_images(array_source(), 4, "cpu", 0, share_of(rank, processes, unit=4))
    ]
    assert [content(b) for b in shared] == [content(b) for b in whole]
    assert [b.first for b in shared] == [0, 4, 8]
    assert {b.rows for b in shared} == {10}


def test_the_replacement_of_a_labelled_image_has_a_label(tmp_path: Path) -> None:
    """Its own one; a photograph without a label does not stand in."""
    root = folder(tmp_path / "images", 6)
    names = sorted(p.name for p in root.iterdir())
    (root / "02.png").unlink()
    source = FileSource("part", root, names[:2] + names[3:], [0, 1, -1, 1, 0], None, limit=None)
    (root / "01.png").unlink()
    labelled = Labelled(source)
    image, index = labelled.read_readable(1)
    assert index == 2
    assert (int(image[0, 0, 0]), labelled.label(index)) == (4, 1)
