"""What ops of views draw: the same for a row whatever part of the batch it is made in."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslang.api import load_source
from sslang.cli.view_page import fitting
from sslang.diagnostics import DiagnosticError, Source
from sslang.emit import draws
from sslang.emit.method import Method
from sslang.emit.view_draws import Choice, Drawing, ViewDraw, plain
from sslang.ir.build import build
from sslang.model.overlay import resolve
from sslang.model.resolve import load
from sslang.ops import PRIMITIVES
from sslang.passes import PIPELINE, Pass
from sslang.types import ViewType

BATCH = 24
FIFTH = "[0.2, 0.2, 0.2]"
PARTS = ((0, 7), (7, 8), (8, 24))


def method(chain: str, loss: str = "mean(f(a))", passes: tuple[Pass, ...] = PIPELINE) -> Method:
    """A method with one view `a` of a chain, on images of 32 pixels."""
    text = (
        f'method "test"\nview a = {chain}\nencoder f = resnet18(stem = small, width = 0.0625)\n'
        f"loss = {loss}\nrecipe default : laptop {{ }}\n"
    )
    return Method(build(resolve(load(Source("test.ssl", text)))), 0, passes=passes)


def images(seed: int = 0) -> Tensor:
    made = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (BATCH, 3, 32, 32), dtype=torch.uint8, generator=made)


def sizes(rows: int) -> NDArray[np.int64]:
    return np.full((rows, 2), 32)


def made(of: Method, pixels: Tensor, rows: NDArray[np.int64], step: int = 5) -> Tensor:
    """The view of some rows of the batch, as a part makes it."""
    drawing = of.drawing(step, BATCH)
    code = of.view_code
    needed = drawing.closure(code.draws, rows)
    (view,) = code.module(
        pixels[torch.from_numpy(needed)], sizes(len(needed)), *drawing.all(code.draws, needed)
    )
    view = view[: len(view) // len(needed) * len(rows)]
    assert isinstance(view, Tensor)
    return view


def in_parts(of: Method, pixels: Tensor) -> Tensor:
    return torch.cat([made(of, pixels, np.arange(first, end)) for first, end in PARTS])


def whole(of: Method, pixels: Tensor) -> Tensor:
    (view,) = of.views(pixels, sizes(BATCH), 5)
    return view


def test_with_per_step_a_part_has_the_number_of_the_whole_batch() -> None:
    of = method("random_crop(32) | gaussian_blur(per = step) @ 0.5")
    (_, blur) = of.view_code.draws
    u = of.drawing(5, BATCH).uniform(blur, np.arange(BATCH))
    part = of.drawing(5, BATCH).uniform(blur, np.arange(7, 8))
    assert len(set(u[:, 1])) == 1 and part[0, 1] == u[0, 1]
    assert len(set(u[:, 0])) == BATCH, "which images are blurred is drawn for each"
    assert torch.equal(in_parts(of, images()), whole(of, images()))


@pytest.mark.parametrize(
    "chain",
    [
        "some_of(2, [rotation(30), equalize, gaussian_blur | color_jitter(0.4), posterize(3)])",
        "some_of(0..3, [rotation(30), equalize, invert, solarize], order = listed) @ 0.7",
        "some_of(3, [rotation(30), grayscale], replace = true)",
        "one_of([one_of([rotation(30), equalize]), gaussian_noise(0.1) | clip_values])",
        f"one_of([normalize({FIFTH}, {FIFTH}) | denormalize({FIFTH}, {FIFTH}), hue(0.1)])",
        "patches(16, stride = 8) | one_of([rotation90, gaussian_blur, rgb_shift])",
        "one_of([mixup, cutmix]) @ 0.8 | patch_mix(8) @ 0.5 | gaussian_blur @ 0.5",
        "mosaic @ 0.5 | mixup(0.2..0.4)",
    ],
)
def test_a_part_makes_what_the_whole_batch_makes(chain: str) -> None:
    of = method(f"random_crop(32, padding = 4) | {chain}")
    assert torch.equal(in_parts(of, images()), whole(of, images()))


def test_an_op_that_draws_nothing_changes_the_images_of_its_alternative_alone() -> None:
    noisy = whole(method("resize_and_crop(32, crop = 1) | gaussian_noise(0.5)"), images())
    of = method("resize_and_crop(32, crop = 1) | gaussian_noise(0.5)"
                " | one_of([clip_values, horizontal_flip])")  # fmt: skip
    result = whole(of, images())
    clipped = of.drawing(5, BATCH).number(of.view_code.draws[1], "applied") == 1
    assert 0 < clipped.sum() < BATCH
    at = torch.from_numpy(clipped)
    assert torch.equal(result[at], noisy[at].clamp(0, 1))
    assert torch.equal(result[~at], noisy[~at].flip(-1))


@pytest.mark.parametrize("op", ["to_lab | channels(0, 3)", "random_crop(16) | pad(32)",
                                "resize_and_crop(32)", "to_gray"])  # fmt: skip
def test_an_alternative_keeps_what_the_images_are(op: str) -> None:
    text = f'method "test"\nview a = random_crop(32) | one_of([{op}, horizontal_flip])\n'
    text += "encoder f = resnet18(stem = small, width = 0.0625)\nloss = mean(f(a))\n"
    with pytest.raises(DiagnosticError, match="no alternative"):
        load_source(Source("test.ssl", text))


def test_an_image_may_be_in_any_order_and_by_itself() -> None:
    of = method("random_crop(32, padding = 4) | mixup | perspective @ 0.5")
    every = whole(of, images())
    for rows in (np.array([5]), np.array([20, 3, 11])):
        assert torch.equal(made(of, images(), rows), every[torch.from_numpy(rows)])


def test_a_choice_falls_on_each_alternative_as_often_as_on_the_others() -> None:
    u = np.random.default_rng(0).random((20_000, 6))
    alternatives = [Choice("", 1.0, 4, 2, 2, False, slot, m) for slot in (0, 1) for m in range(4)]
    shares = [c.mask(u).mean() for c in alternatives]
    assert np.allclose(shares, 1 / 4, atol=0.015)
    first, second = ([c.mask(u) for c in alternatives[4 * s : 4 * s + 4]] for s in (0, 1))
    assert np.array_equal(np.sum(first, axis=0), np.ones(len(u)))
    assert not any((a & b).any() for a, b in zip(first, second, strict=True)), "no one twice"
    listed = [Choice("", 0.5, 4, 0, 3, False, None, m).mask(u) for m in range(4)]
    counts = np.sum(listed, axis=0)
    assert set(counts) == {0, 1, 2, 3}
    assert np.mean(counts) == pytest.approx(0.75, abs=0.03)  # applied half of the time, 0..3 each
    again = [Choice("", 1.0, 3, 3, 3, True, s, 0).mask(u) for s in range(3)]
    assert np.mean(again) == pytest.approx(1 / 3, abs=0.02)
    assert np.logical_and.reduce(again).any()


def numbers(of: Method) -> dict[str, NDArray[Any]]:
    """What the loss reads of the view's draws, by name."""
    read = [d.number for d in of.step_code.values if d.number is not None]
    return {name: of.drawing(5, BATCH).number(draw, name) for draw, name in read}


