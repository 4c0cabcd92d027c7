"""kornia's classes and their arguments, as `python -m sslang.bench.kornia` wrote them down."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest

from sslang.bench.kornia import FILE, Signatures, differences, signatures
from sslang.emit.view_draws import is_augmentation, plain
from sslang.ops import PRIMITIVES
from sslang.ops.views import CLOSED_NAMES, LEFT_OUT
from tests.conftest import ROOT

WRITTEN: dict[str, Any] = json.loads((ROOT / FILE).read_text())
CLASSES: Signatures = WRITTEN["classes"]
PREFIX = "kornia.augmentation."
CLASS_OF = {
    name: p.kornia.path.removeprefix(PREFIX)
    for name, p in PRIMITIVES.items()
    if p.kind == "view" and p.kornia is not None
}
OPS = [name for name in CLASS_OF if is_augmentation(name)]

# The arguments that no op takes, and those that one op does not take, each with the reason.
ANYWHERE = {
    "p": "`@ p` is drawn outside of kornia, image by image",
    "same_on_batch": "`per = step` is given to every class that has it",
    "keepdim": "images come and go in batches",
    "data_keys": "images have no boxes and no masks",
    "align_corners": "kornia's default, but for the resizes, to which it is given",
    "transformation_matrix_mode": "the matrix is not asked for",
}
OF_OPS = {
    "auto_contrast": {"clip_output": "values in 0..1 stay there: it changes nothing"},
    "color_jiggle": {"order": "drawn for each image"},
    "clahe": {"slow_and_differentiable": "the images need no gradient"},
    "resize": {"side": "both sides are given"},
    "pad_to": {"crop_if_exceeds": "larger images are a misfit"},
    "box_blur": {"normalized": "a sum would leave 0..1"},
    "rotation90": {"resample": "quarter turns fall on pixels"},
    "affine": {"fill_value": "`border` says what comes in"},
    "cutmix": {
        "num_mix": "one box an image, of one partner",
        "use_correct_lambda": "it is about labels: the weight is the true share of the area",
    },
    "patch_mix": {"alpha": "it weighs labels, which a loss does by `weight`"},
    "mosaic": {
        "output_size": "views keep their size",
        "mosaic_grid": "a mosaic is two by two, as `weight` says",
        "min_bbox_size": "there are no boxes",
        "padding_mode": "the tiles fill the window",
        "resample": "the window falls on pixels",
        "cropping_mode": "both ways cut out the same window",
    },
    "jigsaw": {"ensure_perm": "an image that stays as it is asks nothing of a net"},
    "rand_augment": {"policy": "the paper's list"},
    "trivial_augment": {"policy": "the paper's list"},
}


def given(op: str) -> set[str]:
    """The arguments that our declaration gives to the class."""
    primitive = PRIMITIVES[op]
    kornia = primitive.kornia
    assert kornia is not None
    found = {name for name, _ in kornia.arguments.values()} | set(kornia.fixed)
    if kornia.combined is not None:
        settings = {p.name: plain(p.default) for p in primitive.settings}
        found |= set(kornia.combined({**settings, "image_size": 32}))
    return found


def test_every_class_is_an_op_or_left_out_for_a_reason() -> None:
    assert set(CLASSES) == {*CLASS_OF.values(), *LEFT_OUT}
    assert set(CLOSED_NAMES) <= set(CLASSES)
    assert all(LEFT_OUT.values())


@pytest.mark.parametrize("op", OPS)
def test_every_argument_is_given_or_in_the_closed_table(op: str) -> None:
    has, gives, without = set(CLASSES[CLASS_OF[op]]), given(op), OF_OPS.get(op, {})
    assert gives <= has, "an argument that the class does not have"
    assert not gives & set(without)
    assert has - gives - set(ANYWHERE) == set(without)


def told(installed: dict[str, Any]) -> None:
    """Fails where the installed kornia has otherwise a class that is an op."""
    found = differences(CLASSES, installed["classes"])
    ops = {path: said for path, said in found.items() if path in CLASS_OF.values()}
    others = {path: said for path, said in found.items() if path not in ops}
    title = f"kornia {installed['version']} beside {WRITTEN['version']}, the one written down"
    if installed["version"] == WRITTEN["version"]:
        assert not found, f"the file is not that of this version: {found}"
    if others:
        warnings.warn(f"{title}:\n{as_text(others)}", stacklevel=2)
    if ops:
        pytest.fail(f"{title}:\n{as_text(ops)}\nLook at the ops, then {FILE}: "
                    "python -m sslang.bench.kornia")  # fmt: skip


def as_text(found: dict[str, list[str]]) -> str:
    return "\n".join(f"  {path}: {'; '.join(said)}" for path, said in found.items())


def test_the_installed_kornia_is_the_one_written_down() -> None:
    from importlib.metadata import version

    told({"version": version("kornia"), "classes": signatures()})


def test_a_newer_kornia_shows_what_is_new() -> None:
    newer = {path: dict(signature) for path, signature in CLASSES.items()}
    newer["RandomPosterize"]["dither"] = "False"
    newer["RandomRain"]["drop_width"] = "(0, 1)"
    newer["RandomSnow"]["flakes"] = newer["RandomSnow"].pop("brightness")
    del newer["RandomHue"]
    with pytest.raises(pytest.fail.Exception) as caught:
        told({"version": "9.9", "classes": newer})
    assert str(caught.value).splitlines()[:-1] == [
        f"kornia 9.9 beside {WRITTEN['version']}, the one written down:",
        "  RandomHue: the class is gone",
        "  RandomPosterize: `dither` is new: False",
        "  RandomRain: `drop_width` was (-5, 5) and is (0, 1)",
        "  RandomSnow: `flakes` is new: (2, 2); `brightness` is gone",
    ]


def test_of_classes_that_are_no_ops_it_only_warns() -> None:
    newer = {**CLASSES, "RandomFog": {"p": "0.5"}, "RandomDissolving": {"p": "0.7"}}
    with pytest.warns(UserWarning, match="RandomFog: a new class") as caught:
        told({"version": "9.9", "classes": newer})
    assert "RandomDissolving: " in str(caught[0].message)
