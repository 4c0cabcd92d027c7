"""Defects and silent deviations of other libraries, each with the test that sslang has none.

Found in lightly 1.6, solo-learn, VISSL and in loops written by hand, beside the released code of
the papers. Where lightly has the defect and it is cheap to show, the test shows it.
"""

from __future__ import annotations

import copy
import math
import re
from functools import cache

import numpy as np
import pytest
import torch
from lightly.loss import NTXentLoss
from lightly.loss.memory_bank import MemoryBankModule
from lightly.models.modules import (
    BYOLPredictionHead,
    DINOProjectionHead,
    MoCoProjectionHead,
    SwaVPrototypes,
)
from lightly.utils.lars import LARS
from lightly.utils.scheduler import cosine_schedule
from torch import Tensor, nn

import sslang
from sslang.checks import check_file
from sslang.diagnostics import DiagnosticError, Source
from sslang.emit.states import append_rows
from sslang.ir.program import Program
from sslang.model.recipe import TensorNorm
from sslang.ops.schedules import Clock, value_at
from sslang.train.learner import Learner
from sslang.train.optimizers import LARS_RULES, Lars, clip_gradients
from tests.conftest import ROOT, TINY
from tests.fidelity.test_methods import images
from tests.fidelity.test_passes_agree import stepped