def test_a_loss_reads_what_an_op_drew() -> None:
    of = method(
        "random_crop(32) | rotation90(0..3) @ 0.5",
        "mean(f(a)) * mean(a.times + a.rotation90.applied)",
    )
    by_name = numbers(of)
    times, applied = by_name["times"], by_name["applied"]
    pixels = images().float() / 255
    expected = torch.stack([
        torch.rot90(image, int(t), (1, 2)) for image, t in zip(pixels, times, strict=True)
    ])  # fmt: skip
    torch.testing.assert_close(whole(of, images()), expected, rtol=0, atol=1e-5)
    assert set(applied) == {0.0, 1.0} and not times[applied == 0].any() and times.max() == 3


def test_the_numbers_of_mixing_are_those_that_it_used() -> None:
    of = method("random_crop(32) | mixup @ 0.7", "mean(a.weight * take(f(a), a.partner))")
    by_name = numbers(of)
    weight, partner = (torch.from_numpy(by_name[name]) for name in ("weight", "partner"))
    plain = images().double() / 255
    w = weight[:, None, None, None]
    expected = (1 - w) * plain + w * plain[partner]
    torch.testing.assert_close(whole(of, images()).double(), expected, rtol=0, atol=1e-6)
    assert (partner[weight == 0] == torch.arange(BATCH)[weight == 0]).all()
    assert 0 < int((weight == 0).sum()) < BATCH


