"""Facts of the papers and their code that can be read off a resolved program.

Numbers of the published recipes, the order of a view's operations, settings of nets, how averages
begin, what is decayed, what is frozen. What needs a step is in the files of the methods.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch

import sslang
from sslang.ir.graph import Node
from sslang.ir.program import Program
from sslang.model.recipe import AdamW, Lars, LinearProbe, Recipe, Sgd, TensorNorm
from sslang.ops.schedules import Clock, value_at
from sslang.train.learner import Learner
from sslang.types import Interval
from tests.conftest import ROOT, SPECS, TINY

EPOCH = 100  # steps an epoch, where a test asks for numbers at epochs
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
RESNET = "resnet18(width = 0.125, stem = small)"
DINO_VIT = "vit(patch = 8, width = 16, depth = 1, heads = 2, position = learned, init = dino)"
AVERAGING = ("byol", "dino", "mocov1", "mocov2", "mocov3_vit")


@cache
def program(name: str, recipe: str | None = None) -> Program:
    return sslang.load(ROOT / "specs" / f"{name}.ssl", recipe)


@cache
def small(name: str, recipe: str) -> Learner:
    """A published recipe's optimizer, groups and freezing on nets that are small."""
    kept = ("optimizer", "groups", "freeze", "length", "evaluate", "batch")
    kept = (*kept, "backbone") if name == "dino" or "resnet50" in recipe else kept
    overrides = [o for o in TINY[name] if o.partition("=")[0] not in kept]
    if name == "dino":
        overrides.append("backbone=" + (RESNET if "resnet" in recipe else DINO_VIT))
    elif "resnet50" in recipe:
        overrides.append(f"backbone={RESNET}")
    made = sslang.load(ROOT / "specs" / f"{name}.ssl", recipe, overrides)
    return sslang.compile(made, images=409_600)


def recipe_of(name: str, recipe: str) -> Recipe:
    found = program(name, recipe).spec.recipe
    assert found is not None
    return found


def chain(made: Program, view: str) -> list[Node]:
    """The operations from the image to a view, in order."""
    nodes, found = made.step.by_name, []
    node = nodes[view]
    while node.op != "image":
        found.append(node)
        node = nodes[node.references[0]]
    return found[::-1]


def operations(made: Program, view: str) -> list[tuple[str, float]]:
    """Names and probabilities of a view's operations."""
    return [(n.op, n.setting("probability", 1.0)) for n in chain(made, view)]


def of(made: Program, view: str, op: str) -> Mapping[str, Any]:
    """The settings of one operation of a view."""
    (node,) = [n for n in chain(made, view) if n.op == op]
    return dict(node.settings)


def expect_crop(made: Program, view: str, size: int, low: float, high: float) -> None:
    settings = of(made, view, "random_resized_crop")
    scale = settings["scale"]
    assert isinstance(scale, Interval)
    assert (settings["size"], scale.low, scale.high) == (size, low, high)


def expect_jitter(made: Program, view: str, *strengths: float) -> None:
    """Brightness, contrast, saturation, hue, of 8 in 10 images."""
    settings = of(made, view, "color_jitter")
    found = [settings[n] for n in ("brightness", "contrast", "saturation", "hue")]
    assert found == pytest.approx(list(strengths))
    assert settings["probability"] == 0.8


def expect_normalised(made: Program, view: str, mean: Any = None, std: Any = None) -> None:
    settings = of(made, view, "normalize")
    assert settings["mean"] == (mean or IMAGENET[0])
    assert settings["std"] == (std or IMAGENET[1])


def layers(made: Program, net: str) -> list[tuple[str, ...]]:
    """A head in words: (linear, width, bias or not), (batch_norm, scale, shift), (relu,)."""
    found: list[tuple[str, ...]] = []
    for path, settings in made.net(net).stages:
        kind = path.rpartition(".")[2]
        if kind == "linear":
            found.append((kind, str(settings["width"]), "bias" if settings["bias"] else ""))
        elif kind == "batch_norm":
            words = [n for n in ("scale", "shift") if settings[n]]
            found.append((kind, *words))
        else:
            found.append((kind,))
    return found


def linear(width: int, bias: str = "") -> tuple[str, ...]:
    return ("linear", str(width), bias)


NORM, RELU, GELU = ("batch_norm", "scale", "shift"), ("relu",), ("gelu",)
PLAIN, SCALED = ("batch_norm",), ("batch_norm", "scale")


def backbone(made: Program, net: str = "f") -> tuple[str, Mapping[str, Any]]:
    (stage,) = made.net(net).stages
    return stage[0].rpartition(".")[2], stage[1]


def numbers(name: str, recipe: str, *epochs: float, what: str = "lr") -> list[float]:
    """The rate, or the decay, at the beginning of some epochs of `EPOCH` steps."""
    found = recipe_of(name, recipe)
    total = round(found.length.steps(EPOCH))
    number = getattr(found.optimizer, what)
    return [value_at(number, Clock(round(e * EPOCH), total, EPOCH)) for e in epochs]


def momentum(name: str, recipe: str, *shares: float) -> list[float]:
    """The momentum of the average at shares of a run of 1000 steps."""
    (plan,) = program(name, recipe).averages
    return [value_at(plan.momentum, Clock(1000 * share, 1000, EPOCH)) for share in shares]


def half_cosine(first: float, last: float, share: float) -> float:
    return last + (first - last) * 0.5 * (1 + math.cos(math.pi * share))