# What is wrong, by library, and the test here that shows that sslang is right.
DEFECTS = {
    "loops by hand: the queue is written before the loss, so that positives are negatives":
        "test_queue_is_read_before_it_is_written",
    "loops by hand: DINO's centre is not in the checkpoint":
        "test_centre_is_in_the_checkpoint_and_survives_resume",
    "loops by hand: the centre moves once a view":
        "test_centre_moves_once_a_step",
    "loops by hand: a warm-up in epochs is read as steps":
        "test_warmup_in_epochs_is_not_read_as_steps",
    "loops by hand: unknown keys of a configuration are ignored":
        "test_unknown_recipe_field_is_an_error",
    "loops by hand: a net without gradient is found after the first backward pass":
        "test_a_net_without_gradient_is_found_before_training",
    "lightly: the queue is lost on resume":
        "test_queue_is_in_the_checkpoint_and_survives_resume",
    "lightly: the end of a batch that passes the queue's end is dropped":
        "test_no_row_is_lost_where_a_batch_passes_the_queues_end",
    "lightly: the queue moves only where the query needs a gradient":
        "test_queue_moves_whether_or_not_there_is_a_gradient",
    "lightly: SwAV's prototypes have a bias":
        "test_prototypes_have_no_bias",
    "lightly: SwAV's backbone and head run once a crop":
        "test_backbone_runs_once_a_resolution_and_the_head_once",
    "lightly: SwAV's queue is out of use at the start of every epoch":
        "test_swavs_queue_stays_in_use_when_an_epoch_begins",
    "lightly: SwAV's prototypes are frozen for an epoch, whatever its length":
        "test_prototypes_are_frozen_for_so_many_steps",
    "lightly: SwAV warms up at batch 256":
        "test_swav_at_batch_256_has_no_warmup",
    "lightly: NT-Xent is half of SimCLR's code":
        "test_nt_xent_is_the_codes_twice_the_papers",
    "lightly: SimCLR's inputs are normalised by mean and deviation":
        "test_simclr_inputs_are_not_normalised",
    "lightly: SimCLR's blur draws its sigma once an image":
        "test_simclr_blur_draws_one_sigma_a_batch",
    "lightly: MoCo's key head is drawn on its own":
        "test_key_head_is_a_copy",
    "lightly: MoCo v1 has SimCLR's order of operations and jitters 8 of 10 images":
        "test_moco_v1_jitters_every_image_after_the_grey",
    "lightly: MoCo decays neither biases nor norms":
        "test_moco_decays_biases_and_norms_too",
    "lightly: MoCo's cosine moves every step":
        "test_moco_v2s_rate_falls_once_an_epoch",
    "lightly: BYOL's last layers have a bias":
        "test_byols_last_layers_have_no_bias",
    "lightly: BYOL's loss lacks its constant":
        "test_byols_loss_is_a_squared_distance",
    "lightly: BYOL averages at the start of a step, with the momentum of the next":
        "test_byol_averages_after_the_step_with_its_momentum",
    "lightly: BYOL's cosine is over T - 1 steps":
        "test_byols_momentum_is_a_cosine_over_all_steps",
    "lightly: DINO's teacher and student heads are not equal at the start":
        "test_teacher_and_student_heads_are_equal_at_the_start",
    "lightly: DINO clips all gradients together":
        "test_clip_is_per_tensor",
    "lightly: DINO has 6 local views":
        "test_dino_has_eight_local_views",
    "lightly: DINO averages at the start of a step":
        "test_dino_averages_after_the_step",
    "lightly: LARS adapts no group without weight decay":
        "test_lars_adapts_a_group_without_decay",
    "solo-learn: MoCo v2+ is symmetric, with a queue for each view":
        "test_moco_is_one_direction_with_one_queue",
    "solo-learn: MoCo v2+ synchronises batch norm and does not shuffle":
        "test_moco_shuffles_its_keys_and_groups_its_batch_norm",
    "solo-learn: MoCo v2+ raises the momentum from 0.99 to 0.999":
        "test_mocos_momentum_is_constant",
    "solo-learn: SwAV's prototypes are normalised inside the graph":
        "test_prototypes_are_normalised_outside_the_graph",
    "solo-learn: SwAV's queue is filled from step 0 and used while partly zero":
        "test_swavs_queue_begins_late_and_is_unused_until_full",
    "solo-learn: LARS bounds the local rate by the global one":
        "test_lars_does_not_bound_the_local_rate",
    "VISSL: SwAV's prototypes are normalised after the update alone":
        "test_prototypes_are_unit_rows_in_the_first_step_and_after_loading",
    "VISSL: SwAV's queue begins as random rows":
        "test_swavs_queue_begins_with_no_rows",
    "VISSL: InstDisc's bank begins normalised":
        "test_bank_does_not_begin_normalised",
    "all: running statistics of an average are averaged, or are its student's":
        "test_running_statistics_of_an_average_are_its_own",
}  # fmt: skip
# What one process cannot show, or no spec has.
NOT_YET = {
    "loops by hand: the centre moves once a micro-batch": "needs micro-batches",
    "loops by hand: a gather scales the gradient by 1 / processes": "needs several processes",
    "lightly: SwAV's Sinkhorn is local unless a flag is set": "needs several processes",
    "lightly: the gather of keys is off unless a flag is set": "needs several processes",
    "VISSL: InstDisc's Z is an average over processes": "needs several processes",
    "solo-learn: NNCLR gathers predictions, not neighbours": "there is no spec of NNCLR",
}


@cache
def program(name: str, recipe: str | None = None, *overrides: str) -> Program:
    return sslang.load(ROOT / "specs" / f"{name}.ssl", recipe, overrides)


def learner(name: str, *overrides: str, seed: int = 0) -> Learner:
    """The spec's default recipe made small: 64 images a step, 10 steps an epoch, float64."""
    made = program(name, None, *TINY[name], *overrides)
    return sslang.compile(made, images=640, classes=10, seed=seed, dtype=torch.float64)


def rates(made: Program, epoch: int, *steps: float) -> list[float]:
    """The learning rate at some steps, of `epoch` steps an epoch."""
    recipe = made.spec.recipe
    assert recipe is not None
    total = round(recipe.length.steps(epoch))
    return [value_at(recipe.optimizer.lr, Clock(step, total, epoch)) for step in steps]


def momenta(made: Program, total: int, *steps: float) -> list[float]:
    (plan,) = made.averages
    return [value_at(plan.momentum, Clock(step, total, 10)) for step in steps]


