"""The files of a run as they were when it began."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from sslang.data.files import FileSource, image_folder
from sslang.data.labelled import Labelled
from sslang.data.listing import Listing, read_listing
from sslang.diagnostics import DiagnosticError


def folder(path: Path, count: int = 12) -> Path:
    for i in range(count):
        place = path / ("a" if i % 2 else "b")
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (i, i, i)).save(place / f"{i:02}.png")
    return path


def opened(path: Path) -> FileSource:
    return image_folder("train", path=str(path), test=0.0)


def test_a_listing_survives_its_file(tmp_path: Path) -> None:
    listing = Listing(("a b.png", "ü\udcff\n.png"), (3, 2**40), (0, -1), ("x", "y"))
    path = tmp_path / "listing.gz"
    path.write_bytes(listing.pack())
    assert read_listing(path) == listing
    path.write_bytes(Listing((), (), (), None).pack())
    assert read_listing(path) == Listing((), (), (), None)
    assert read_listing(tmp_path / "none") is None
    path.write_bytes(b"no listing")
    with pytest.raises(DiagnosticError, match="E715"):
        read_listing(path)


def test_images_keep_their_numbers(tmp_path: Path) -> None:
    before = opened(folder(tmp_path))
    (tmp_path / "a" / "03.png").unlink()
    (tmp_path / "b" / "00.png").write_bytes((tmp_path / "b" / "02.png").read_bytes() + b"more")
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "00-new.png")
    now = opened(tmp_path)
    assert now.digest != before.digest
    again = now.as_listed(before.listing())
    assert again.digest == before.digest
    assert len(again) == len(before) == 12
    assert [again.path(i) for i in range(12)] == [before.path(i) for i in range(12)]
    assert {(Path(s.path).name, s.reason) for s in again.skipped} == {
        ("03.png", "gone"), ("00.png", "changed since the run began"),
    }  # fmt: skip
    assert [again.label(i) for i in range(12)] == [before.label(i) for i in range(12)]
    image, found = again.read_readable(1)  # a/03.png
    assert found == 2 and int(image[0, 0, 0]) == 5
    labelled = Labelled(now).as_listed(Labelled(before).listing() or pytest.fail("no listing"))
    assert (len(labelled), labelled.digest) == (12, before.digest)


def test_too_many_changes_are_refused(tmp_path: Path) -> None:
    before = opened(folder(tmp_path))
    for i in (1, 3, 5, 7):
        (tmp_path / "a" / f"{i:02}.png").unlink()
    with pytest.raises(DiagnosticError, match="E605"):
        opened(tmp_path).as_listed(before.listing())


def test_other_classes_are_other_data(tmp_path: Path) -> None:
    before = opened(folder(tmp_path))
    (tmp_path / "c").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "c" / "99.png")
    assert opened(tmp_path).as_listed(before.listing()).digest != before.digest
