from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslang.data.sources import open_source
from sslang.diagnostics import DiagnosticError


def paint(path: Path, value: int, size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def code_of(error: pytest.ExceptionInfo[DiagnosticError]) -> str:
    return error.value.diagnostics[0].code


def test_flat_folder_is_all_train_without_labels(tmp_path: Path) -> None:
    for i in range(5):
        paint(tmp_path / f"{i}.png", i)
    (tmp_path / "notes.txt").write_text("passed over")
    (tmp_path / ".hidden.png").write_text("passed over")
    train = open_source("image_folder", "train", path=str(tmp_path))
    assert len(train) == 5
    assert train.classes is None
    assert train.resolution == (8, 8)
    assert [train.label(i) for i in range(5)] == [-1] * 5
    assert [int(train.read(i)[0, 0, 0]) for i in range(5)] == list(range(5))
    assert train.array() is None
    assert not train.skipped
    assert len(open_source("image_folder", "test", path=str(tmp_path))) == 0


def test_class_folders_are_split_by_name(tmp_path: Path) -> None:
    for i in range(120):
        paint(tmp_path / ("cat" if i % 2 else "ape") / "deep" / f"{i}.png", i)
    (tmp_path / "empty class").mkdir()
    train = open_source("image_folder", "train", path=str(tmp_path), test=0.25)
    test = open_source("image_folder", "test", path=str(tmp_path), test=0.25)
    assert train.classes == test.classes == ("ape", "cat")
    assert len(train) + len(test) == 120
    assert 15 <= len(test) <= 45
    seen = [int(s.read(i)[0, 0, 0]) for s in (train, test) for i in range(len(s))]
    assert sorted(seen) == list(range(120))
    for i in range(len(test)):
        assert test.label(i) == int(test.read(i)[0, 0, 0]) % 2

    before = {test.path(i).name for i in range(len(test))}
    for i in range(120, 140):
        paint(tmp_path / "cat" / "deep" / f"{i}.png", i)
    grown = open_source("image_folder", "test", path=str(tmp_path), test=0.25)
    assert before <= {grown.path(i).name for i in range(len(grown))}, "the split is not frozen"


@pytest.mark.parametrize("test_name", ["test", "val", "validation"])
def test_split_folders(tmp_path: Path, test_name: str) -> None:
    for i in range(6):
        paint(tmp_path / "train" / ("b" if i % 2 else "a") / f"{i}.png", i)
    paint(tmp_path / test_name / "c" / "9.png", 9)
    paint(tmp_path / test_name / "a" / "8.png", 8)
    train = open_source("image_folder", "train", path=str(tmp_path))
    test = open_source("image_folder", "test", path=str(tmp_path))
    assert train.classes == test.classes == ("a", "b", "c")
    assert (len(train), len(test)) == (6, 2)
    assert [test.label(i) for i in range(2)] == [0, 2]


def test_classes_option(tmp_path: Path) -> None:
    paint(tmp_path / "a" / "1.png", 1)
    paint(tmp_path / "b" / "1.png", 1)
    none = open_source("image_folder", "train", path=str(tmp_path), classes="none")
    assert none.classes is None
    assert len(none) == 2
    paint(tmp_path / "beside.png", 1)
    mixed = open_source("image_folder", "train", path=str(tmp_path))
    assert mixed.classes is None
    assert len(mixed) == 3
    with pytest.raises(DiagnosticError, match=r"beside\.png") as error:
        open_source("image_folder", "train", path=str(tmp_path), classes="folders")
    assert code_of(error) == "E604"


def test_links_do_not_run_in_circles(tmp_path: Path) -> None:
    paint(tmp_path / "a" / "1.png", 1)
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "dangling.png").symlink_to(tmp_path / "nothing.png")
    source = open_source("image_folder", "train", path=str(tmp_path))
    assert len(source) == 1
    assert not source.skipped


def test_bad_headers_leave_the_source(tmp_path: Path) -> None:
    for i in range(20):
        paint(tmp_path / f"{i:02}.png", i)
    for name in ("05.png", "11.png"):
        (tmp_path / name).write_text("no image")
    source = open_source("image_folder", "train", path=str(tmp_path))
    assert len(source) == 18
    assert [Path(s.path).name for s in source.skipped] == ["05.png", "11.png"]
    for i in (1, 2, 3):
        (tmp_path / f"{i:02}.png").write_text("no image")
    with pytest.raises(DiagnosticError, match=r"5 of 20 .*01\.png") as error:
        open_source("image_folder", "train", path=str(tmp_path))
    assert code_of(error) == "E605"


def test_damage_met_in_mid_run_is_replaced_by_the_next_image(tmp_path: Path) -> None:
    for i in range(6):
        paint(tmp_path / f"{i}.png", 10 + i, size=(64, 64))
    for i in (2, 3, 5):
        whole = (tmp_path / f"{i}.png").read_bytes()
        (tmp_path / f"{i}.png").write_bytes(whole[: whole.index(b"IDAT") + 8])
    source = open_source("image_folder", "train", path=str(tmp_path))
    assert len(source) == 6, "the headers are good"
    assert [source.read_readable(i)[1] for i in range(6)] == [0, 1, 4, 4, 4, 0]
    assert int(source.read(2)[0, 0, 0]) == 14
    assert [Path(s.path).name for s in source.skipped] == ["2.png", "3.png", "5.png"]
    whole = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(whole[: whole.index(b"IDAT") + 8])
    with pytest.raises(DiagnosticError) as error:
        source.read(1)
    assert code_of(error) == "E605"


def test_resolution_and_limit(tmp_path: Path) -> None:
    paint(tmp_path / "1.png", 1, size=(60, 40))
    source = open_source("image_folder", "train", path=str(tmp_path))
    assert source.resolution == (40, 60)
    limited = open_source("image_folder", "train", path=str(tmp_path), limit=20)
    assert limited.resolution is None
    assert limited.read(0).shape == (20, 30, 3)
    assert limited.digest != source.digest
    paint(tmp_path / "2.png", 1, size=(61, 40))
    both = open_source("image_folder", "train", path=str(tmp_path))
    assert both.resolution is None
    assert both.digest != source.digest
    again = open_source("image_folder", "train", path=str(tmp_path))
    assert again.digest == both.digest


def test_diagnostics(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    cases = [
        ({"path": str(tmp_path / "absent")}, "E601", "does not exist"),
        ({"path": str(tmp_path / "file")}, "E601", "is not a folder"),
        ({"path": str(tmp_path)}, "E601", "no images"),
        ({"path": str(tmp_path), "test": 1.5}, "E604", "test = 1.5"),
        ({"path": str(tmp_path), "classes": "any"}, "E604", "any"),
        ({"path": str(tmp_path), "limit": 0}, "E604", "limit"),
        ({"path": str(tmp_path), "clases": "none"}, "E604", "clases"),
        ({}, "E604", "path"),
    ]
    for options, code, text in cases:
        with pytest.raises(DiagnosticError, match=text) as error:
            open_source("image_folder", "train", **options)
        assert code_of(error) == code
    with pytest.raises(DiagnosticError) as error:
        open_source("cifar_10", "train")
    assert "cifar10" in error.value.diagnostics[0].hint


def test_a_source_travels_to_workers(tmp_path: Path) -> None:
    import pickle

    paint(tmp_path / "1.png", 7)
    source = pickle.loads(pickle.dumps(open_source("image_folder", "train", path=str(tmp_path))))
    assert np.array_equal(source.read(0), np.full((8, 8, 3), 7, dtype=np.uint8))