def forward(made: Learner, step: int = 0) -> dict[str, Tensor]:
    """The writes of a step that is not taken."""
    views = made.views(images(64, step), np.full((64, 2), 20))
    result = made.method(views, made.clock)
    made.method.discard()
    return {name: value.detach() for name, (value, _) in result.writes.items()}


def resumed_agrees(name: str, state: str, *overrides: str) -> None:
    """`state` is saved, and a resumed run has it and goes on to the same bits."""
    first = learner(name, *overrides)
    fresh = first.method.state(state).clone()
    for step in range(2):
        stepped(first, step)
    saved = copy.deepcopy(first.state_dict())
    held = [v for k, v in saved["method"].items() if k == f"state_{state}".replace(".", "/")]
    assert len(held) == 1
    assert not torch.equal(held[0], fresh)
    second = learner(name, *overrides, seed=0)
    second.load_state_dict(saved)
    assert torch.equal(second.method.state(state), first.method.state(state))
    for step in (2, 3):
        assert torch.equal(stepped(first, step).loss, stepped(second, step).loss)
    assert torch.equal(second.method.state(state), first.method.state(state))


# --- queues and other states ---------------------------------------------------------------


def test_queue_is_read_before_it_is_written() -> None:
    """The first loss is that of the queue as it began: no key of the batch is in it."""
    made = learner("mocov2", "temperature=0.01")
    queue = made.method.state("negatives").clone()
    keys = forward(made)["negatives"]
    loss = float(stepped(made, 0).loss)
    held = made.method.state("negatives")
    assert torch.equal(held, torch.cat([queue[64:], keys]))
    # With the keys among the negatives the positive would occur twice: at least ln 2 each.
    late = learner("mocov2", "temperature=0.01")
    append_rows(late.method.state("negatives"), keys)
    assert float(stepped(late, 0).loss) > max(loss, math.log(2))


def test_queue_is_in_the_checkpoint_and_survives_resume() -> None:
    """lightly's memory bank is no part of its state dictionary."""
    assert MemoryBankModule(size=(128, 8)).state_dict() == {}
    resumed_agrees("mocov2", "negatives")


def test_centre_is_in_the_checkpoint_and_survives_resume() -> None:
    resumed_agrees("dino", "center")


def test_centre_moves_once_a_step() -> None:
    """By a tenth, towards the mean of the teacher's outputs on both large views together."""
    made = learner("dino")
    center = torch.zeros(32, dtype=torch.float64)
    for step in range(2):
        views = made.views(images(64, step), np.full((64, 2), 20))[:2]
        f, g, last = (made.method.net(f"teacher.{n}") for n in ("f", "g", "last"))
        with torch.no_grad():
            outputs = last(nn.functional.normalize(g(f(torch.cat(views)))))
        center = 0.9 * center + 0.1 * outputs.mean(0)
        stepped(made, step)
        found = made.method.state("center")
        torch.testing.assert_close(found, center, rtol=1e-9, atol=1e-12)


def test_no_row_is_lost_where_a_batch_passes_the_queues_end() -> None:
    """lightly's bank of 5 rows keeps one of the second batch's three; here all are kept."""
    batches = [torch.full((3, 2), float(i)) + torch.arange(3.0)[:, None] / 10 for i in (1, 2)]
    bank = MemoryBankModule(size=(5, 2))
    queue = torch.zeros(5, 2)
    for batch in batches:
        bank(batch, update=True)
        append_rows(queue, batch)
    assert queue[:, 0].tolist() == pytest.approx([1.1, 1.2, 2.0, 2.1, 2.2])
    assert sum(float(row) >= 2 for row in bank.bank[:, 0]) == 2