def test_the_weights_of_cutmix_and_mosaic_are_shares_of_the_area() -> None:
    for op in ("cutmix", "mosaic", "patch_mix(12)"):
        of = method(f"random_crop(32) | {op}", "mean(f(a)) * mean(a.weight) * mean(a.partner)")
        by_name = numbers(of)
        ids = torch.arange(BATCH, dtype=torch.uint8)  # each image has one value, its row's
        pixels = ids[:, None, None, None].expand(-1, 3, 32, 32).contiguous()
        shown = (whole(of, pixels) * 255).round().long()[:, 0]
        for row in range(BATCH):
            weights = np.atleast_1d(by_name["weight"][row])
            partners = np.atleast_1d(by_name["partner"][row])
            for value in set(partners):
                share = float((shown[row] == int(value)).double().mean())
                due = float(weights[partners == value].sum())
                if op != "mosaic" and value == row:
                    continue  # what is not its partner's is its own
                assert share == pytest.approx(due, abs=1e-6)


def test_colour_and_blur_of_ours_can_be_read_too() -> None:
    of = method(
        "random_crop(32) | color_jitter(0.4, 0.4, 0.2, 0.1) @ 0.8 | gaussian_blur(1.0..1.5)",
        "mean(f(a)) * mean(a.hue + a.sigma + a.color_jitter.brightness)",
    )
    by_name = numbers(of)
    assert (by_name["sigma"] >= 1).all() and (by_name["sigma"] <= 1.5).all()
    assert np.abs(by_name["hue"]).max() <= 0.1 and (by_name["hue"] == 0).any()


def test_draws_depend_on_the_step_the_site_and_nothing_else() -> None:
    of = method("random_crop(32) | rotation(30)")
    (_, draw) = of.view_code.draws
    rows = np.arange(BATCH)

    def degrees(drawing: Drawing, of_draw: ViewDraw = draw) -> list[float]:
        found: list[float] = drawing.augmented(of_draw, rows).numbers["degrees"].tolist()
        return found

    torch.manual_seed(1)
    first = degrees(of.drawing(5, BATCH))
    state = torch.get_rng_state()
    assert degrees(of.drawing(5, BATCH)) == first
    assert torch.equal(torch.get_rng_state(), state), "torch's own draws go on as before"
    assert degrees(of.drawing(6, BATCH)) != first
    assert len(set(first)) == BATCH
    assert isinstance(draw.before, ViewType)


def test_in_evaluation_an_op_that_draws_nothing_stays_and_random_ones_go() -> None:
    chain = "random_crop(32) | equalize | rotation(30) | invert @ 0.5 | mixup | median_blur(3)"
    of = method(f"{chain}\nfeatures = f(a)")
    assert of.feature_code is not None
    code = of.feature_code[0]
    assert code.draws == ()
    called = [n.kwargs.get("op") for n in code.module.graph.nodes if n.op == "call_function"]
    assert called[1:] == ["equalize", "median_blur"]
    (view,) = code.module(images(), sizes(BATCH))
    plain = method("random_crop(32) | equalize | median_blur(3)")
    torch.testing.assert_close(view, whole(plain, images()), rtol=0, atol=1e-6)


NUMBERS = [(op, name) for op, p in PRIMITIVES.items() if p.kind == "view" for name in p.numbers]


@pytest.mark.parametrize(("op", "name"), NUMBERS, ids=[f"{op}.{name}" for op, name in NUMBERS])
def test_a_number_is_read_where_no_image_drew_the_op(op: str, name: str) -> None:
    primitive = PRIMITIVES[op]
    before = ViewType(3, 32)
    settings = fitting(primitive, before) or {}
    given = {k: plain(v) for k, v in settings.items()}
    drawing = Drawing(partial(draws.stream_key, 0, "train"), 0, 5)
    never = drawing.number(ViewDraw("d", op, "view/a/0", 0.0, given, before), name)
    always = drawing.number(ViewDraw("d", op, "view/a/1", 1.0, given, before), name)
    assert never.shape == always.shape
    assert never.dtype == always.dtype
    some = drawing.number(ViewDraw("d", op, "view/a/1", 0.5, given, before), name)
    applied = drawing.applied(ViewDraw("d", op, "view/a/1", 0.5, given, before))
    assert some.shape == always.shape
    assert applied.any()
    if name != "partner":
        assert (never == never[0]).all()


@pytest.mark.parametrize(
    ("op", "name", "idle"),
    [
        ("mosaic", "weight", [1, 0, 0, 0]), ("contrast", "factor", 1), ("affine", "scale", [1, 1]),
        ("channel_shuffle", "order", [0, 1, 2]), ("rotation", "degrees", 0),
        ("jigsaw", "permutation", [*range(16)]), ("posterize", "bits", 8),
        ("perspective", "corners", [[0, 0], [31, 0], [31, 31], [0, 31]]),
    ],
)  # fmt: skip
def test_an_image_that_an_op_was_not_applied_to_has_what_would_leave_it(
    op: str, name: str, idle: Any
) -> None:
    before = ViewType(3, 32)
    given = {k: plain(v) for k, v in (fitting(PRIMITIVES[op], before) or {}).items()}
    drawing = Drawing(partial(draws.stream_key, 0, "train"), 0, 5)
    never = drawing.number(ViewDraw("d", op, "view/a/0", 0.0, given, before), name)
    assert never.tolist() == [idle] * 5