def expect_run(name: str, recipe: str, batch: int, epochs: int, last: str = "drop") -> None:
    found = recipe_of(name, recipe)
    assert (found.batch, str(found.length), found.last_batch) == (batch, f"{epochs} epochs", last)


def expect_lars(name: str, recipe: str, decay: float, **switches: bool) -> None:
    optimizer = recipe_of(name, recipe).optimizer
    assert isinstance(optimizer, Lars)
    assert (optimizer.momentum, optimizer.trust, optimizer.clip) == (0.9, 0.001, False)
    assert optimizer.weight_decay == decay
    assert optimizer.rate_inside == switches.get("rate_inside", False)
    assert optimizer.separate_norms == switches.get("separate_norms", False)


def expect_probe(name: str, recipe: str, rate: float, epochs: int) -> None:
    """A linear probe by SGD without decay."""
    probes = [e for e in recipe_of(name, recipe).evaluate if isinstance(e, LinearProbe)]
    assert [(p.lr, str(p.length), p.weight_decay) for p in probes] == [
        (rate, f"{epochs} epochs", 0)
    ]


def temperature(made: Program) -> set[float]:
    """What scores are divided by: numbers below 2 that stand in a division by a constant."""
    return {
        float(n.inputs[1]) for n in made.step.nodes
        if n.op == "divide" and isinstance(n.inputs[1], float) and n.inputs[1] < 2
    }  # fmt: skip


# --- of several methods ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "recipe", "decay", "switches"),
    [
        ("simclr", "imagenet", 1e-6, {"rate_inside": True}),
        ("simclrv2", "imagenet", 1e-4, {"rate_inside": True}),
        ("byol", "imagenet", 1.5e-6, {}),
        ("mocov3_vit", "resnet50_100", 1e-6, {}),
        ("swav", "imagenet", 1e-6, {"separate_norms": True}),
        ("swav", "imagenet_256", 1e-6, {"separate_norms": True}),
    ],
)
def test_lars_has_the_switches_of_each_code(
    name: str, recipe: str, decay: float, switches: dict[str, bool]
) -> None:
    """SimCLR: the rate inside the momentum. BYOL, MoCo v3: outside. SwAV: apex's LARC, no clip."""
    expect_lars(name, recipe, decay, **switches)
    optimizer = recipe_of(name, recipe).optimizer
    assert isinstance(optimizer, Lars)
    assert optimizer.eps == (1e-8 if name == "swav" else 0)


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("simclr", "imagenet"), ("simclrv2", "imagenet"), ("byol", "imagenet"),
     ("mocov3_vit", "resnet50_100")],
)  # fmt: skip
def test_lars_leaves_biases_and_norms_alone(name: str, recipe: str) -> None:
    """Neither adapted nor decayed: every parameter of one dimension, and no other."""
    learner = small(name, recipe)
    decay = recipe_of(name, recipe).optimizer.weight_decay
    sizes = {n: p.dim() for n, p in learner.method.trained()}
    for group in learner.groups:
        alone = {sizes[n] == 1 for n in group.names}
        assert len(alone) == 1
        expected = (0, False) if alone.pop() else (decay, True)
        assert (group.numbers["weight_decay"], group.adapt) == expected
    assert len(learner.groups) == 2


@pytest.mark.parametrize("recipe", ["imagenet", "imagenet_256"])
def test_swav_adapts_and_decays_everything(recipe: str) -> None:
    """Biases and norms too."""
    made = sslang.load(ROOT / "specs" / "swav.ssl", recipe)
    assert made.spec.recipe is not None and made.spec.recipe.groups == ()


@pytest.mark.parametrize("name", AVERAGING)
def test_averages_are_of_parameters_alone(name: str) -> None:
    """No buffers; a copy at the start, but for BYOL's, which has a draw of its own."""
    (plan,) = program(name).averages
    assert not plan.buffers
    assert plan.fresh == (name == "byol")


def test_every_other_method_has_no_average() -> None:
    for path in SPECS:
        if path.stem not in AVERAGING:
            assert program(path.stem).averages == ()


@pytest.mark.parametrize(("name", "recipe", "view", "mode"), [
    ("simclr", "imagenet", "a", "additive"), ("byol", "imagenet", "a", "additive"),
    ("simclrv2", "imagenet", "a", "multiplicative"),
])  # fmt: skip
def test_brightness_is_added_or_multiplied(name: str, recipe: str, view: str, mode: str) -> None:
    """Added by SimCLR v1 and BYOL, in TensorFlow's formulas; multiplied by SimCLR v2."""
    settings = of(program(name, recipe), view, "color_jitter")
    assert (settings["brightness_mode"], settings["style"]) == (mode, "tensorflow")


@pytest.mark.parametrize(("name", "recipe", "box"), [
    ("simclr", "imagenet", "simclr"), ("simclrv2", "imagenet", "simclr"),
    ("byol", "imagenet", "byol"),
])  # fmt: skip
def test_boxes_are_those_of_the_code(name: str, recipe: str, box: str) -> None:
    """Cut out by their code's algorithm, resized bicubic without antialiasing."""
    for view in ("a", "b"):
        settings = of(program(name, recipe), view, "random_resized_crop")
        assert settings["box"] == box
        assert (settings["interpolation"], settings["antialias"]) == ("bicubic", False)


# --- InstDisc, InvaSpread, CMC ---------------------------------------------------------------