def test_queue_moves_whether_or_not_there_is_a_gradient() -> None:
    theirs = NTXentLoss(memory_bank_size=(8, 4))
    before = theirs.memory_bank.bank.clone()
    with torch.no_grad():
        theirs(torch.randn(4, 4), torch.randn(4, 4))
    assert torch.equal(theirs.memory_bank.bank, before)
    made = learner("mocov2")
    before = made.method.state("negatives").clone()
    with torch.no_grad():
        views = made.views(images(64, 0), np.full((64, 2), 20))
        result = made.method(views, made.clock)
        assert not result.loss.requires_grad
        made.method.advance(result, made.clock)
    assert torch.equal(made.method.state("negatives")[:-64], before[64:])
    assert not torch.equal(made.method.state("negatives"), before)


def test_bank_does_not_begin_normalised() -> None:
    bank = learner("instdisc").method.state("memory")
    lengths = bank.norm(dim=1)
    assert float(lengths.std()) > 0.05
    assert float(bank.square().sum(1).mean()) == pytest.approx(1, abs=0.1)


# --- recipes ---------------------------------------------------------------------------------


def test_warmup_in_epochs_is_not_read_as_steps() -> None:
    """BYOL's 10 epochs are 10 * 312 steps; a warm-up without a unit is an error."""
    made = program("byol", "imagenet")
    found = rates(made, 312, 0, 10, 1560, 3120)
    assert found == pytest.approx([0, 3.2 * 10 / 3120, 1.6, 3.2])
    with pytest.raises(DiagnosticError, match="has no unit"):
        program("byol", None, "optimizer=sgd(lr = cosine(0.1 -> 0, warmup = 10))")


def test_unknown_recipe_field_is_an_error() -> None:
    """On the command line, as an optimizer's argument, and in a recipe of the file."""
    with pytest.raises(DiagnosticError, match="no `batchsize`"):
        program("simclr", None, "batchsize=64")
    with pytest.raises(DiagnosticError, match="no parameter `momentun`"):
        program("simclr", None, "optimizer=sgd(lr = 0.1, momentun = 0.9)")
    text = (ROOT / "specs" / "simclr.ssl").read_text()
    broken = text.replace("    temperature = 0.5\n", "    temprature = 0.5\n")
    assert broken != text
    found = check_file(Source("changed.ssl", broken))
    assert any(d.is_error and "temprature" in d.message for d in found)


def test_a_net_without_gradient_is_found_before_training() -> None:
    """By the checker, from the text alone; named by the declaration."""
    text = (ROOT / "specs" / "simsiam.ssl").read_text()
    broken = text.replace("= predictor(z[v])", "= predictor(stop_grad(z[v]))")
    assert broken != text
    found = [d for d in check_file(Source("changed.ssl", broken)) if d.code == "E402"]
    assert {d.span.text for d in found if d.span is not None} == {"f", "projector"}


def test_lars_adapts_a_group_without_decay() -> None:
    """SimCLR v2's fine-tuning decays nothing and adapts; lightly's LARS is SGD then."""
    (ours, theirs) = (nn.Parameter(torch.full((3, 3), 2.0)) for _ in range(2))
    mine = Lars([ours], LARS_RULES["byol"], momentum=0.9, weight_decay=0.0)
    mine.param_groups[0]["lr"] = 1.0
    lightlys = LARS([theirs], lr=1.0, momentum=0.9, weight_decay=0.0)
    ours.grad, theirs.grad = torch.ones(3, 3), torch.ones(3, 3)
    mine.step()
    lightlys.step()
    torch.testing.assert_close(theirs.detach(), torch.full((3, 3), 1.0))
    torch.testing.assert_close(ours.detach(), torch.full((3, 3), 2.0 - 0.001 * 6 / 3))
    finetune = program("simclrv2", "imagenet").later[0].spec.recipe
    assert finetune is not None and finetune.optimizer.weight_decay == 0


@pytest.mark.parametrize("recipe", [("simclr", "imagenet"), ("byol", "imagenet"),
                                    ("mocov3_vit", "resnet50_100"), ("swav", "imagenet"),
                                    ("simclrv2", "imagenet")])  # fmt: skip
