"""SimCLR v2's three phases against their formulas: pretraining, fine-tuning, distillation.

Facts and sources: Chen et al. 2020b, and its released code (TensorFlow 2 where the two differ: the
other never trains the kept layer of the head). Nets, losses and LARS are written here again; the
views and the first weights are the learner's.
"""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sslang
from sslang.api import load_source
from sslang.data.batches import Batches
from sslang.diagnostics import Source
from sslang.emit import draws
from sslang.ir.program import Program
from sslang.model.recipe import Lars as LarsPlan
from sslang.ops.schedules import Clock, value_at
from sslang.train.data import open_data
from sslang.train.learner import Learner
from tests.conftest import ROOT
from tests.fidelity.formulas import Nets, Watched, agree, average, unit
from tests.fidelity.test_banks import SmallResNet18, operations, pictures, setting, views_of

STEPS, ROWS, CLASSES, HIDDEN, DIM, MEMORY = 6, 16, 7, 24, 12, 80
RATES = (0.3, 0.12, 0.5, 0.03, 0.2, 0.003)  # another one at every step
STUDENT_RATES = (0.2, 0.4, 0.05, 0.3, 0.01, 0.1)
SPEC = ROOT / "specs" / "simclrv2.ssl"


def lars(rates: tuple[float, ...], decay: float) -> str:
    return (
        f"optimizer = lars(lr = piecewise({list(rates)}, at = [1, 2, 3, 4, 5] steps), "
        f"momentum = 0.9, weight_decay = {decay}, rate_inside = true)"
    )


RECIPES = f"""
recipe tiny : imagenet {{
    tau            = 0.1
    data           = embedded()
    backbone       = resnet18(width = 0.125, stem = small)
    small_backbone = resnet18(width = 0.125, stem = small)
    size           = 16
    hidden         = {HIDDEN}
    dim            = {DIM}
    memory         = {MEMORY}
    momentum       = 0.9
    batch          = {ROWS}
    length         = 40 steps
    evaluate       = knn()
    {lars(RATES, 1e-2)}
    finetune {{
        batch  = {ROWS}
        length = 40 steps
        groups = [group(bias or norm or classifier, adapt = false)]
        {lars(RATES, 0)}
    }}
    distill {{
        length = 40 steps
        {lars(STUDENT_RATES, 1e-2)}
    }}
}}
recipe tiny_adapted : tiny {{ finetune {{ groups = [group(bias or norm, adapt = false)] }} }}
recipe tiny_memory  : tiny {{ loss = 2 * nt_xent_memory(z, negatives, temperature) }}
recipe tiny_kernels : tiny {{ backbone = resnet50_sk(width = 0.0625, stem = small) }}
"""


def program_of(recipe: str) -> Program:
    source = Source(SPEC.name, SPEC.read_text("utf-8") + RECIPES)
    return load_source(source, recipe)


def learner_of(program: Program, *before: Learner, dtype: torch.dtype = torch.float64) -> Learner:
    """A learner of a phase; nets of those of the phases before it go on."""
    weights: dict[str, Tensor] = {}
    for learner in before:
        weights |= {k: v.clone() for k, v in learner.method.nets.state_dict().items()}
    return sslang.compile(program, images=40, classes=CLASSES, seed=3, dtype=dtype,
                          weights=weights)  # fmt: skip


def labels(step: int, rows: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(step).integers(0, CLASSES, rows))


# --- the formulas ----------------------------------------------------------------------------


class Head(nn.Sequential):
    """Three layers without biases, batch norm after each, the last one without a shift."""

    def __init__(self, inputs: int = 64) -> None:
        super().__init__(
            nn.Linear(inputs, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, HIDDEN, bias=False), nn.BatchNorm1d(HIDDEN), nn.ReLU(),
            nn.Linear(HIDDEN, DIM, bias=False), nn.BatchNorm1d(DIM),
        )  # fmt: skip
        self[7].register_parameter("bias", None)


