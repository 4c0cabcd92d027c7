"""CPC against its formulas: patches, a masked context, W_k, negatives from each k's own rows.

Facts and sources: van den Oord et al. 2018, section 3.2, and, where the paper is silent, the code
of Loewe et al. 2019 (Greedy InfoMax), which is CPC with one module. The patch encoders, the
context network and the loss are written here again; the views and the first weights are the
learner's, the drawn integers are computed from the draws' own definition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import sslang
from sslang.emit import draws
from sslang.ir.program import Program
from sslang.model.recipe import AdamW as AdamWPlan
from sslang.ops.schedules import Clock, value_at
from sslang.train.learner import Learner
from tests.conftest import ROOT
from tests.fidelity.formulas import AdamW, Nets, Watched, agree
from tests.fidelity.test_banks import operations, setting

STEPS, ROWS, NOISE, AHEAD = 6, 5, 4, 5
RATES = (0.003, 0.0012, 0.005, 0.0003, 0.002, 0.00003)  # another one at every step
SMALL = (
    "size=32", "resized=36", "patch=8", "stride=4", "cut=6", f"negatives={NOISE}",
    f"batch={ROWS}", "length=40 steps", "data=embedded()", "evaluate=knn()",
    f"optimizer=adamw(lr = piecewise({list(RATES)}, at = [1, 2, 3, 4, 5] steps))",
)  # fmt: skip


# --- the nets --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """What an encoder is: its blocks in each of three stages, kinds of block, and its stem."""

    depth: int
    width: float
    stem: str
    preactivation: bool

    @property
    def blocks(self) -> tuple[int, int, int]:
        return {18: (2, 2, 2), 50: (3, 4, 6)}[self.depth]

    @property
    def features(self) -> int:
        return round(256 * self.width) * (4 if self.depth == 50 else 1)

    @property
    def text(self) -> str:
        return (
            f"backbone=resnet(depth = {self.depth}, width = {self.width}, stem = {self.stem}, "
            f"norm = none, stages = 3, preactivation = {str(self.preactivation).lower()})"
        )


class Block(nn.Module):
    """Convolutions with biases and no norm: 3 x 3 twice, or 1 x 1, 3 x 3, 1 x 1 to four times.

    Version 2 (He et al., 2016b) has a ReLU before each convolution, none after the sum, and its
    projection sees the activated input; version 1 has a ReLU after each convolution, of the last
    one after the sum.
    """

    def __init__(self, inputs: int, planes: int, stride: int, shape: Shape) -> None:
        super().__init__()
        self.first = shape.preactivation
        if shape.depth == 50:
            outputs = 4 * planes
            plan = [(inputs, planes, 1, 1), (planes, planes, 3, stride), (planes, outputs, 1, 1)]
        else:
            outputs = planes
            plan = [(inputs, planes, 3, stride), (planes, planes, 3, 1)]
        for n, (ins, outs, kernel, step) in enumerate(plan, 1):
            self.add_module(f"conv{n}", nn.Conv2d(ins, outs, kernel, step, kernel // 2))
        self.downsample: nn.Sequential | None = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride))
        self.convolutions = [getattr(self, f"conv{n}") for n in range(1, len(plan) + 1)]

    def forward(self, x: Tensor) -> Tensor:
        if self.first:
            out = activated = functional.relu(x)
            for n, convolution in enumerate(self.convolutions):
                out = convolution(functional.relu(out) if n else activated)
            return out + (x if self.downsample is None else self.downsample(activated))
        out = x
        for n, convolution in enumerate(self.convolutions):
            out = convolution(functional.relu(out) if n else out)
        return functional.relu(out + (x if self.downsample is None else self.downsample(x)))


class Encoder(nn.Module):
    """Grey patches [R, 1, p, p] to [R, D]: a residual net to its third stage, no norm, the mean.

    Without max-pool; the first convolution is 3 x 3 or, of Greedy InfoMax's patches, 5 x 5. In
    version 2 the first ReLU is the first block's.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        planes = [round(n * shape.width) for n in (64, 128, 256)]
        kernel = {"small": 3, "patch": 5}[shape.stem]
        self.conv1 = nn.Conv2d(1, planes[0], kernel, 1, kernel // 2)
        self.first, inputs = shape.preactivation, planes[0]
        for stage, (width, count) in enumerate(zip(planes, shape.blocks, strict=True)):
            blocks = nn.Sequential()
            for n in range(count):
                blocks.append(Block(inputs, width, 2 if stage and not n else 1, shape))
                inputs = width * (4 if shape.depth == 50 else 1)
            self.add_module(f"layer{stage + 1}", blocks)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        if not self.first:
            x = functional.relu(x)
        for n in (1, 2, 3):
            x = self.get_submodule(f"layer{n}")(x)
        return x.mean((2, 3))


class Context(nn.Module):
    """Gated PixelCNN (van den Oord et al., 2016) whose mask hides the rows below alone.

    Each layer, of the streams v and h: V = the masked 3 x 3 convolution of v, H = a 1 x 3
    convolution of h plus a 1 x 1 convolution of V; out = a 1 x 1 convolution of gate(H). Next
    v = gate(V), next h = out in the first layer. In later ones, next v = gate(V + a 1 x 1
    convolution of v) and next h = h + out. gate(a, b) = tanh(a) sigmoid(b). Last a 1 x 1
    convolution of h.
    """

    def __init__(self, dim: int, width: int, layers: int) -> None:
        super().__init__()
        self.width, self.layers = width, nn.ModuleList()
        for n in range(layers):
            inputs = width if n else dim
            parts = {
                "above": nn.Conv2d(inputs, 2 * width, (2, 3)),  # the kernel's rows -1 and 0
                "above_to_row": nn.Conv2d(2 * width, 2 * width, 1),
                "row": nn.Conv2d(inputs, 2 * width, (1, 3), padding=(0, 1)),
                "out": nn.Conv2d(width, width, 1),
            }
            if 0 < n < layers - 1:  # the last layer's v is not used
                parts["shortcut"] = nn.Conv2d(inputs, 2 * width, 1)
            self.layers.append(nn.ModuleDict(parts))
        self.last = nn.Conv2d(width, dim, 1)

    def forward(self, z: Tensor) -> Tensor:
        """[B, h, w, D] to the same."""
        v = h = z.permute(0, 3, 1, 2)
        for n, layer in enumerate(self.layers):
            above = layer["above"]
            masked = torch.cat([above.weight, torch.zeros_like(above.weight[:, :, :1])], 2)
            V = functional.conv2d(v, masked, above.bias, padding=1)
            H = layer["row"](h) + layer["above_to_row"](V)
            if "shortcut" in layer:
                V = V + layer["shortcut"](v)
            out = layer["out"](self._gate(H))
            v, h = self._gate(V), h + out if n else out
        return self.last(h).permute(0, 2, 3, 1)

    def _gate(self, x: Tensor) -> Tensor:
        return x[:, : self.width].tanh() / (1 + torch.exp(-x[:, self.width :]))


# --- the loss --------------------------------------------------------------------------------


def drawn_places(step: int, k: int, rows: int, height: int) -> Tensor:
    """floor(u * rows * height * 7), one u for each place and negative; a draw for each k."""
    site = "loss.sampled_info_nce" + (f"_{k}" if k > 1 else "") + ".drawn.draw"
    key = draws.stream_key(3, "pretrain", site)
    u = draws.uniform(key, step, rows, height * 7 * NOISE).reshape(rows * height * 7, NOISE)
    return torch.from_numpy(np.floor(u * rows * height * 7).astype(np.int64))


def cpc(z: Tensor, c: Tensor, weights: list[Tensor], step: int) -> Tensor:
    """Of each k and each place of c whose row has one k + 1 below: z' W_k c of the place there.

    Softmax over it and those of `NOISE` places among the rows >= k + 1 of all images;
    -log(share + 1e-11), the mean over places, then over k.
    """
    total = z.new_zeros(())
    rows, height, _, dim = z.shape
    for k, weight in enumerate(weights, 1):
        left = height - k - 1
        targets = torch.stack([z[:, r + k + 1] for r in range(left)], 1).reshape(-1, dim)
        contexts = torch.stack([c[:, r] for r in range(left)], 1).reshape(-1, dim)
        scores = contexts @ (targets @ weight).T  # [place, target]
        positive = scores.diagonal()
        negative = scores.gather(1, drawn_places(step, k, rows, left))
        shares = positive.exp() / (positive.exp() + negative.exp().sum(1))
        if float(scores.detach().abs().max()) > 300:  # where exponentials overflow
            shares = torch.cat([positive[:, None], negative], 1).softmax(1)[:, 0]
        total = total - (shares + 1e-11).log().mean()
    return total / len(weights)


# --- the steps -------------------------------------------------------------------------------


def program_of(recipe: str, *overrides: str) -> Program:
    return sslang.load(ROOT / "specs" / "cpc.ssl", recipe, overrides)


def learner_of(shape: Shape, context: str, *more: str, scale: float = 1.0) -> Learner:
    """Of the paper's recipe; `scale` multiplies the first W_k."""
    given = (*SMALL, shape.text, f"dim={shape.features}", f"context={context}", *more)
    program = program_of("imagenet", *given)
    learner = sslang.compile(program, images=40, seed=3, dtype=torch.float64)
    if scale == 1:
        return learner
    weights = {
        k: v * scale for k, v in learner.method.nets.state_dict().items() if k.startswith("w.")
    }
    return sslang.compile(program, images=40, seed=3, dtype=torch.float64, weights=weights)


def pictures(rows: int, step: int) -> Tensor:
    u = draws.uniform(draws.stream_key(9, "pictures"), step, rows, 3 * 36 * 36)
    return torch.from_numpy((u.reshape(rows, 3, 36, 36) * 256).astype(np.uint8))


def view_of(learner: Learner, pixels: Tensor) -> Tensor:
    (x,) = learner.views(pixels, np.full((len(pixels), 2), 36))
    return x


@pytest.mark.parametrize(
    ("shape", "layers", "scale"),
    [
        (Shape(18, 0.125, "small", True), 4, 1.0),
        (Shape(18, 0.125, "small", False), 1, 1.0),
        (Shape(50, 0.0625, "patch", True), 2, 1.0),
        (Shape(18, 0.125, "small", True), 3, 1e9),
    ],
    ids=["version 2", "version 1", "Greedy InfoMax", "confidently wrong"],
)
def test_cpc(shape: Shape, layers: int, scale: float) -> None:
    """Six steps of Adam; the last batch is smaller. Images draw negatives from each other.

    With a huge W_k most shares are 0, and the loss of a place is -log 1e-11.
    """
    learner = learner_of(shape, f"pixel_cnn(layers = {layers}, width = 6)", scale=scale)
    dim = shape.features
    modules: dict[str, nn.Module] = {"f": Encoder(shape), "g": Context(dim, 6, layers)}
    modules |= {f"w.{k}": nn.Linear(dim, dim, bias=False) for k in range(1, AHEAD + 1)}
    nets = Nets(modules, {n: f"{n}.0." for n in modules})
    nets.start_from(learner)
    watched, optimizer = Watched(learner), AdamW(0.0)
    heads = [modules[f"w.{k}"].weight for k in range(1, AHEAD + 1)]
    assert not torch.equal(heads[0], heads[1])
    for step in range(STEPS):
        rows = ROWS if step < STEPS - 1 else 3
        pixels = pictures(rows, step)
        x = view_of(learner, pixels)
        ours = learner.train_step(pixels)
        z = modules["f"](x).reshape(rows, 7, 7, dim)
        loss = cpc(z, modules["g"](z), heads, step)
        agree(ours.loss, loss.detach(), f"loss of step {step}")
        if scale > 1:
            assert 10 < float(loss.detach()) < 25.4
        parameters = nets.named(modules)
        for parameter in parameters.values():
            parameter.grad = None
        loss.backward()
        watched.compare(parameters)
        optimizer.step(parameters, RATES[step])
        nets.compare(learner)


def test_negatives_are_drawn_from_all_images_with_replacement() -> None:
    """Some places draw their own positive, some a place twice; all places of the batch occur."""
    for k in range(1, AHEAD + 1):
        places = ROWS * (6 - k) * 7
        drawn = torch.cat([drawn_places(step, k, ROWS, 6 - k) for step in range(40)])
        counts = torch.bincount(drawn.flatten(), minlength=places).double()
        expected = drawn.numel() / places
        chi = float(((counts - expected) ** 2 / expected).sum())
        assert len(counts) == places and abs(chi - places) < 5 * (2 * places) ** 0.5
        assert any(len(set(row)) < NOISE for row in drawn.tolist())
        own = torch.arange(places).repeat(40)[:, None]
        assert bool((drawn == own).any())


def test_the_loss_at_chance_is_log_17() -> None:
    """W_k = 0: each of the positive and 16 negatives has a share of 1 / 17, whatever k."""
    shape = Shape(18, 0.125, "small", True)
    learner = learner_of(shape, "pixel_cnn(layers = 1)", "negatives=16", scale=0.0)
    loss = float(learner.train_step(pictures(ROWS, 0)).loss)
    assert loss == pytest.approx(np.log(17), abs=1e-9)


# --- what sees what --------------------------------------------------------------------------


def test_a_context_row_sees_no_patch_below_it() -> None:
    """And all of its own row's patches but for the reach of the kernels, and all rows above."""
    learner = learner_of(Shape(18, 0.125, "small", True), "pixel_cnn(layers = 7)")
    x = view_of(learner, pictures(2, 0)).requires_grad_()
    c = learner.method.net("g")(learner.method.net("f")(x, grid=(7, 7)))
    for row in range(7):
        (gradient,) = torch.autograd.grad(c[0, row].square().sum(), x, retain_graph=True)
        seen = gradient.abs().sum((1, 2, 3)).reshape(2, 7, 7) > 0
        assert bool(seen[0, : row + 1].all())
        assert not bool(seen[0, row + 1 :].any())
        assert not bool(seen[1].any())


def test_patches_are_encoded_apart_from_each_other() -> None:
    """B * 49 images: a feature depends on its own patch alone."""
    learner = learner_of(Shape(18, 0.125, "small", True), "pixel_cnn(layers = 1)")
    x = view_of(learner, pictures(2, 0)).requires_grad_()
    assert x.shape == (2 * 49, 1, 8, 8)
    z = learner.method.net("f")(x, grid=(7, 7))
    assert z.shape == (2, 7, 7, 32)
    (gradient,) = torch.autograd.grad(z[1, 2, 3].sum(), x)
    assert gradient.abs().sum((1, 2, 3)).nonzero().flatten().tolist() == [49 + 2 * 7 + 3]


def test_no_norm_and_no_temperature() -> None:
    """No module keeps statistics; no node of the step normalises features."""
    learner = learner_of(Shape(18, 0.125, "small", True), "pixel_cnn(layers = 4)")
    assert not list(learner.method.nets.buffers())
    assert not {n.op for n in learner.program.step.nodes} & {"sqrt", "maximum", "stop_grad"}


# --- the views -------------------------------------------------------------------------------


def test_patches_are_pieces_of_a_grey_flipped_crop() -> None:
    """A random crop, half of them flipped, one grey value; 7 x 7 patches, half over each other."""
    shape, flips, crops = Shape(18, 0.125, "small", True), set(), set()
    learner = learner_of(shape, "pixel_cnn(layers = 1)", "cut=8")
    pixels = pictures(24, 1)
    tiles = view_of(learner, pixels).reshape(24, 7, 7, 8, 8)
    assert torch.equal(tiles[:, :, :-1, :, 4:], tiles[:, :, 1:, :, :4])
    assert torch.equal(tiles[:, :-1, :, 4:], tiles[:, 1:, :, :4])
    whole = torch.zeros(24, 32, 32, dtype=torch.float64)
    for i in range(7):
        for j in range(7):
            whole[:, 4 * i : 4 * i + 8, 4 * j : 4 * j + 8] = tiles[:, i, j]
    red, green, blue = (pixels.double() / 255).unbind(1)
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    for n in range(24):
        found = [
            (top, left, flipped)
            for top in range(5) for left in range(5) for flipped in (False, True)
            if torch.allclose(
                whole[n].flip(1) if flipped else whole[n],
                grey[n, top : top + 32, left : left + 32], rtol=0, atol=2e-3,
            )
        ]  # fmt: skip
        assert len(found) == 1
        crops.add(found[0][:2])
        flips.add(found[0][2])
    assert len(crops) > 10 and len(flips) == 2


def test_each_patch_is_cut_at_random_and_set_amid_zeros() -> None:
    """6 x 6 of 8 x 8, at a place of its own for each patch, all nine as likely, then 1 of zeros."""
    shape = Shape(18, 0.125, "small", True)
    whole = view_of(learner_of(shape, "pixel_cnn(layers = 1)", "cut=8"), pictures(ROWS, 0))
    cut = view_of(learner_of(shape, "pixel_cnn(layers = 1)"), pictures(ROWS, 0))
    places = []
    for full, patch in zip(whole[:, 0], cut[:, 0], strict=True):
        assert not bool(patch[[0, -1]].any()) and not bool(patch[:, [0, -1]].any())
        (place,) = [
            (top, left) for top in range(3) for left in range(3)
            if torch.equal(patch[1:7, 1:7], full[top : top + 6, left : left + 6])
        ]  # fmt: skip
        places.append(place)
    counts = [places.count((top, left)) for top in range(3) for left in range(3)]
    expected = len(places) / 9
    assert sum((n - expected) ** 2 / expected for n in counts) < 30  # 8 degrees of freedom
    assert places[:49] != places[49:98]


# --- the recipes -----------------------------------------------------------------------------


def test_the_papers_recipe() -> None:
    """Section 3.2: sizes, ResNet-101 version 2 to stage 3 without norm, 5 rows, 16 negatives."""
    program = program_of("imagenet")
    assert operations(program, "x") == [
        ("resize_and_crop", 1), ("random_crop", 1), ("horizontal_flip", 0.5), ("to_gray", 1),
        ("patches", 1), ("random_crop", 1), ("pad", 1),
    ]  # fmt: skip
    assert setting(program, "resize_and_crop", "size") == 300
    crops = [node.setting("size") for node in program.step.nodes if node.op == "random_crop"]
    assert crops == [256, 60]
    assert (setting(program, "patches", "size"), setting(program, "patches", "stride")) == (64, 32)
    assert setting(program, "pad", "size") == 64
    nodes, nets = {n.name: n for n in program.step.nodes}, {n.name: n for n in program.nets}
    assert str(nodes["x"].type) == "view[7 x 7 patches of 1 x 64 x 64, gray]"
    assert str(nodes["z"].type) == "[batch, 7, 7, 1024]"
    expect_encoder(program, depth=101, stem="imagenet")
    (_, context), *_ = nets["g"].stages
    assert (context["layers"], context["kernel"]) == (4, 3)
    heads = [nets[f"w.{k}"].stages[0][1] for k in range(1, 6)]
    assert "w.6" not in nets and all(head["bias"] is False for head in heads)
    drawn = [n for n in program.step.nodes if n.op == "draw"]
    assert [str(n.type) for n in drawn] == [f"int[batch, {6 - k}, 7, 16]" for k in range(1, 6)]
    expect_adam(program, batch=32 * 16)


def test_the_recipe_of_greedy_infomaxs_code() -> None:
    """STL-10: 64 pixels, 7 x 7 patches of 16, grey, mean and deviation; ResNet-50, 300 epochs."""
    program = program_of("stl10")
    assert operations(program, "x") == [
        ("random_crop", 1), ("horizontal_flip", 0.5), ("to_gray", 1), ("normalize", 1),
        ("patches", 1),
    ]  # fmt: skip
    assert setting(program, "random_crop", "size") == 64
    assert (setting(program, "patches", "size"), setting(program, "patches", "stride")) == (16, 8)
    nodes = {n.name: n for n in program.step.nodes}
    assert str(nodes["z"].type) == "[batch, 7, 7, 1024]"
    expect_encoder(program, depth=50, stem="patch")
    expect_adam(program, batch=32)
    recipe = program.spec.recipe
    assert recipe is not None
    assert (recipe.length.value, recipe.length.unit) == (300, "epochs")


def expect_encoder(program: Program, *, depth: int, stem: str) -> None:
    """Version 2 to its third stage, of one channel, no norm."""
    (net,) = [n for n in program.nets if n.name == "f"]
    settings = net.stages[0][1]
    assert (settings["depth"], settings["stem"], settings["stages"]) == (depth, stem, 3)
    assert (settings["norm"], settings["preactivation"], settings["channels"]) == (None, True, 1)
    assert settings["width"] == 1


def expect_adam(program: Program, *, batch: int) -> None:
    """Adam at a constant 2e-4, of everything alike: AdamW without decay."""
    recipe = program.spec.recipe
    assert recipe is not None
    assert (recipe.batch, recipe.groups) == (batch, ())
    optimizer = recipe.optimizer
    assert isinstance(optimizer, AdamWPlan)
    assert (optimizer.beta1, optimizer.beta2, optimizer.eps) == (0.9, 0.999, 1e-8)
    assert optimizer.weight_decay == 0
    assert {value_at(optimizer.lr, Clock(step, 100, 10)) for step in (0, 50, 99)} == {2e-4}