def test_lars_does_not_bound_the_local_rate(recipe: tuple[str, str]) -> None:
    """The trust of every recipe is 0.001 and `clip` is off."""
    found = program(*recipe).spec.recipe
    assert found is not None
    assert (found.optimizer.trust, found.optimizer.clip) == (0.001, False)


# --- SimCLR ----------------------------------------------------------------------------------


def test_nt_xent_is_the_codes_twice_the_papers() -> None:
    """The code adds the means of both directions; lightly's loss is the mean over all 2N."""
    made = learner("simclr")
    a, b = made.views(images(64, 0), np.full((64, 2), 20))
    ours = stepped(learner("simclr"), 0).loss
    with torch.no_grad():
        z = made.method.net("g")(made.method.net("f")(torch.cat([a, b])))
        theirs = NTXentLoss(temperature=0.1)(*z.chunk(2))
    torch.testing.assert_close(ours, 2 * theirs, rtol=1e-9, atol=1e-9)


def test_simclr_inputs_are_not_normalised() -> None:
    for recipe in ("imagenet", "cifar10"):
        assert not any(n.op == "normalize" for n in program("simclr", recipe).step.nodes)
        features = program("simclr", recipe).features
        assert features is not None and not any(n.op == "normalize" for n in features.nodes)
    made = learner("simclr")
    for view in made.views(images(64, 0), np.full((64, 2), 20)):
        assert 0 <= float(view.min()) < 0.2 and 0.8 < float(view.max()) <= 1


def test_simclr_blur_draws_one_sigma_a_batch() -> None:
    """One for each view; which images are blurred is drawn image by image."""
    blurs = [n for n in program("simclr", "imagenet").step.nodes if n.op == "gaussian_blur"]
    assert [n.setting("per") for n in blurs] == ["step", "step"]
    assert [n.setting("probability") for n in blurs] == [0.5, 0.5]
    assert len({n.setting("site") for n in blurs}) == 2


# --- MoCo --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mocov1", "mocov2"])
def test_key_head_is_a_copy(name: str) -> None:
    """Two heads of lightly, as its examples build them, differ."""
    theirs = [MoCoProjectionHead(8, 8, 4).layers[0].weight for _ in range(2)]
    assert not torch.equal(*theirs)
    made = learner(name)
    for net in ("f", "g"):
        ours, key = made.method.net(net).parameters(), made.method.net(f"target.{net}").parameters()
        assert all(torch.equal(a, b) for a, b in zip(ours, key, strict=True))


def test_moco_v1_jitters_every_image_after_the_grey() -> None:
    nodes = [n for n in program("mocov1", "imagenet").step.nodes if n.name.startswith("query")]
    order = [n.op for n in nodes]
    assert order.index("grayscale") < order.index("color_jitter") < order.index("horizontal_flip")
    (jitter,) = [n for n in nodes if n.op == "color_jitter"]
    assert jitter.setting("probability") == 1
    assert jitter.setting("hue") == 0.4


@pytest.mark.parametrize("name", ["mocov1", "mocov2"])
def test_moco_decays_biases_and_norms_too(name: str) -> None:
    recipe = program(name, "imagenet").spec.recipe
    assert recipe is not None and recipe.groups == ()
    made = learner(name, "optimizer=sgd(lr = 0.03, momentum = 0.9, weight_decay = 1e-4)")
    (group,) = made.groups
    assert {"g.0.bias", "f.0.bn1.weight", "f.0.bn1.bias"} <= set(group.names)
    assert group.numbers["weight_decay"] == 1e-4
    assert set(group.names) == {n for n, _ in made.method.trained()}


def test_moco_v2s_rate_falls_once_an_epoch() -> None:
    made = program("mocov2", "imagenet")
    found = rates(made, 100, 0, 1, 99, 100, 199, 19_999)
    assert found[:3] == [0.03] * 3
    assert found[3] == found[4] == pytest.approx(0.015 * (1 + math.cos(math.pi / 200)))
    assert found[5] == pytest.approx(0.015 * (1 + math.cos(math.pi * 199 / 200)))


