"""An installed kornia that is not the one of our declarations: E730, before any data is read."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import kornia.augmentation
import pytest
from click.testing import CliRunner

from sslang.cli.main import main
from sslang.emit.augmentations.form import _made

SPEC = """\
method "test"
view a, b = random_resized_crop(32) | posterize(3) @ 0.5 | rain(20..60, height = 2..6)
encoder f = resnet18(stem = small, width = 0.0625)
head g = mlp(32, 8)
z = (f | g)([a, b])
loss = nt_xent(z, 0.1)
features = f(a)
recipe default {
    data = image_folder("nowhere")
    batch = 4
    length = 2 steps
    optimizer = sgd(lr = 0.1)
}
"""
POSTERIZE = "kornia.augmentation.RandomPosterize"


def said(tmp_path: Path) -> str:
    """What `sslang run --dry-run` says of a spec whose data is not there."""
    path = tmp_path / "test.ssl"
    path.write_text(SPEC)
    result = CliRunner().invoke(main, ["run", str(path), "--dry-run", "--device", "cpu"])
    assert result.exit_code == 1, result.output
    return " ".join(result.output.replace("│", " ").split())


class Refusing(kornia.augmentation.RandomPosterize):  # type: ignore[misc]
    """A class that does not take what ours gives it."""

    def __init__(self, bits: Any, same_on_batch: bool = False, p: float = 0.5) -> None:
        raise ValueError(f"bits are counted otherwise now: {bits}\nand a second line")


class Renamed(kornia.augmentation.RandomPosterize):  # type: ignore[misc]
    """A class of which an argument has another name."""

    def __init__(self, depth: Any, same_on_batch: bool = False, p: float = 0.5) -> None:
        super().__init__(depth, same_on_batch, p)


@pytest.fixture(autouse=True)
def _forms_are_made_anew() -> None:
    _made.cache_clear()


def test_the_data_comes_after(tmp_path: Path) -> None:
    found = said(tmp_path)
    assert "E730" not in found and "nowhere" in found, found


@pytest.mark.parametrize(
    ("instead", "reason"),
    [
        (None, f"has no class `{POSTERIZE}`"),
        (Renamed, f"takes no `bits` in `{POSTERIZE}`: its signature has changed"),
        (Refusing, "refuses it: bits are counted otherwise now: (3, 3)"),
    ],
)
def test_it_is_told_with_the_version(
    instead: type | None, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if instead is None:
        monkeypatch.delattr(kornia.augmentation, "RandomPosterize")
    else:
        monkeypatch.setattr(kornia.augmentation, "RandomPosterize", instead)
    found = said(tmp_path)
    assert f"`posterize`: kornia {version('kornia')} {reason}" in found
    assert found.count("E730") == 1 and "E6" not in found