class Lars:
    """v = 0.9 v + rate r g', g' = g + decay p, r = 0.001 |p| / |g'|, 1 if one of them is 0.

    p = p - v. Vectors and `plain` ones have r = 1 and no decay. What has no gradient stays.
    """

    def __init__(self, decay: float, plain: tuple[str, ...] = ()) -> None:
        self.decay, self.plain = decay, plain
        self.velocity: dict[str, Tensor] = {}

    def step(self, parameters: dict[str, nn.Parameter], rate: float) -> None:
        for name, p in parameters.items():
            if p.grad is None:
                continue
            change, trust = p.grad.clone(), 1.0
            if p.dim() > 1 and name not in self.plain:
                change += self.decay * p.data
                norms = float(p.data.square().sum().sqrt()), float(change.square().sum().sqrt())
                trust = 0.001 * norms[0] / norms[1] if min(norms) > 0 else 1.0
            self.velocity[name] = 0.9 * self.velocity.get(name, 0.0) + rate * trust * change
            p.data -= self.velocity[name]


def contrast(z: Tensor, memory: Tensor | None = None, temperature: float = 0.1) -> Tensor:
    """Twice the paper's mean over 2N rows: both views' means are added.

    Row by row: its other view against all rows but itself, and those of the memory.
    """
    rows, total = len(z) // 2, z.new_zeros(())
    for i in range(2 * rows):
        others = [j for j in range(2 * rows) if j != i]
        scores = z[others] @ z[i] / temperature
        if memory is not None:
            scores = torch.cat([scores, memory @ z[i] / temperature])
        positive = others.index((i + rows) % (2 * rows))
        total = total - (scores[positive] - scores.exp().sum().log()) / rows
    return total


def entropy_of(logits: Tensor, target: Tensor) -> Tensor:
    """-sum of target * log share, the mean over rows."""
    shares = logits.exp() / logits.exp().sum(1, keepdim=True)
    return -(target * shares.log()).sum(1).mean()


class Reference:
    """Nets that take a learner's steps with LARS."""

    def __init__(
        self, learner: Learner, modules: dict[str, nn.Module], trained: tuple[str, ...],
        optimizer: Lars, rates: tuple[float, ...],
    ) -> None:  # fmt: skip
        encoders = ("f", "student", "target.f")
        prefixes = {n: f"{n}.0." if n in (*encoders, *_LINEAR) else f"{n}." for n in modules}
        self.learner, self.nets = learner, Nets(modules, prefixes)
        self.nets.start_from(learner)
        self.watched, self.trained = Watched(learner), trained
        self.optimizer, self.rates = optimizer, rates

    def finish(self, step: int, ours: Tensor, loss: Tensor) -> None:
        agree(ours, loss.detach(), f"loss of step {step}")
        parameters = self.nets.named(self.trained)
        for parameter in parameters.values():
            parameter.grad = None
        torch.autograd.backward(loss)
        self.watched.compare(parameters)
        self.optimizer.step(parameters, self.rates[step])
        self.nets.settle()


_LINEAR = ("classifier", "readout")


# --- pretraining -----------------------------------------------------------------------------


def test_pretraining() -> None:
    """A head of three layers, one batch of both views, the rate inside LARS's momentum.

    The queue of the spec is no part of it: the released code has none.
    """
    learner = learner_of(program_of("tiny"))
    assert learner.program.states == () and learner.program.averages == ()
    modules: dict[str, nn.Module] = {"f": SmallResNet18(), "g": Head()}
    reference = Reference(learner, modules, ("f", "g"), Lars(1e-2), RATES)
    for step in range(STEPS):
        pixels = pictures(ROWS, step)
        views = views_of(learner, pixels)
        ours = learner.train_step(pixels)
        loss = contrast(unit(modules["g"](modules["f"](torch.cat(views)))))
        reference.finish(step, ours.loss, loss)
        reference.nets.compare(learner)


def test_pretraining_with_the_papers_memory() -> None:
    """A queue of the average's outputs: further negatives of every row, appended after the loss.

    The average follows after the step, its batch norms see the batch of both views. The queue's
    end falls inside a batch.
    """
    learner = learner_of(program_of("tiny_memory"))
    modules: dict[str, nn.Module] = {"f": SmallResNet18(), "g": Head()}
    modules |= {"target.f": SmallResNet18(), "target.g": Head()}
    reference = Reference(learner, modules, ("f", "g"), Lars(1e-2), RATES)
    for ours, theirs in (("f", "target.f"), ("g", "target.g")):
        for a, b in zip(modules[ours].parameters(), modules[theirs].parameters(), strict=True):
            assert torch.equal(a, b)
    queue = learner.method.state("negatives").clone()
    assert queue.shape == (MEMORY, DIM) and MEMORY % (2 * ROWS)
    lengths = queue.square().sum(1)  # drawn as float32
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=0, atol=1e-6)
    for step in range(STEPS):
        pixels = pictures(ROWS, step)
        views = torch.cat(views_of(learner, pixels))
        ours = learner.train_step(pixels)
        with torch.no_grad():
            keys = unit(modules["target.g"](modules["target.f"](views)))
        reference.finish(step, ours.loss, contrast(unit(modules["g"](modules["f"](views))), queue))
        for name in ("f", "g"):
            average(modules[f"target.{name}"], modules[name], 0.9)
        queue = torch.cat([queue, keys])[-MEMORY:]
        reference.nets.compare(learner)
        agree(learner.method.state("negatives"), queue, f"queue after step {step}")