def test_moco_is_one_direction_with_one_queue() -> None:
    """Queries of one view, keys of the other; the loss is not halved nor doubled."""
    made = program("mocov2", "imagenet")
    applied = {n.setting("net"): n.inputs for n in made.step.nodes if n.op == "apply"}
    assert applied["f"] == ("query",)
    (permuted,) = [n for n in made.step.nodes if n.op == "permute_rows"]
    assert permuted.inputs[0] == "key" and applied["target.f"] == (permuted.name,)
    assert [(s.name, s.kind) for s in made.states] == [("negatives", "queue")]
    assert made.step.node("loss").op == "negative"


@pytest.mark.parametrize("name", ["mocov1", "mocov2"])
def test_moco_shuffles_its_keys_and_groups_its_batch_norm(name: str) -> None:
    made = program(name, "imagenet")
    applied = [n for n in made.step.nodes if n.op == "apply"]
    assert {n.setting("group") for n in applied} == {32}
    ops = [n.op for n in made.step.nodes]
    assert ops.count("permute_rows") == ops.count("unpermute_rows") == 1


@pytest.mark.parametrize("name", ["mocov1", "mocov2"])
def test_mocos_momentum_is_constant(name: str) -> None:
    assert momenta(program(name, "imagenet"), 1000, 0, 500, 999) == [0.999] * 3


# --- BYOL and DINO ----------------------------------------------------------------------------


def test_byols_last_layers_have_no_bias() -> None:
    """lightly's have one."""
    assert BYOLPredictionHead(8, 8, 4).layers[-1].bias is not None
    for net in ("projector", "predictor"):
        linears = [s for p, s in program("byol", "imagenet").net(net).stages if "linear" in p]
        assert [s["bias"] for s in linears] == [True, False]


def test_byols_loss_is_a_squared_distance() -> None:
    """2 - 2 cos for each direction, so that it is 0 at best; lightly's is smaller by 4."""
    made = learner("byol")
    a, b = made.views(images(64, 0), np.full((64, 2), 20))
    net = made.method.net
    with torch.no_grad():
        p = [net("predictor")(net("projector")(net("f")(v))) for v in (a, b)]
        t = [net("target.projector")(net("target.f")(v)) for v in (a, b)]
        cosines = [torch.cosine_similarity(p[i], t[1 - i]).mean() for i in (0, 1)]
    expected = 4 - 2 * (cosines[0] + cosines[1])
    torch.testing.assert_close(stepped(learner("byol"), 0).loss, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "average", "net"), [("byol", "target.f", "f")])
def test_byol_averages_after_the_step_with_its_momentum(name: str, average: str, net: str) -> None:
    """m(t) * old + (1 - m(t)) * the parameters of t + 1."""
    _averages_after_the_step(learner(name, "momentum=cosine(0.5 -> 1)"), average, net)


def test_dino_averages_after_the_step() -> None:
    _averages_after_the_step(learner("dino", "momentum=cosine(0.5 -> 1)"), "teacher.g", "g")


def _averages_after_the_step(made: Learner, average: str, net: str) -> None:
    for step in range(2):
        old = [p.detach().clone() for p in made.method.net(average).parameters()]
        stepped(made, step)
        momentum = 1 - 0.5 * 0.5 * (1 + math.cos(math.pi * step / made.total_steps))
        pairs = zip(old, made.method.net(net).parameters(), strict=True)
        expected = [momentum * o + (1 - momentum) * p.detach() for o, p in pairs]
        found = [p.detach() for p in made.method.net(average).parameters()]
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_byols_momentum_is_a_cosine_over_all_steps() -> None:
    """1 - 0.004 (1 + cos(pi t / T)) / 2: below 1 in the last step, where lightly's is 1."""
    found = momenta(program("byol", "imagenet"), 100, 0, 50, 99)
    expected = [1 - 0.002 * (1 + math.cos(math.pi * t / 100)) for t in (0, 50, 99)]
    assert found == pytest.approx(expected, rel=1e-12)
    assert found[-1] < 1
    assert cosine_schedule(99, 100, 0.996, 1) == 1