def test_instdisc_net() -> None:
    """Pooled features, one linear layer with a bias to 128, divided by their length, no epsilon."""
    made = program("instdisc", "imagenet")
    assert layers(made, "g") == [linear(128, "bias")]
    kind, settings = backbone(made)
    assert (kind, settings["depth"], settings["stem"]) == ("resnet", 50, "imagenet")
    assert {n.inputs[1] for n in made.step.nodes if n.op == "maximum"} == {0}
    assert backbone(program("instdisc", "imagenet_resnet18"))[1]["depth"] == 18
    assert backbone(program("instdisc", "cifar10"))[1]["stem"] == "small"
    expect_normalised(made, "x")


def test_instdisc_pulls_on_no_earlier_feature() -> None:
    """The paper's proximal term is absent: the bank is read for its scores and its own update."""
    made = program("instdisc", "imagenet")
    (read,) = [n for n in made.step.nodes if n.op == "read"]
    readers = [n for n in made.step.nodes if read.name in n.references]
    assert [n.op for n in readers] == ["gather", "gather"]
    assert not any(n.op == "subtract" for n in made.step.nodes if "z" in n.references)


def test_instdisc_evaluates_by_200_neighbours() -> None:
    (knn, _) = recipe_of("instdisc", "imagenet").evaluate
    assert (knn.word, getattr(knn, "k", 0), getattr(knn, "temperature", 0)) == ("knn", 200, 0.07)
    (cifar,) = recipe_of("instdisc", "cifar10").evaluate
    assert (getattr(cifar, "k", 0), getattr(cifar, "temperature", 0)) == (200, 0.1)
    features = program("instdisc", "cifar10").features
    assert features is not None and features.nodes[-1].op == "divide"  # the 128 normalised numbers


def test_invaspread_evaluates_by_200_neighbours() -> None:
    (knn,) = recipe_of("invaspread", "cifar10").evaluate
    assert (knn.word, getattr(knn, "k", 0)) == ("knn", 200)


def test_cmc_nets() -> None:
    """Two encoders of one and of two channels, nothing shared; linear to 128; no epsilon."""
    for recipe, width in (("imagenet", 0.5), ("imagenet_2x", 1), ("imagenet_4x", 2)):
        made = program("cmc", recipe)
        both = [backbone(made, net)[1] for net in ("f_l", "f_ab")]
        assert [s["channels"] for s in both] == [1, 2]
        assert [(s["depth"], s["width"]) for s in both] == [(50, width)] * 2
        assert layers(made, "g_l") == layers(made, "g_ab") == [linear(128, "bias")]
        assert {n.inputs[1] for n in made.step.nodes if n.op == "maximum"} == {0}
        expect_crop(made, "l", 224, 0.08, 1)


def test_cmc_of_alexnet() -> None:
    """Half of its width for each view, crops of a fifth or more, batch 256."""
    made = program("cmc", "imagenet_alexnet")
    for net in ("f_l", "f_ab"):
        kind, settings = backbone(made, net)
        assert (kind, settings["width"]) == ("alexnet", 0.5)
    expect_crop(made, "l", 224, 0.2, 1)
    expect_run("cmc", "imagenet_alexnet", 256, 240, "keep")


# --- MoCo ------------------------------------------------------------------------------------


def test_moco_v2_views() -> None:
    """Crop, jitter of 8 in 10, grey, blur of half, flip: two draws of one chain."""
    made = program("mocov2", "imagenet")
    for view in ("query", "key"):
        assert operations(made, view) == [
            ("random_resized_crop", 1), ("color_jitter", 0.8), ("grayscale", 0.2),
            ("gaussian_blur", 0.5), ("horizontal_flip", 0.5), ("normalize", 1),
        ]  # fmt: skip
        expect_crop(made, view, 224, 0.2, 1)
        expect_jitter(made, view, 0.4, 0.4, 0.4, 0.1)
        expect_normalised(made, view)
    sites = [n.setting("site") for v in ("query", "key") for n in chain(made, v)[:-1]]
    assert len(set(sites)) == 10


def test_moco_v2_head() -> None:
    """2048 to 2048, ReLU, 128; biases, no norm; unit rows with an epsilon of 1e-12."""
    made = program("mocov2", "imagenet")
    assert layers(made, "g") == [linear(2048, "bias"), RELU, linear(128, "bias")]
    assert {n.inputs[1] for n in made.step.nodes if n.op == "maximum"} == {1e-24}


@pytest.mark.parametrize(("recipe", "epochs"), [("imagenet", 200), ("imagenet_800", 800)])
def test_moco_v2_recipe(recipe: str, epochs: int) -> None:
    """SGD 0.03 at batch 256, decay 1e-4 of all; a cosine by epochs to 0, no warm-up."""
    expect_run("mocov2", recipe, 256, epochs)
    found = recipe_of("mocov2", recipe)
    assert isinstance(found.optimizer, Sgd)
    assert (found.optimizer.momentum, found.optimizer.weight_decay) == (0.9, 1e-4)
    assert found.groups == ()
    rates = numbers("mocov2", recipe, 0, 0.99, 1, epochs / 2)
    assert rates == pytest.approx([0.03, 0.03, half_cosine(0.03, 0, 1 / epochs), 0.015])
    states = program("mocov2", recipe).states
    assert [(s.kind, s.shape) for s in states] == [("queue", (65536, 128))]


@pytest.mark.parametrize("name", ["mocov1", "mocov2"])
def test_moco_linear_probe(name: str) -> None:
    """Rate 30, no decay, 100 epochs, on features in evaluation mode."""
    expect_probe(name, "imagenet", 30, 100)


