from __future__ import annotations

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sslang.data.sources import open_source
from sslang.diagnostics import DiagnosticError


def write_idx(path: Path, array: NDArray[np.uint8]) -> None:
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    data = head + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("below", ["", "FashionMNIST/raw"])
def test_fashion_mnist_from_idx_files(tmp_path: Path, ending: str, below: str) -> None:
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    images = np.arange(3 * 28 * 28, dtype=np.int64).astype(np.uint8).reshape(3, 28, 28)
    write_idx(tmp_path / below / f"t10k-images-idx3-ubyte{ending}", images)
    write_idx(tmp_path / below / f"t10k-labels-idx1-ubyte{ending}", np.array([9, 0, 4], np.uint8))
    source = open_source("fashion_mnist", "test", path=str(tmp_path))
    assert len(source) == 3
    assert source.resolution == (28, 28)
    assert source.classes is not None
    assert source.classes[source.label(0)] == "Ankle boot"
    assert np.array_equal(source.read(1), images[1][..., None].repeat(3, axis=2))
    array = source.array()
    assert array is not None
    assert array.shape == (3, 28, 28, 3)


def test_damaged_idx_files(tmp_path: Path) -> None:
    write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.zeros(3, np.uint8))
    images = tmp_path / "t10k-images-idx3-ubyte.gz"
    write_idx(images, np.zeros((3, 28, 28), np.uint8))
    whole = images.read_bytes()
    for damaged in (b"", b"\x1f\x8b", whole[:30], b"no idx file", gzip.compress(b"\0\0\x08\x03")):
        images.write_bytes(damaged)
        with pytest.raises(DiagnosticError, match="cannot be read") as error:
            open_source("fashion_mnist", "test", path=str(tmp_path))
        assert error.value.diagnostics[0].code == "E601"


@pytest.mark.parametrize("kind", ["cifar10", "cifar100", "stl10", "fashion_mnist"])
def test_absent_files_say_how_to_download(tmp_path: Path, kind: str) -> None:
    with pytest.raises(DiagnosticError) as error:
        open_source(kind, "train", path=str(tmp_path))
    diagnostic = error.value.diagnostics[0]
    assert diagnostic.code == "E601"
    assert "download = true" in diagnostic.hint


@pytest.mark.parametrize(("kind", "classes"), [("cifar10", 10), ("cifar100", 100)])
def test_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, classes: int) -> None:
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)
    base = tmp_path / ("cifar-10-batches-py" if classes == 10 else "cifar-100-python")
    base.mkdir()
    key = "labels" if classes == 10 else "fine_labels"
    row = np.arange(3072, dtype=np.int64).astype(np.uint8)
    batch = {"data": np.stack([row, row[::-1]]), key: [3, classes - 1]}
    names = [f"class {i}" for i in range(classes)]
    meta = {"label_names" if classes == 10 else "fine_label_names": names}
    (base / ("batches.meta" if classes == 10 else "meta")).write_bytes(pickle.dumps(meta))
    (base / ("test_batch" if classes == 10 else "test")).write_bytes(pickle.dumps(batch))
    source = open_source(kind, "test", path=str(tmp_path))
    assert len(source) == 2
    assert source.classes == tuple(names)
    assert [source.label(i) for i in range(2)] == [3, classes - 1]
    assert np.array_equal(source.read(0).transpose(2, 0, 1).ravel(), row)


def test_stl10_with_its_unlabeled_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.stl10.check_integrity", lambda *_: True)
    base = tmp_path / "stl10_binary"
    base.mkdir()
    random = np.random.default_rng(0)
    parts = {"train": 2, "unlabeled": 3, "test": 1}
    images: dict[str, Any] = {}
    for part, count in parts.items():
        images[part] = random.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)
        (base / f"{part}_X.bin").write_bytes(images[part].tobytes())
    (base / "train_y.bin").write_bytes(bytes((1, 10)))
    (base / "test_y.bin").write_bytes(bytes((2,)))
    (base / "class_names.txt").write_text("\n".join(f"c{i}" for i in range(10)))
    (base / "fold_indices.txt").write_text("0 1\n")
    plain = open_source("stl10", "train", path=str(tmp_path))
    more = open_source("stl10", "train", path=str(tmp_path), unlabeled=True)
    assert [plain.label(i) for i in range(len(plain))] == [0, 9]
    assert [more.label(i) for i in range(len(more))] == [0, 9, -1, -1, -1]
    expected = images["unlabeled"][0].transpose(0, 2, 1).transpose(1, 2, 0)
    assert np.array_equal(more.read(2), expected)
    assert len(open_source("stl10", "test", path=str(tmp_path), unlabeled=True)) == 1


def test_imagenet_folders_and_absence(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError, match="neither") as error:
        open_source("imagenet", "train", path=str(tmp_path))
    assert error.value.diagnostics[0].code == "E601"
    for part, name in (("train", "n01"), ("train", "n02"), ("val", "n02")):
        (tmp_path / part / name).mkdir(parents=True)
        Image.new("RGB", (40, 30)).save(tmp_path / part / name / "a.JPEG")
    test = open_source("imagenet", "test", path=str(tmp_path))
    assert len(test) == 1
    assert test.classes == ("n01", "n02")
    assert test.label(0) == 1


def test_imagenet_archives_that_are_not_whole(tmp_path: Path) -> None:
    (tmp_path / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(b"cut short")
    with pytest.raises(DiagnosticError, match="imagenet cannot be opened") as error:
        open_source("imagenet", "train", path=str(tmp_path))
    assert error.value.diagnostics[0].code == "E601"