def test_teacher_and_student_heads_are_equal_at_the_start() -> None:
    """Two heads of lightly, as its examples build them, differ."""
    theirs = [DINOProjectionHead(8, 8, 4, 16).layers[0].weight for _ in range(2)]
    assert not torch.equal(*theirs)
    made = learner("dino")
    for net in ("f", "g", "last"):
        student = made.method.net(net).state_dict()
        teacher = made.method.net(f"teacher.{net}").state_dict()
        assert all(torch.equal(v, teacher[k]) for k, v in student.items())


def test_clip_is_per_tensor() -> None:
    """DINO's recipe; one large gradient leaves a small one as it is."""
    recipe = program("dino", "imagenet").spec.recipe
    assert recipe is not None
    assert recipe.clip == TensorNorm(limit=3.0)
    large, small = (nn.Parameter(torch.zeros(4)) for _ in range(2))
    large.grad, small.grad = torch.full((4,), 30.0), torch.full((4,), 0.5)
    clip_gradients([large, small], recipe.clip.limit, per_tensor=True)
    assert small.grad.tolist() == [0.5] * 4
    assert float(large.grad.norm()) == pytest.approx(3)


def test_dino_has_eight_local_views() -> None:
    for recipe in ("imagenet", "imagenet_300", "imagenet_base", "imagenet_resnet50"):
        crops = [n for n in program("dino", recipe).step.nodes if n.op == "random_resized_crop"]
        assert [n.setting("size") for n in crops] == [224] * 2 + [96] * 8


@pytest.mark.parametrize(("name", "average", "net"), [
    ("byol", "target.f", "f"), ("mocov2", "target.f", "f"),
])  # fmt: skip
def test_running_statistics_of_an_average_are_its_own(name: str, average: str, net: str) -> None:
    """Those of the batches that it saw itself: with momentum 1 they move, and not as the net's."""
    made = learner(name, "momentum=1.0")
    start = made.method.net(average).state_dict()["0.bn1.running_mean"].clone()
    stepped(made, 0)
    moved = made.method.net(average).state_dict()["0.bn1.running_mean"]
    assert not torch.equal(moved, start)
    assert not torch.allclose(moved, made.method.net(net).state_dict()["0.bn1.running_mean"])


# --- SwAV ----------------------------------------------------------------------------------------


def test_prototypes_have_no_bias() -> None:
    """SwAV's and DINO's; lightly's have one for SwAV."""
    assert SwaVPrototypes(8, 16).heads[0].bias is not None
    made = learner("swav")
    assert [n for n, _ in made.method.trained() if "prototypes" in n] == ["prototypes.value"]
    assert made.method.net("prototypes").value.shape == (8, 8)
    dino = learner("dino")
    assert [n for n, _ in dino.method.trained() if n.startswith("last")] == ["last.0.weight_v"]


def test_backbone_runs_once_a_resolution_and_the_head_once() -> None:
    for recipe in ("imagenet", "imagenet_256"):
        applied = [n for n in program("swav", recipe).step.nodes if n.op == "apply"]
        views = [(n.setting("net"), n.setting("views")) for n in applied]
        assert views == [("f", 2), ("f", 6), ("g", 8)]


@cache
def _queue_lengths() -> list[int]:
    """Take 22 steps of SwAV whose queue of 2 batches begins with epoch 1 (step 10): its rows."""
    made = learner("swav", "recent=empty(dim) with (from = 1 epochs)", "length=40 steps")
    lengths = []
    for step in range(22):
        lengths.append(len(made.method.state("recent.global_0")))
        stepped(made, step)
    return lengths