# --- MoCo v3 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "low"), [("imagenet", 0.08), ("resnet50_100", 0.2), ("resnet50_1000", 0.2)]
)
def test_moco_v3_views(recipe: str, low: float) -> None:
    """The flip last; one view always blurred, the other of 1 in 10, and solarised of 2 in 10."""
    made = program("mocov3_vit", recipe)
    first = [("random_resized_crop", 1.0), ("color_jitter", 0.8), ("grayscale", 0.2)]
    last = [("horizontal_flip", 0.5), ("normalize", 1.0)]
    assert operations(made, "a") == [*first, ("gaussian_blur", 1), *last]
    assert operations(made, "b") == [*first, ("gaussian_blur", 0.1), ("solarize", 0.2), *last]
    for view in ("a", "b"):
        expect_crop(made, view, 224, low, 1)
        expect_jitter(made, view, 0.4, 0.4, 0.2, 0.1)


def test_moco_v3_heads_of_a_transformer() -> None:
    """Three layers and two, of 4096, without bias; a norm after each, the last one plain."""
    made = program("mocov3_vit", "imagenet")
    hidden = [linear(4096), NORM, RELU]
    assert layers(made, "projector") == [*hidden, *hidden, linear(256), PLAIN]
    assert layers(made, "predictor") == [*hidden, linear(256), PLAIN]
    assert {s["init"] for _, s in made.net("projector").stages if "init" in s} == {"torch"}


@pytest.mark.parametrize("recipe", ["resnet50_100", "resnet50_300", "resnet50_1000"])
def test_moco_v3_heads_of_a_resnet(recipe: str) -> None:
    """Two layers each; the predictor ends without a norm. Residual branches begin as 0."""
    made = program("mocov3_vit", recipe)
    hidden = [linear(4096), NORM, RELU]
    assert layers(made, "projector") == [*hidden, linear(256), PLAIN]
    assert layers(made, "predictor") == [*hidden, linear(256)]
    assert backbone(made)[1]["zero_init_residual"]


@pytest.mark.parametrize(("recipe", "width"), [("imagenet", 384), ("imagenet_base", 768)])
def test_moco_v3_transformer(recipe: str, width: int) -> None:
    """Patches of 16, 12 layers, 12 heads in ViT-S too, fixed positions."""
    kind, settings = backbone(program("mocov3_vit", recipe))
    assert kind == "vit"
    found = [settings[n] for n in ("patch", "width", "depth", "heads", "position")]
    assert found == [16, width, 12, 12, "sincos"]
    assert settings["init"] == "mocov3"


def test_moco_v3_predicts_with_the_online_net_alone() -> None:
    """The average is of backbone and projector; there is no queue."""
    made = program("mocov3_vit", "imagenet")
    (plan,) = made.averages
    assert plan.pairs == (("target.f", "f"), ("target.projector", "projector"))
    assert made.states == ()


def test_moco_v3_batch_norm_is_over_the_whole_batch() -> None:
    """The momentum encoder's too, each view by itself."""
    made = program("mocov3_vit", "resnet50_100")
    applied = {(n.setting("group"), n.setting("views")) for n in made.step.nodes if n.op == "apply"}
    assert applied == {(0, 1)}
    assert not any(n.op == "permute_rows" for n in made.step.nodes)


def test_moco_v3_freezes_the_patch_projection_of_a_transformer() -> None:
    """Weight and bias, for good; nothing else, and nothing of a ResNet."""
    assert small("mocov3_vit", "imagenet").method.frozen == {
        "f.0.patch_embed.proj.weight", "f.0.patch_embed.proj.bias",
    }  # fmt: skip
    assert recipe_of("mocov3_vit", "resnet50_100").freeze == ()


@pytest.mark.parametrize(
    ("recipe", "epochs", "rate", "decay", "first"),
    [
        ("resnet50_100", 100, 0.6, 1e-6, 0.99), ("resnet50_300", 300, 0.3, 1e-6, 0.99),
        ("resnet50_1000", 1000, 0.3, 1.5e-6, 0.996),
    ],
)  # fmt: skip
def test_moco_v3_recipes_of_a_resnet(
    recipe: str, epochs: int, rate: float, decay: float, first: float
) -> None:
    """LARS, base rate times 4096 / 256, 10 epochs of warm-up, a cosine to 0 by steps."""
    expect_run("mocov3_vit", recipe, 4096, epochs)
    expect_lars("mocov3_vit", recipe, decay)
    peak = rate * 16
    found = numbers("mocov3_vit", recipe, 0, 5, 10, 10 + (epochs - 10) / 2)
    assert found == pytest.approx([0, peak / 2, peak, peak / 2])
    assert momentum("mocov3_vit", recipe, 0, 0.499, 0.999) == pytest.approx(
        [half_cosine(first, 1, t) for t in (0.001, 0.5, 1)], abs=1e-12
    )


@pytest.mark.parametrize("recipe", ["imagenet", "imagenet_base"])
def test_moco_v3_recipe_of_a_transformer(recipe: str) -> None:
    """AdamW 1.5e-4 times 16, decay 0.1 of all parameters, warm-up 40 of 300 epochs."""
    expect_run("mocov3_vit", recipe, 4096, 300)
    found = recipe_of("mocov3_vit", recipe)
    assert isinstance(found.optimizer, AdamW)
    assert (found.optimizer.weight_decay, found.groups) == (0.1, ())
    rates = numbers("mocov3_vit", recipe, 0, 20, 40, 170)
    assert rates == pytest.approx([0, 1.2e-3, 2.4e-3, 1.2e-3])
    assert momentum("mocov3_vit", recipe, 0.499) == pytest.approx([0.995])