def test_a_step_with_selective_kernels_is_its_own_modules_step() -> None:
    """The loss, and the gradient of every parameter, are those of head and net applied by hand."""
    learner = learner_of(program_of("tiny_kernels"))
    nets = copy.deepcopy(learner.method.nets)
    pixels = pictures(ROWS, 0)
    views = views_of(learner, pixels)
    watched = Watched(learner)
    ours = learner.train_step(pixels)
    features = nets.get_submodule("f")(torch.cat(views))
    assert features.shape == (2 * ROWS, 4 * 8 * 4)
    loss = contrast(unit(nets.get_submodule("g")(features)))
    agree(ours.loss, loss.detach(), "loss")
    loss.backward()
    watched.compare(dict(nets.named_parameters()))
    assert any("squeeze" in name for name in watched.gradients)


# --- fine-tuning -----------------------------------------------------------------------------


def pretrained(
    recipe: str, steps: int = 2, dtype: torch.dtype = torch.float64
) -> tuple[Program, Learner]:
    program = program_of(recipe)
    learner = learner_of(program.phases[0], dtype=dtype)
    for step in range(steps):
        learner.train_step(pictures(ROWS, 100 + step))
    return program, learner


@pytest.mark.parametrize("recipe", ["tiny", "tiny_adapted"])
def test_fine_tuning(recipe: str) -> None:
    """From inside the head: its first layer is kept, with norm and ReLU, and is trained.

    Zeros to begin with in the classifier, no decay. The later layers have no gradient, do not
    move, and gather no statistics. With `tiny` the classifier has no rate of its own in LARS, as
    in the code; with `tiny_adapted` it has.
    """
    program, before = pretrained(recipe)
    learner = learner_of(program.phases[1], before)
    modules = {"f": SmallResNet18(), "g": Head(), "classifier": nn.Linear(HIDDEN, CLASSES)}
    plain = ("classifier.0.weight",) if recipe == "tiny" else ()
    reference = Reference(learner, modules, tuple(modules), Lars(0.0, plain), RATES)
    first = {k: v.clone() for k, v in learner.method.nets.state_dict().items()}
    assert not first["classifier.0.weight"].any() and not first["classifier.0.bias"].any()
    for step in range(STEPS):
        pixels, label = pictures(ROWS, step), labels(step, ROWS)
        (x,) = views_of(learner, pixels)
        ours = learner.train_step(pixels, label=label)
        hidden = x
        for part in (modules["f"], *list(modules["g"])[:3], modules["classifier"]):
            hidden = part(hidden)
        target = torch.zeros_like(hidden).scatter(1, label[:, None], 1.0)
        reference.finish(step, ours.loss, entropy_of(hidden, target))
        reference.nets.compare(learner)
    names = set(reference.watched.gradients)
    assert {n for n in names if n.startswith("g.")} == {"g.0.weight", "g.1.weight", "g.1.bias"}
    last = learner.method.nets.state_dict()
    for name, value in first.items():
        stays = name.startswith(("g.3.", "g.4.", "g.6.", "g.7."))
        if "num_batches" not in name:
            assert torch.equal(last[name], value) == stays, name


def test_fine_tuning_asks_for_labels() -> None:
    program, before = pretrained("tiny", steps=0)
    with pytest.raises(ValueError, match="label="):
        learner_of(program.phases[1], before).train_step(pictures(ROWS, 0))


def test_fine_tuning_from_below_the_head() -> None:
    """With all labels, `tuned = f | classifier`: no part of the head is there."""
    phase = program_of("imagenet_all_labels").phases[1]
    assert {net.name for net in phase.nets} == {"f", "classifier"}
    kept = program_of("imagenet").phases[1]
    (applied,) = [n for n in kept.step.nodes if dict(n.settings).get("net") == "g"]
    assert (applied.setting("start"), applied.setting("stop")) == (0, 3)
    (g,) = [net for net in kept.nets if net.name == "g"]
    assert [path.rpartition(".")[2] for path, _ in g.stages[:3]] == ["linear", "batch_norm", "relu"]