def test_pieces_and_places_of_a_puzzle_are_counted_along_the_rows() -> None:
    of = method("resize_and_crop(32, crop = 1) | jigsaw(grid = 2)")
    pixels = images()
    result = whole(of, pixels)
    (draw,) = of.view_code.draws
    order = of.drawing(5, BATCH).number(draw, "permutation")
    plain_ = whole(method("resize_and_crop(32, crop = 1)"), pixels)
    corners = [(0, 0), (0, 16), (16, 0), (16, 16)]
    for row in range(BATCH):
        for place, piece in zip(corners, order[row], strict=True):
            (top, left), (y, x) = place, corners[piece]
            assert torch.equal(result[row, :, top : top + 16, left : left + 16],
                               plain_[row, :, y : y + 16, x : x + 16])  # fmt: skip


def test_kornia_keeps_no_field_of_a_step() -> None:
    of = method("resize_and_crop(32, crop = 1) | gaussian_noise(0.5)")
    whole(of, images())
    module = of.view_code.draws[0].form.module
    held = [value for value in vars(module).values() if isinstance(value, dict)]
    assert not any(isinstance(v, Tensor) and v.numel() > 1000 for d in held for v in d.values())


def _text(lines: str) -> Source:
    return Source("test.ssl", f'method "test"\n{lines}\nassume no_collapse "a test"\n'
                  "encoder f = resnet18(stem = small, width = 0.0625)\n")  # fmt: skip


def test_the_numbers_of_a_family_are_a_family() -> None:
    program = load_source(_text(
        "view a[2] = resize_and_crop(16) | rotation(30)\n"
        "loss = sum(mean(f(v)) for v in a) + sum(mean(a.rotation.degrees[v]) for v in a)"
    ))  # fmt: skip
    read = {n.setting("site") for n in program.step.nodes if n.setting("number") is not None}
    assert read == {"view/a_0/1", "view/a_1/1"}


@pytest.mark.parametrize("chain", ["rotation(30) @ 0", "one_of([rotation(30), invert]) @ 0"])
def test_the_numbers_of_an_op_that_is_never_applied_can_be_read(chain: str) -> None:
    of = method(f"resize_and_crop(16) | {chain}", "mean(f(a)) + mean(a.rotation.degrees)")
    (draw,) = [d for d in of.step_code.values if d.number is not None]
    assert draw.number is not None
    assert of.drawing(0, 4).number(*draw.number).tolist() == [0.0] * 4


def test_no_view_has_the_name_of_a_member_of_a_family() -> None:
    lines = "view a[2] = random_crop(16)\nview a_0 = random_crop(16)\nloss = mean(f(a[0]) + f(a_0))"
    with pytest.raises(DiagnosticError, match="E202"):
        load_source(_text(lines))


@pytest.mark.parametrize("order", ["order = listed", "order = drawn", ""])
@pytest.mark.parametrize("first", ["gaussian_noise(0.5)", f"normalize({FIFTH}, {FIFTH})"])
def test_alternatives_that_follow_each_other_keep_the_range(first: str, order: str) -> None:
    chain = f"some_of(2, [{first}, posterize(3)]{', ' if order else ''}{order})"
    lines = f"view a = random_crop(32) | {chain}\nloss = mean(f(a))"
    with pytest.raises(DiagnosticError, match="E301"):
        load_source(_text(lines))


@pytest.mark.parametrize(
    "choice",
    [
        "some_of(1, [gaussian_noise, invert], order = listed)",
        "some_of(0..1, [gaussian_noise, invert], order = listed)",
        "some_of(3, [gaussian_noise, clip_values, invert], order = listed)",
    ],
)
def test_what_follows_nothing_or_what_always_comes_before_keeps_the_range(choice: str) -> None:
    load_source(_text(f"view a = random_crop(32) | {choice}\nloss = mean(f(a))"))


def test_a_member_that_may_be_left_out_is_no_remedy() -> None:
    choice = "some_of(2, [gaussian_noise, clip_values, invert], order = listed)"
    with pytest.raises(DiagnosticError, match="E301"):
        load_source(_text(f"view a = random_crop(32) | {choice}\nloss = mean(f(a))"))