# --- SimCLR ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("recipe", "size", "strength", "blur"), [
    ("imagenet", 224, 1, 0.5), ("cifar10", 32, 0.5, 0),
])  # fmt: skip
def test_simclr_views(recipe: str, size: int, strength: float, blur: float) -> None:
    """Crop, flip, jitter of 8 in 10, grey, blur; colours at strength 1, on CIFAR-10 half."""
    made = program("simclr", recipe)
    for view in ("a", "b"):
        expected = [("random_resized_crop", 1.0), ("horizontal_flip", 0.5), ("color_jitter", 0.8),
                    ("grayscale", 0.2), ("gaussian_blur", blur)]  # fmt: skip
        found = operations(made, view)
        assert [o for o in found if o[1] > 0] == [o for o in expected if o[1] > 0]
        expect_crop(made, view, size, 0.08, 1)
        expect_jitter(made, view, *(strength * s for s in (0.8, 0.8, 0.8, 0.2)))


def test_simclr_nets() -> None:
    """Zero last scales; a projector of two layers without bias, the last norm without a shift."""
    made = program("simclr", "imagenet")
    assert backbone(made)[1]["zero_init_residual"]
    assert layers(made, "g") == [linear(2048), NORM, RELU, linear(128), SCALED]
    norms = [s for p, s in made.net("g").stages if p.endswith("batch_norm")]
    assert {(s["momentum"], s["eps"]) for s in norms} == {(0.1, 1e-5)}
    widths = [backbone(program("simclr", r))[1]["width"] for r in ("imagenet_2x", "imagenet_4x")]
    assert widths == [2, 4]


@pytest.mark.parametrize(("recipe", "epochs"), [("imagenet", 1000), ("imagenet_100", 100)])
def test_simclr_recipe(recipe: str, epochs: int) -> None:
    """0.3 times 4096 / 256 = 4.8 after 10 epochs, then half a cosine to 0; decay 1e-6."""
    expect_run("simclr", recipe, 4096, epochs)
    found = numbers("simclr", recipe, 0, 5, 10, 10 + (epochs - 10) / 2)
    assert found == pytest.approx([0, 2.4, 4.8, 2.4])
    assert 0.075 * math.sqrt(4096) == pytest.approx(4.8)
    assert recipe_of("simclr", recipe).optimizer.weight_decay == 1e-6


def test_simclr_on_cifar10() -> None:
    """ResNet-18 with the small stem, tau 0.5, batch 512, 1000 epochs."""
    made = program("simclr", "cifar10")
    expect_run("simclr", "cifar10", 512, 1000)
    settings = backbone(made)[1]
    assert (settings["depth"], settings["stem"]) == (18, "small")
    assert layers(made, "g") == [linear(512), NORM, RELU, linear(128), SCALED]
    assert temperature(made) == {0.5}
    assert numbers("simclr", "cifar10", 10) == pytest.approx([1.0 * 512 / 256])


def test_simclr_sees_both_views_in_one_batch() -> None:
    """Batch norm of backbone and head is over the 2N rows of the global batch."""
    applied = [n for n in program("simclr", "imagenet").step.nodes if n.op == "apply"]
    assert [(n.setting("views"), n.setting("group")) for n in applied] == [(2, 0)] * 2


# --- SwAV ------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", ["imagenet", "imagenet_256"])
def test_swav_views(recipe: str) -> None:
    """2 of 224 with 0.14..1 and 6 of 96 with 0.05..0.14; SimCLR's colours; deviation 0.228."""
    made = program("swav", recipe)
    views = {f"global_{i}": (224, 0.14, 1.0) for i in range(2)}
    views |= {f"local_{i}": (96, 0.05, 0.14) for i in range(6)}
    for view, box in views.items():
        assert operations(made, view) == [
            ("random_resized_crop", 1), ("horizontal_flip", 0.5), ("color_jitter", 0.8),
            ("grayscale", 0.2), ("gaussian_blur", 0.5), ("normalize", 1),
        ]  # fmt: skip
        expect_crop(made, view, *box)
        expect_jitter(made, view, 0.8, 0.8, 0.8, 0.2)
        expect_normalised(made, view, std=(0.228, 0.224, 0.225))


def test_swav_without_local_views() -> None:
    """2 of 224 with 0.08..1, 400 epochs."""
    made = program("swav", "imagenet_two_views")
    crops = [n for n in made.step.nodes if n.op == "random_resized_crop"]
    assert len(crops) == 2
    for view in ("global_0", "global_1"):
        expect_crop(made, view, 224, 0.08, 1)
    expect_run("swav", "imagenet_two_views", 4096, 400)


def test_swav_net() -> None:
    """2048, batch norm, ReLU, 128 with biases; 3000 prototypes."""
    made = program("swav", "imagenet")
    assert layers(made, "g") == [linear(2048, "bias"), NORM, RELU, linear(128, "bias")]
    assert not backbone(made)[1]["zero_init_residual"]
    (weight,) = made.weights
    assert (weight.shape, weight.initialiser, weight.constraint) == (
        (3000, 128), "uniform_fan_in", "unit_rows",
    )  # fmt: skip


