"""The data sets that torchvision knows, read by torchvision where their files are."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslang.data.files import DEFAULT_LIMIT, FileSource, image_folder
from sslang.data.idx import find_idx, read_idx
from sslang.data.source import ArraySource, Split
from sslang.diagnostics import Diagnostic, DiagnosticError

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip


def cifar10(split: Split, *, path: str = "data", download: bool = False) -> ArraySource:
    """CIFAR-10 (Krizhevsky, 2009): 50,000 and 10,000 images of 32 x 32, 10 classes."""
    from torchvision.datasets import CIFAR10

    data = _opened(
        "cifar10", path, download,
        lambda: CIFAR10(path, train=split == "train", download=download),
    )  # fmt: skip
    return ArraySource("cifar10, " + split, data.data, data.targets, tuple(data.classes))


def cifar100(split: Split, *, path: str = "data", download: bool = False) -> ArraySource:
    """CIFAR-100 (Krizhevsky, 2009): 50,000 and 10,000 images of 32 x 32, 100 classes."""
    from torchvision.datasets import CIFAR100

    data = _opened(
        "cifar100", path, download,
        lambda: CIFAR100(path, train=split == "train", download=download),
    )  # fmt: skip
    return ArraySource("cifar100, " + split, data.data, data.targets, tuple(data.classes))


def stl10(
    split: Split, *, path: str = "data", download: bool = False, unlabeled: bool = False
) -> ArraySource:
    """STL-10 (Coates, Lee and Ng, 2011): images of 96 x 96, 10 classes.

    5,000 train, 8,000 test; with `unlabeled` the train split gains 100,000 images of label -1
    (2.9 GB in memory).
    """
    from torchvision.datasets import STL10

    part = "train+unlabeled" if unlabeled and split == "train" else split
    data = _opened("stl10", path, download, lambda: STL10(path, split=part, download=download))
    images = np.ascontiguousarray(data.data.transpose(0, 2, 3, 1))
    labels = np.asarray(data.labels, dtype=np.int64)
    return ArraySource(f"stl10, {part}", images, labels, tuple(data.classes))


def fashion_mnist(split: Split, *, path: str = "data", download: bool = False) -> ArraySource:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017): 60,000 and 10,000 grey images of 28 x 28.

    `path` is torchvision's root, or any folder that holds the four idx files, gzipped or not
    (as Debian's package dataset-fashion-mnist installs them).
    """
    stem = "train" if split == "train" else "t10k"
    folders = (Path(path), Path(path) / "FashionMNIST" / "raw")
    images = find_idx(folders, f"{stem}-images-idx3-ubyte")
    labels = find_idx(folders, f"{stem}-labels-idx1-ubyte")
    if images is None or labels is None:
        from torchvision.datasets import FashionMNIST

        data = _opened(
            "fashion_mnist", path, download,
            lambda: FashionMNIST(path, train=split == "train", download=download),
        )  # fmt: skip
        return _grey("fashion_mnist, " + split, data.data.numpy(), data.targets.tolist())
    return _grey("fashion_mnist, " + split, read_idx(images), read_idx(labels).tolist())


def imagenet(split: Split, *, path: str, limit: int | None = DEFAULT_LIMIT) -> FileSource:
    """ImageNet-1k (ILSVRC 2012) from the user's own files; the test split is the validation set.

    `path` holds folders train/ and val/ of one folder a class, or the three archives as they are
    distributed (ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar,
    ILSVRC2012_devkit_t12.tar.gz), which torchvision extracts there on the first use.
    """
    root = Path(path).expanduser()
    archived = any(root.glob("ILSVRC2012_*.tar*")) or (root / "meta.bin").is_file()
    if not archived:
        if not ((root / "train").is_dir() and (root / "val").is_dir()):
            raise DiagnosticError(
                Diagnostic(
                    code="E601",
                    message=f"`{root}` holds neither ImageNet's archives nor train/ and val/",
                    hint="ImageNet is not downloaded for you: put the archives of ILSVRC 2012 "
                    "or the extracted folders there",
                )
            )
        return image_folder(split, path=path, classes="folders", limit=limit)
    from torchvision.datasets import ImageNet

    part = "train" if split == "train" else "val"
    data = _opened("imagenet", path, False, lambda: ImageNet(root, split=part))
    base = Path(data.split_folder)
    paths = [Path(file).relative_to(base).as_posix() for file, _ in data.samples]
    labels = [int(label) for _, label in data.samples]
    names = tuple(", ".join(words) for words in data.classes)
    return FileSource(f"imagenet, {split}", base, paths, labels, names, limit=limit, probed=False)


def _grey(name: str, images: NDArray[np.uint8], labels: Sequence[int]) -> ArraySource:
    colour = np.repeat(images[..., None], 3, axis=3)
    return ArraySource(name, colour, labels, FASHION_CLASSES)


def _opened(kind: str, path: str, download: bool, build: Callable[[], Any]) -> Any:
    """What `build` gives; its failures (missing or damaged files, no network) become E601."""
    try:
        return build()
    except (RuntimeError, OSError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if kind == "imagenet":
            hint = "the archives must be whole, and the folder writable for their extraction"
        elif download:
            hint = "check the network and the free space, or copy the files there by hand"
        else:
            hint = f'write data = {kind}(path = "{path}", download = true) to download them'
        raise DiagnosticError(
            Diagnostic(
                code="E601",
                message=f"{kind} cannot be opened under `{path}`: {reason}",
                hint=hint,
            )
        ) from error