def test_batches_of_fine_tuning_are_labelled_images() -> None:
    """Those with a class, in their order, by their own numbers; other phases take all images."""
    program = program_of("tiny")
    data = [open_data(phase) for phase in program.phases]
    everything = data[0].train
    known = [i for i in range(len(everything)) if everything.label(i) >= 0]
    assert 0 < len(known) < len(everything) == len(data[2].train)
    labelled = data[1].train
    assert len(labelled) == data[1].dims["dataset"] == len(known)
    every, seen = torch.from_numpy(everything.array()), set()
    batches = Batches(labelled, 64, last_batch="drop", seed=0, phase="finetune", device="cpu",
                      workers=0)  # fmt: skip
    with batches:
        for _ in range(len(known) // 64):
            batch = next(batches)
            assert bool((batch.label >= 0).all())
            rows = [known[i] for i in batch.index.tolist()]
            assert batch.label.tolist() == [everything.label(i) for i in rows]
            assert torch.equal(batch.pixels, every[rows].permute(0, 3, 1, 2))
            seen |= set(rows)
    assert len(seen) == 64 * (len(known) // 64)


# --- distillation ----------------------------------------------------------------------------


def test_distillation() -> None:
    """tau^2 times the cross entropy with the teacher's softened answers, on images alone.

    The teacher stands still to the bit: evaluation mode, no gradient. The student has no head.
    """
    program, first = pretrained("tiny")
    second = learner_of(program.phases[1], first)
    for step in range(3):
        second.train_step(pictures(ROWS, 200 + step), label=labels(step, ROWS))
    learner = learner_of(program.phases[2], first, second)
    teacher = {"f": SmallResNet18(), "g": Head(), "classifier": nn.Linear(HIDDEN, CLASSES)}
    modules = {**teacher, "student": SmallResNet18(), "readout": nn.Linear(64, CLASSES)}
    trained = ("student", "readout")
    reference = Reference(learner, modules, trained, Lars(1e-2), STUDENT_RATES)
    for module in teacher.values():
        module.eval()
    before = {k: v.clone() for k, v in learner.method.nets.state_dict().items()}
    tau = 0.1
    for step in range(STEPS):
        pixels = pictures(ROWS, step)
        (x,) = views_of(learner, pixels)
        ours = learner.train_step(pixels)
        with torch.no_grad():
            answer = x
            for part in (teacher["f"], *list(teacher["g"])[:3], teacher["classifier"]):
                answer = part(answer)
            answer = (answer / tau).exp() / (answer / tau).exp().sum(1, keepdim=True)
        logits = modules["readout"](modules["student"](x))
        loss = tau * tau * entropy_of(logits / tau, answer)
        reference.nets.collected = {
            part: found for part, found in reference.nets.collected.items() if part.training
        }
        reference.finish(step, ours.loss, loss)
        reference.nets.compare(learner)
        assert float(answer.max()) > 1.5 / CLASSES  # the teacher has an opinion
    assert all(name.startswith(trained) for name in reference.watched.gradients)
    assert {n for n, _ in learner.method.trained()} == set(reference.watched.gradients)
    after = learner.method.nets.state_dict()
    for name, value in before.items():
        if "num_batches" not in name:
            assert torch.equal(after[name], value) != name.startswith(trained), name


# --- from phase to phase ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nets_live_on_to_the_bit_and_all_else_starts_anew(dtype: torch.dtype) -> None:
    """The memory, the average and the optimizer are pretraining's; new nets begin by their name."""
    program, first = pretrained("tiny_memory", dtype=dtype)
    assert first.program.states and first.program.averages and first.optimizer.state
    second = learner_of(program.phases[1], first, dtype=dtype)
    assert second.program.states == () and second.program.averages == ()
    assert second.step == 0 and not second.optimizer.state
    carried, own = first.method.nets.state_dict(), second.method.nets.state_dict()
    shared = {k for k in own if k.startswith(("f.", "g."))}
    assert shared and shared <= carried.keys()
    assert all(torch.equal(own[k], carried[k]) for k in shared)
    assert {k.partition(".")[0] for k in own} == {"f", "g", "classifier"}
    for step in range(2):
        second.train_step(pictures(ROWS, step), label=labels(step, ROWS))
    third = learner_of(program.phases[2], first, second, dtype=dtype)
    alone = learner_of(program.phases[2], dtype=dtype)
    tuned, last = second.method.nets.state_dict(), third.method.nets.state_dict()
    assert all(torch.equal(last[k], tuned[k]) for k in tuned)
    fresh = alone.method.nets.state_dict()
    new = {k for k in last if k not in tuned}
    assert {k.partition(".")[0] for k in new} == {"student", "readout"}
    assert all(torch.equal(last[k], fresh[k]) for k in new)
    assert third.step == 0 and not third.optimizer.state


def test_a_state_that_two_phases_use_starts_anew() -> None:
    """Top-level nets live on, a top-level queue does not."""
    text = """
method "two phases"
view a, b = random_resized_crop(16)
encoder f = resnet18(width = 0.125, stem = small)
head g = linear(4)
branch q = f | g | l2_normalize
queue seen[48] = sphere(4)
seen <- stop_grad(q(b))
loss = info_nce(q(a), q(b), seen, 0.2)
features = f(a)
phase again { loss = info_nce(q(b), q(a), seen, 0.1) }
recipe default {
    data = embedded()
    batch = 16
    length = 40 steps
    optimizer = sgd(lr = 0.1, momentum = 0.9)
}
"""
    program = load_source(Source("two.ssl", text))
    first = learner_of(program.phases[0], dtype=torch.float32)
    begun = first.method.state("seen").clone()
    for step in range(2):
        first.train_step(pictures(ROWS, step))
    moved = first.method.state("seen")
    assert torch.equal(moved[:16], begun[32:]) and not torch.equal(moved, begun)
    second = learner_of(program.phases[1], first)
    assert torch.equal(second.method.state("seen"), begun)
    assert torch.equal(
        second.method.net("f")[0].conv1.weight, first.method.net("f")[0].conv1.weight
    )


# --- the recipes -----------------------------------------------------------------------------


def rates(program: Program, batches_per_epoch: int, *epochs: float) -> list[float]:
    recipe = program.spec.recipe
    assert recipe is not None
    total = recipe.length.steps(batches_per_epoch)
    return [
        value_at(recipe.optimizer.lr, Clock(round(e * batches_per_epoch), total, batches_per_epoch))
        for e in epochs
    ]


def test_pretrainings_recipe() -> None:
    """0.1 sqrt(4096) = 6.4 after 40 of 800 epochs, then half a cosine; decay 1e-4; the views."""
    program = program_of("imagenet").phases[0]
    for view in ("a", "b"):
        assert operations(program, view) == [
            ("random_resized_crop", 1), ("horizontal_flip", 0.5), ("color_jitter", 0.8),
            ("grayscale", 0.2), ("gaussian_blur", 0.5),
        ]  # fmt: skip
    strengths = [setting(program, "color_jitter", n) for n in
                 ("brightness", "contrast", "saturation", "hue", "brightness_mode")]  # fmt: skip
    assert strengths == [0.8, 0.8, 0.8, 0.2, "multiplicative"]
    recipe = program.spec.recipe
    assert recipe is not None
    assert (recipe.batch, str(recipe.length), recipe.last_batch) == (4096, "800 epochs", "drop")
    optimizer = recipe.optimizer
    assert isinstance(optimizer, LarsPlan)
    assert (optimizer.momentum, optimizer.weight_decay, optimizer.trust) == (0.9, 1e-4, 0.001)
    assert optimizer.rate_inside and not optimizer.separate_norms
    assert rates(program, 10, 0, 20, 40, 420, 800) == pytest.approx([0, 3.2, 6.4, 3.2, 0])
    texts = program.spec.text
    assert "temperature = 0.1" in " ".join(texts.split())
    (g,) = [net for net in program.nets if net.name == "g"]
    widths = [settings["width"] for path, settings in g.stages if path.endswith(".linear")]
    inputs = [settings["in_width"] for path, settings in g.stages if path.endswith(".linear")]
    assert (widths, inputs) == ([6144, 6144, 128], [6144, 6144, 6144])
    assert all(not s["bias"] and s["init"] == "normal_0.01" for p, s in g.stages if "linear" in p)
    norms = [(s["scale"], s["shift"]) for p, s in g.stages if p.endswith("batch_norm")]
    assert norms == [(True, True), (True, True), (True, False)]


def test_the_papers_memory_is_of_65536_rows_and_momentum_0999() -> None:
    program = program_of("imagenet_memory").phases[0]
    (state,), (mean,) = program.states, program.averages
    assert state.name == "negatives" and "memory = 65536" in " ".join(program.spec.text.split())
    assert (mean.branch, value_at(mean.momentum, Clock(5, 100, 10))) == ("target", 0.999)
    assert not mean.buffers and not mean.fresh


def test_fine_tunings_recipe() -> None:
    """0.005 sqrt(1024) = 0.16 at once, a cosine to 0, no decay, 60 epochs; crop and flip alone."""
    program = program_of("imagenet").phases[1]
    assert operations(program, "x") == [("random_resized_crop", 1), ("horizontal_flip", 0.5)]
    recipe = program.spec.recipe
    assert recipe is not None
    assert (recipe.batch, str(recipe.length)) == (1024, "60 epochs")
    optimizer = recipe.optimizer
    assert isinstance(optimizer, LarsPlan)
    assert (optimizer.momentum, optimizer.weight_decay, optimizer.rate_inside) == (0.9, 0, True)
    assert rates(program, 10, 0, 30, 60) == pytest.approx([0.16, 0.08, 0])
    assert all(group.weight_decay is None for group in recipe.groups)
    everything = program_of("imagenet_all_labels").phases[1].spec.recipe
    assert everything is not None and str(everything.length) == "30 epochs"


def test_the_codes_fine_tuning_has_no_layer_wise_rate_in_the_classifier() -> None:
    """LARS leaves out names with batch_normalization, bias or head_supervised: its kernel, too."""
    text = SPEC.read_text("utf-8") + RECIPES.replace(
        "groups = [group(bias or norm or classifier, adapt = false)]", ""
    )
    phase = load_source(Source(SPEC.name, text), "tiny").phases[1]
    groups = learner_of(phase).groups
    assert [g.adapt for g in groups if "classifier.0.weight" in g.names] == [False]


def test_the_codes_fine_tuning_crops_as_its_pretraining_does() -> None:
    """The same boxes and the same bicubic resize in both phases."""
    first, second, third = program_of("imagenet").phases
    for name in ("box", "interpolation", "antialias", "scale"):
        expected = setting(first, "random_resized_crop", name)
        assert setting(second, "random_resized_crop", name) == expected
        assert setting(third, "random_resized_crop", name) == expected


def test_distillations_recipe() -> None:
    """400 epochs without labels; tau 1 into a smaller net, 0.1 into itself."""
    for recipe, tau in (("imagenet", 1.0), ("imagenet_resnet50", 0.1)):
        program = program_of(recipe).phases[2]
        assert program.reads == frozenset()
        assert program.fixed == frozenset({"f", "g", "classifier"})
        plan = program.spec.recipe
        assert plan is not None and str(plan.length) == "400 epochs"
        text = " ".join(program.spec.text.split())
        assert f"tau = {tau:g}" in text or f"tau = {tau}" in text
        student = [net.name for net in program.nets if net.name not in program.fixed]
        assert student == ["student", "readout"]
        assert operations(program, "x") == [("random_resized_crop", 1), ("horizontal_flip", 0.5)]


def test_the_residual_net_is_selective_152_at_three_times_the_width() -> None:
    program = program_of("imagenet").phases[0]
    (f,) = [net for net in program.nets if net.name == "f"]
    path, settings = f.stages[0]
    assert path.endswith("sk_resnet")
    assert (settings["depth"], settings["width"]) == (152, 3)
    nodes = {n.name: n for n in program.step.nodes}
    assert str(nodes["f"].type) == "[2*batch, 6144]"
    assert math.isclose(float(settings.get("ratio", 0.0625)), 0.0625)  # type: ignore[arg-type]


def test_draws_differ_between_phases() -> None:
    """The view `x` of fine-tuning and of distillation: another stream of crops and flips."""
    program, before = pretrained("tiny", steps=0)
    second = learner_of(program.phases[1], before)
    third = learner_of(program.phases[2], before, second)
    pixels = pictures(ROWS, 0)
    (x,), (again,), (other,) = (views_of(each, pixels) for each in (second, second, third))
    assert torch.equal(x, again) and not torch.equal(x, other)
    keys = [draws.stream_key(3, phase, "view/x/0") for phase in ("finetune", "distill")]
    assert not np.array_equal(*keys)