def test_swav_pairs() -> None:
    """Codes of the two large views, each predicted from the seven others; the mean of 14."""
    made = program("swav", "imagenet")
    codes = [n for n in made.step.nodes if n.op == "stop_grad"]
    assert [n.name for n in codes] == ["code_global_0", "code_global_1"]
    terms = [
        n for n in made.step.nodes if n.scope.startswith("cross_entropy/") and n.op == "negative"
    ]
    assert len(terms) == 14
    assert made.step.node("loss").inputs[1] == 14
    uses = [n for n in made.step.nodes if "code_global_0" in n.references]
    assert len(uses) == 7


def test_swav_sinkhorn() -> None:
    """exp(s / 0.05), three rounds; clusters first, rows last; scores over 0.1 in the loss."""
    made = program("swav", "imagenet")
    sums = [n for n in made.step.nodes if n.scope.startswith("sinkhorn/") and n.op == "sum"]
    assert [n.setting("axis") for n in sums[:7]] == [None, 0, 1, 0, 1, 0, 1]
    assert len(sums) == 14
    assert temperature(made) == {0.05, 0.1}


def test_swav_recipe() -> None:
    """0.3 to 4.8 in 10 epochs, to 0.0048 by steps; batch norm over 8 x 64 images; no queue."""
    expect_run("swav", "imagenet", 4096, 800)
    found = numbers("swav", "imagenet", 0, 10, 405, 799.99)
    assert found[:3] == pytest.approx([0.3, 4.8, (4.8 + 0.0048) / 2])
    assert found[3] == pytest.approx(0.0048, rel=1e-3)
    made = program("swav", "imagenet")
    assert {n.setting("group") for n in made.step.nodes if n.op == "apply"} == {512}
    assert made.states == ()
    epochs = {r: recipe_of("swav", r).length.value for r in
              ("imagenet_100", "imagenet_200", "imagenet_400")}  # fmt: skip
    assert list(epochs.values()) == [100, 200, 400]


def test_swav_recipe_at_batch_256() -> None:
    """Batch 256, 200 or 400 epochs, a queue of 3840."""
    expect_run("swav", "imagenet_256", 256, 200)
    expect_run("swav", "imagenet_256_400", 256, 400)
    assert [s.shape for s in program("swav", "imagenet_256").states] == [(3840, 128)] * 2


def test_swavs_epsilon_can_be_lowered() -> None:
    """The authors' advice where the loss stands at ln 3000 = 8.006."""
    made = sslang.load(ROOT / "specs" / "swav.ssl", "imagenet_256", ("epsilon=0.03",))
    assert temperature(made) == {0.03, 0.1}
    assert math.log(3000) == pytest.approx(8.006, abs=1e-3)


# --- BYOL ------------------------------------------------------------------------------------


def test_byol_views() -> None:
    """Crop, flip, jitter, grey, blur of all or 1 in 10, solarise of none or 2 in 10."""
    made = program("byol", "imagenet")
    first = [("random_resized_crop", 1.0), ("horizontal_flip", 0.5), ("color_jitter", 0.8),
             ("grayscale", 0.2)]  # fmt: skip
    assert operations(made, "a") == [*first, ("gaussian_blur", 1), ("normalize", 1)]
    assert operations(made, "b") == [
        *first, ("gaussian_blur", 0.1), ("solarize", 0.2), ("normalize", 1),
    ]  # fmt: skip
    for view in ("a", "b"):
        expect_crop(made, view, 224, 0.08, 1)
        expect_jitter(made, view, 0.4, 0.4, 0.2, 0.1)
        assert of(made, view, "gaussian_blur").get("per", "row") == "row"  # a sigma an image
        expect_normalised(made, view)


def test_byol_nets() -> None:
    """4096 with a bias, batch norm, ReLU, 256 without; zero last scales; norms view by view."""
    made = program("byol", "imagenet")
    head = [linear(4096, "bias"), NORM, RELU, linear(256)]
    assert layers(made, "projector") == layers(made, "predictor") == head
    assert backbone(made)[1]["zero_init_residual"]
    applied = [n for n in made.step.nodes if n.op == "apply"]
    assert {(n.setting("views"), n.setting("group")) for n in applied} == {(1, 0)}
    norms = [s for p, s in made.net("projector").stages if p.endswith("batch_norm")]
    assert norms[0]["momentum"] == 0.1


def test_byol_predicts_the_targets_projection() -> None:
    """The average has no predictor; unit rows with an epsilon of 1e-12."""
    made = program("byol", "imagenet")
    (plan,) = made.averages
    assert plan.pairs == (("target.f", "f"), ("target.projector", "projector"))
    assert {n.inputs[1] for n in made.step.nodes if n.op == "maximum"} == {1e-24}


@pytest.mark.parametrize(
    ("recipe", "epochs", "rate", "decay", "first"),
    [
        ("imagenet_100", 100, 0.45, 1e-6, 0.99), ("imagenet_300", 300, 0.3, 1e-6, 0.99),
        ("imagenet", 1000, 0.2, 1.5e-6, 0.996),
    ],
)  # fmt: skip
def test_byol_recipes(recipe: str, epochs: int, rate: float, decay: float, first: float) -> None:
    """Base rate times 4096 / 256, 10 epochs of warm-up, a cosine to 0; momentum by steps to 1."""
    expect_run("byol", recipe, 4096, epochs)
    expect_lars("byol", recipe, decay)
    peak = 16 * rate
    found = numbers("byol", recipe, 0, 5, 10, 10 + (epochs - 10) / 2)
    assert found == pytest.approx([0, peak / 2, peak, peak / 2])
    expected = [half_cosine(first, 1, t) for t in (0, 0.25, 0.5)]
    assert momentum("byol", recipe, 0, 0.25, 0.5) == pytest.approx(expected)