def test_swavs_queue_begins_late_and_is_unused_until_full() -> None:
    """Nothing is stored before its epoch; half full it reads as no rows."""
    assert _queue_lengths()[:13] == [0] * 12 + [128]
    plans = {s.name: s for s in program("swav", "imagenet_256").states}
    starts = {str(plan.start) for plan in plans.values()}
    assert len(plans) == 2 and starts == {"15 epochs"}


def test_swavs_queue_stays_in_use_when_an_epoch_begins() -> None:
    assert _queue_lengths()[12:] == [128] * 10  # step 20 begins epoch 2


def test_swavs_queue_begins_with_no_rows() -> None:
    for state in ("recent.global_0", "recent.global_1"):
        assert learner("swav").method.state(state).shape == (0, 8)


def test_prototypes_are_frozen_for_so_many_steps() -> None:
    """5005 steps at batch 256, 313 at batch 4096, wherever the epoch ends; no longer."""
    for recipe, steps in (("imagenet_256", 5005), ("imagenet", 313)):
        found = program("swav", recipe).spec.recipe
        assert found is not None
        (frozen,) = found.freeze
        assert re.search(rf"\b{steps}(\.0)? steps", str(frozen))
    made = learner("swav", "freeze=[until(3 steps, prototypes)]")
    moved = []
    for step in range(5):
        before = made.method.net("prototypes").value.detach().clone()
        stepped(made, step)
        after = made.method.net("prototypes").value.detach()
        moved.append(float((after - before).abs().max()) > 1e-9)  # unit again: rounding
    assert moved == [False] * 3 + [True] * 2


def test_swav_at_batch_256_has_no_warmup() -> None:
    for recipe in ("imagenet_256", "imagenet_256_400"):
        found = rates(program("swav", recipe), 10, 0, 1)
        assert found[0] == 0.6 and 0.599 < found[1] < 0.6


def test_prototypes_are_normalised_outside_the_graph() -> None:
    """The gradient is that of the plain product: it has a part along each prototype."""
    made = learner("swav", "optimizer=sgd(lr = 0.1)")
    kept: list[Tensor] = []
    weight = made.method.net("prototypes").value
    assert isinstance(weight, nn.Parameter)
    weight.register_post_accumulate_grad_hook(lambda p: kept.append((p.grad * p).sum(1).detach()))
    stepped(made, 0)
    assert float(kept[0].abs().max()) > 1e-4
    torch.testing.assert_close(weight.detach().norm(dim=1), torch.ones(8, dtype=torch.float64))
    ops = {n.name: n for n in made.program.step.nodes}
    assert [n.inputs for n in ops.values() if "prototypes" in n.inputs] == [("prototypes",)]
    assert ops["transpose"].op == "transpose" and ops["transpose"].inputs == ("prototypes",)


def test_prototypes_are_unit_rows_in_the_first_step_and_after_loading() -> None:
    made = learner("swav")
    ones = torch.ones(8, dtype=torch.float64)
    weight = made.method.net("prototypes").value
    torch.testing.assert_close(weight.detach().norm(dim=1), ones)
    state = copy.deepcopy(made.state_dict())
    made.load_state_dict(state)
    assert torch.equal(weight, state["method"]["nets.prototypes.value"])  # to the bit
    state["method"]["nets.prototypes.value"] *= 3
    made.load_state_dict(state)
    torch.testing.assert_close(weight.detach().norm(dim=1), ones)


# --- the table ------------------------------------------------------------------------------------


def test_every_defect_has_a_test() -> None:
    """Each test of this file shows one or more defects; no defect is in both tables."""
    tests = {n for n, v in globals().items() if n.startswith("test_") and callable(v)}
    assert set(DEFECTS.values()) == tests - {"test_every_defect_has_a_test"}
    assert not DEFECTS.keys() & NOT_YET.keys()
    assert all(reason for reason in NOT_YET.values())
    libraries = {name.split(":")[0] for name in (*DEFECTS, *NOT_YET)}
    assert libraries == {"all", "loops by hand", "lightly", "solo-learn", "VISSL"}