# --- SimSiam ---------------------------------------------------------------------------------


def test_simsiam_views_are_moco_v2s() -> None:
    ours, theirs = program("simsiam", "imagenet"), program("mocov2", "imagenet")
    for view in ("a", "b"):
        assert operations(ours, view) == operations(theirs, "query")
        expect_crop(ours, view, 224, 0.2, 1)
        expect_jitter(ours, view, 0.4, 0.4, 0.4, 0.1)


def test_simsiam_nets() -> None:
    """Three layers of 2048, a norm after each, the last plain; 512 between, a bias, no norm."""
    made = program("simsiam", "imagenet")
    hidden = [linear(2048), NORM, RELU]
    assert layers(made, "projector") == [*hidden, *hidden, linear(2048), PLAIN]
    assert layers(made, "predictor") == [linear(512), NORM, RELU, linear(2048, "bias")]
    assert backbone(made)[1]["zero_init_residual"]
    applied = [n for n in made.step.nodes if n.op == "apply"]
    assert {(n.setting("views"), n.setting("group")) for n in applied} == {(1, 0)}
    assert made.averages == () and made.states == ()


@pytest.mark.parametrize(
    ("recipe", "batch", "epochs"),
    [("imagenet", 512, 100), ("imagenet_256", 256, 100), ("imagenet_800", 512, 800)],
)
def test_simsiam_recipes(recipe: str, batch: int, epochs: int) -> None:
    """SGD 0.05 times batch / 256, decay of all, a cosine by epochs; the predictor's constant."""
    expect_run("simsiam", recipe, batch, epochs)
    found = recipe_of("simsiam", recipe)
    assert isinstance(found.optimizer, Sgd)
    assert (found.optimizer.momentum, found.optimizer.weight_decay) == (0.9, 1e-4)
    base = 0.05 * batch / 256
    rates = numbers("simsiam", recipe, 0, 0.99, 1, epochs / 2)
    assert rates == pytest.approx([base, base, half_cosine(base, 0, 1 / epochs), base / 2])
    (group,) = found.groups
    assert (str(group.selector), group.lr, group.weight_decay) == ("predictor", base, None)


def test_simsiam_on_cifar10() -> None:
    """ResNet-18, a projector of two layers of 2048, no blur, decay 5e-4, 800 epochs."""
    made = program("simsiam", "cifar10")
    expect_run("simsiam", "cifar10", 512, 800)
    assert layers(made, "projector") == [linear(2048), NORM, RELU, linear(2048), PLAIN]
    blurs = [n.setting("probability") for n in made.step.nodes if n.op == "gaussian_blur"]
    assert not any(blurs)
    settings = backbone(made)[1]
    assert (settings["depth"], settings["stem"]) == (18, "small")
    assert numbers("simsiam", "cifar10", 0) == pytest.approx([0.03 * 2])
    assert recipe_of("simsiam", "cifar10").optimizer.weight_decay == 5e-4


# --- DINO ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "large", "local"),
    [("imagenet", (0.4, 1), (0.05, 0.4)), ("imagenet_resnet50", (0.14, 1), (0.05, 0.14))],
)
def test_dino_views(recipe: str, large: tuple[float, float], local: tuple[float, float]) -> None:
    """Two of 224 that differ in blur and solarisation, eight of 96; bicubic. SwAV's areas for a
    ResNet-50.
    """
    made = program("dino", recipe)
    blurs = {"first": 1, "second": 0.1, **{f"local_{i}": 0.5 for i in range(8)}}
    for view, blur in blurs.items():
        solarise = [("solarize", 0.2)] if view == "second" else []
        assert operations(made, view) == [
            ("random_resized_crop", 1), ("horizontal_flip", 0.5), ("color_jitter", 0.8),
            ("grayscale", 0.2), ("gaussian_blur", blur), *solarise, ("normalize", 1),
        ]  # fmt: skip
        box = (96, *local) if view.startswith("local") else (224, *large)
        expect_crop(made, view, *box)
        expect_jitter(made, view, 0.4, 0.4, 0.2, 0.1)
        assert of(made, view, "random_resized_crop")["interpolation"] == "bicubic"


def test_dino_head() -> None:
    """2048, 2048, 256 with GELU and no norm; then unit rows; 65536 outputs, normed, no bias."""
    made = program("dino", "imagenet")
    hidden = [linear(2048, "bias"), GELU]
    assert layers(made, "g") == [*hidden, *hidden, linear(256, "bias")]
    inits = {s["init"] for p, s in made.net("g").stages if p.endswith("linear")}
    assert inits == {"truncated_0.02"}
    assert layers(made, "last") == [linear(65536)]


@pytest.mark.parametrize(
    ("recipe", "gain"),
    [("imagenet", "frozen"), ("imagenet_300", "trained"), ("imagenet_base", "frozen"),
     ("imagenet_resnet50", "frozen")],
)  # fmt: skip
def test_dino_trains_the_gain_of_vit_s_alone(recipe: str, gain: str) -> None:
    (stage,) = program("dino", recipe).net("last").stages
    assert stage[1]["weight_norm"] == gain


def test_dino_transformer() -> None:
    """Learned positions, 6 heads in ViT-S; drop path in the student alone."""
    made = program("dino", "imagenet")
    settings = backbone(made)[1]
    found = [settings[n] for n in ("patch", "width", "depth", "heads", "position")]
    assert found == [16, 384, 12, 6, "learned"]
    rates = {n.setting("net"): n.setting("drop_path", 0) for n in made.step.nodes
             if n.op == "apply"}  # fmt: skip
    assert (rates["f"], rates["teacher.f"]) == (0.1, 0)


def test_dino_pairs() -> None:
    """The teacher sees two views, the student ten; the mean of 18 pairs, none of one view."""
    made = program("dino", "imagenet")
    applied = [(n.setting("net"), n.setting("views")) for n in made.step.nodes if n.op == "apply"]
    assert applied == [
        ("f", 2), ("f", 8), ("g", 10), ("last", 10),
        ("teacher.f", 2), ("teacher.g", 2), ("teacher.last", 2),
    ]  # fmt: skip
    assert made.step.node("loss").inputs[1] == 18


def test_dino_batch_norm_is_over_the_whole_batch() -> None:
    nodes = program("dino", "imagenet_resnet50").step.nodes
    assert {n.setting("group") for n in nodes if n.op == "apply"} == {0}


@pytest.mark.parametrize(("recipe", "batch", "epochs"), [
    ("imagenet", 512, 100), ("imagenet_300", 1024, 300), ("imagenet_base", 1024, 300),
])  # fmt: skip
def test_dino_recipe_of_a_transformer(recipe: str, batch: int, epochs: int) -> None:
    """AdamW 0.0005 times batch / 256, linspace of 10 epochs, to 1e-6; decay 0.04 to 0.4; 3.0."""
    expect_run("dino", recipe, batch, epochs)
    found = recipe_of("dino", recipe)
    assert isinstance(found.optimizer, AdamW)
    assert found.clip == TensorNorm(limit=3.0)
    peak = 0.0005 * batch / 256
    rates = numbers("dino", recipe, 0, 10 - 1 / EPOCH, 10, epochs - 1e-9)
    assert rates == pytest.approx([0, peak, peak, 1e-6], rel=1e-3)
    assert numbers("dino", recipe, 5) == pytest.approx([peak * 500 / (10 * EPOCH - 1)])
    decays = numbers("dino", recipe, 0, epochs / 2, epochs - 1e-9, what="weight_decay")
    assert decays == pytest.approx([0.04, 0.22, 0.4], rel=1e-4)


def test_dino_warms_the_teacher_up() -> None:
    """Constant at 0.04 by default; 0.04 to 0.07 in 30 epochs, both ends in it, by epochs."""
    assert program("dino", "imagenet").schedules == {}
    for recipe in ("imagenet_300", "imagenet_base"):
        (schedule,) = program("dino", recipe).schedules.values()
        clocks = [Clock(e * EPOCH + 99, 300 * EPOCH, EPOCH) for e in (0, 1, 29, 30, 299)]
        taus = [value_at(schedule, clock) for clock in clocks]
        assert taus == pytest.approx([0.04, 0.04 + 0.03 / 29, 0.07, 0.07, 0.07])


def test_dino_decays_tokens_and_gains_but_no_bias_and_no_norm() -> None:
    """Excluded are biases and what has one dimension: class token and positions have three."""
    learner = small("dino", "imagenet_300")
    sizes = {n: p.dim() for n, p in learner.method.trained()}
    decayed = {n for g in learner.groups if g.numbers["weight_decay"] != 0 for n in g.names}
    assert decayed == {n for n, size in sizes.items() if size > 1 and not n.endswith(".bias")}
    assert {"f.0.cls_token", "f.0.pos_embed", "last.0.weight_g"} <= decayed


def test_dino_recipe_of_a_resnet() -> None:
    """SGD 0.03 times batch / 256, momentum 0.9, a fixed decay of 1e-4."""
    found = recipe_of("dino", "imagenet_resnet50")
    assert isinstance(found.optimizer, Sgd)
    assert (found.optimizer.momentum, found.optimizer.weight_decay) == (0.9, 1e-4)
    peak = 0.03 * found.batch / 256
    rates = numbers("dino", "imagenet_resnet50", 10, found.length.value - 1e-9)
    assert rates == pytest.approx([peak, 1e-6], rel=1e-3)


def test_dino_freezes_the_last_layer_for_an_epoch() -> None:
    for recipe in ("imagenet", "imagenet_300", "imagenet_base", "imagenet_resnet50"):
        learner = small("dino", recipe)
        (thawing,) = learner.method.thawing
        time, names = thawing
        assert (time.value, time.unit) == (1, "epochs")
        assert names and all(n.startswith("last.") for n in names)


def test_dino_centre_and_temperatures() -> None:
    """The centre begins as 0; tau 0.1 for the student, 0.04 for the teacher."""
    made = program("dino", "imagenet")
    (state,) = made.states
    assert (state.name, state.shape, state.initialiser) == ("center", (65536,), "zeros")
    assert temperature(made) == {0.1, 0.04}


def test_dino_evaluates_by_20_neighbours() -> None:
    """At a temperature of 0.07."""
    (knn, _) = recipe_of("dino", "imagenet").evaluate
    assert (knn.word, getattr(knn, "k", 0), getattr(knn, "temperature", 0)) == ("knn", 20, 0.07)


# --- learned only by building ----------------------------------------------------------------


def test_transformers_have_dinos_or_moco_v3s_positions() -> None:
    """DINO trains its positions, MoCo v3 has none to train."""
    names = {name: dict(small(name, "imagenet").method.nets.named_parameters())
             for name in ("dino", "mocov3_vit")}  # fmt: skip
    assert isinstance(names["dino"]["f.0.pos_embed"], torch.nn.Parameter)
    assert not any("pos_embed" in n for n in names["mocov3_vit"])
