from __future__ import annotations

import copy
import itertools

import pytest
import torch
from torch import Tensor, nn

from sslang.diagnostics import DiagnosticError
from sslang.emit.nets import norms
from sslang.emit.nets.norms import (
    GroupedBatchNorm1d,
    GroupedBatchNorm2d,
    NormPlan,
    commit_statistics,
    discard_statistics,
    set_plan,
)


def _images(rows: int, channels: int = 3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, channels, 4, 5, generator=generator, dtype=torch.float64) * 2 + 1


def _batches(plan: NormPlan, images: int) -> list[list[int]]:
    """The rows that share statistics, written out row by row from the plan's meaning."""
    group = plan.group or images
    batches: dict[tuple[int, ...], list[int]] = {}
    for view, image in itertools.product(range(plan.views), range(images)):
        key = (image // group,) if plan.joint else (view, image // group)
        batches.setdefault(key, []).append(view * images + image)
    return list(batches.values())


def _expected(x: Tensor, plan: NormPlan, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Output, mean of batch means, mean of unbiased batch variances."""
    out, means, variances = torch.empty_like(x), [], []
    for rows in _batches(plan, x.shape[0] // plan.views):
        part = x[rows]
        mean = part.mean(dim=(0, 2, 3))
        centred = part - mean[:, None, None]
        out[rows] = centred / (centred.square().mean(dim=(0, 2, 3)) + eps).sqrt()[:, None, None]
        means.append(mean)
        variances.append(part.var(dim=(0, 2, 3), unbiased=True))
    return out, torch.stack(means).mean(0), torch.stack(variances).mean(0)


PLANS = [
    NormPlan(),
    NormPlan(views=2),
    NormPlan(views=2, joint=False),
    NormPlan(group=4),
    NormPlan(group=5),
    NormPlan(group=100),
    NormPlan(views=2, joint=True, group=4),
    NormPlan(views=3, joint=True, group=5),
    NormPlan(views=2, joint=False, group=4),
    NormPlan(views=3, joint=False, group=5),
]


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_plan_decides_which_rows_share_statistics(plan: NormPlan) -> None:
    x = _images(plan.views * 12)
    norm = GroupedBatchNorm2d(3).double()
    set_plan(norm, plan)
    out, mean, variance = _expected(x, plan, norm.eps)
    torch.testing.assert_close(norm(x), out)
    torch.testing.assert_close(norm.running_mean, torch.zeros(3, dtype=torch.float64))
    commit_statistics(norm)
    torch.testing.assert_close(norm.running_mean, 0.1 * mean)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * variance)
    assert norm.num_batches_tracked == 1


@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_gradient_of_every_plan(plan: NormPlan) -> None:
    norm = GroupedBatchNorm1d(2).double()
    set_plan(norm, plan)
    x = _images(plan.views * 12, 2)[:, :, 0, 0].contiguous().requires_grad_()
    assert torch.autograd.gradcheck(norm, (x,), fast_mode=True)


def test_whole_batch_is_torch_batch_norm_to_the_bit() -> None:
    ours, torchs = GroupedBatchNorm2d(3), nn.BatchNorm2d(3)
    assert list(ours.state_dict()) == list(torchs.state_dict())
    x = _images(6).float()
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    out_a, out_b = ours(a), torchs(b)
    assert torch.equal(out_a, out_b)
    out_a.pow(3).sum().backward()
    out_b.pow(3).sum().backward()
    assert a.grad is not None and b.grad is not None
    assert torch.equal(a.grad, b.grad)
    commit_statistics(ours)
    torch.testing.assert_close(ours.state_dict(), torchs.state_dict())


def test_statistics_move_once_over_all_applications() -> None:
    norm = GroupedBatchNorm2d(3, momentum=0.25).double()
    first, second = _images(8, seed=1), _images(6, seed=2)
    set_plan(norm, NormPlan(group=4))
    norm(first)
    set_plan(norm, NormPlan())
    norm(second)
    commit_statistics(norm)
    parts = [first[:4], first[4:], second]
    mean = torch.stack([p.mean(dim=(0, 2, 3)) for p in parts]).mean(0)
    torch.testing.assert_close(norm.running_mean, 0.25 * mean)
    assert norm.num_batches_tracked == 1
    before = copy.deepcopy(norm.state_dict())
    commit_statistics(norm)
    norm(first)
    discard_statistics(norm)
    commit_statistics(norm)
    torch.testing.assert_close(norm.state_dict(), before, rtol=0, atol=0)


def test_nets_without_batch_norm_commit_and_discard() -> None:
    commit_statistics(nn.Linear(2, 2))
    discard_statistics(nn.Linear(2, 2))


def test_backward_after_a_second_application_and_a_commit() -> None:
    norm = GroupedBatchNorm2d(3).double()
    a, b = (_images(4, seed=s).requires_grad_() for s in (1, 2))
    loss = norm(a).pow(3).sum() + norm(b).pow(3).sum()
    commit_statistics(norm)
    loss.backward()
    alone = _images(4, seed=1).requires_grad_()
    GroupedBatchNorm2d(3).double()(alone).pow(3).sum().backward()
    assert a.grad is not None and alone.grad is not None
    torch.testing.assert_close(a.grad, alone.grad)


def test_evaluation_ignores_the_plan_and_collects_nothing() -> None:
    norm, plain = GroupedBatchNorm2d(3).eval(), nn.BatchNorm2d(3).eval()
    norm.running_mean.fill_(0.5)
    plain.load_state_dict(norm.state_dict())
    set_plan(norm, NormPlan(views=2, joint=False, group=1))
    x = _images(4).float()
    assert torch.equal(norm(x), plain(x))
    assert torch.equal(norm(x[:1]), plain(x[:1]))
    commit_statistics(norm)
    assert norm.num_batches_tracked == 0


@pytest.mark.parametrize("plan", [NormPlan(group=1), NormPlan(group=2), NormPlan(5, False)])
def test_one_value_a_channel_is_an_error(plan: NormPlan) -> None:
    norm = GroupedBatchNorm1d(3)
    set_plan(norm, plan)
    with pytest.raises(DiagnosticError, match="one value a channel"):
        norm(torch.randn(5, 3))


@pytest.mark.parametrize(("scale", "shift"), list(itertools.product([True, False], repeat=2)))
def test_scale_and_shift_are_independent(scale: bool, shift: bool) -> None:
    norm = GroupedBatchNorm1d(3, scale=scale, shift=shift)
    trained = {name for name, there in (("weight", scale), ("bias", shift)) if there}
    assert {name for name, _ in norm.named_parameters()} == trained
    if norm.weight is not None:
        nn.init.constant_(norm.weight, 2.0)
    if norm.bias is not None:
        nn.init.constant_(norm.bias, 3.0)
    out = norm(torch.randn(64, 3))
    torch.testing.assert_close(out.mean(0), torch.full((3,), 3.0 * shift), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        out.std(0, unbiased=False), torch.full((3,), 2.0 if scale else 1.0), atol=1e-4, rtol=0
    )
    norm.reset_parameters()
    torch.testing.assert_close(norm.running_var, torch.ones(3))


def test_convert_shares_tensors_and_keeps_the_result() -> None:
    torch.manual_seed(0)
    library = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4, affine=False))
    )
    reference = copy.deepcopy(library)
    parameters = list(library.parameters())
    converted = norms.convert(library.eval())
    assert isinstance(converted.get_submodule("2.0"), GroupedBatchNorm2d)
    assert not converted.get_submodule("1").training
    assert all(a is b for a, b in zip(converted.parameters(), parameters, strict=True))
    assert list(converted.state_dict()) == list(reference.state_dict())
    x = _images(4).float()
    assert torch.equal(converted.train()(x), reference.train()(x))
    alone = norms.convert(nn.BatchNorm1d(3).double())
    assert isinstance(alone, GroupedBatchNorm1d) and alone.statistics.dtype == torch.float64


def test_convert_is_deaf_to_what_is_grouped_already() -> None:
    norm = GroupedBatchNorm2d(3)
    assert norms.convert(norm) is norm


def test_channels_last_survives_a_plan() -> None:
    norm = GroupedBatchNorm2d(8)
    x = torch.randn(8, 8, 4, 4).to(memory_format=torch.channels_last)
    for plan in (NormPlan(), NormPlan(2, False), NormPlan(2, True, 2)):
        set_plan(norm, plan)
        assert norm(x).is_contiguous(memory_format=torch.channels_last)


def test_bf16_autocast_keeps_float32_statistics() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), GroupedBatchNorm2d(8, scale=True, shift=False))
    set_plan(net, NormPlan(views=2, joint=True, group=4))
    x = _images(16).float()
    with torch.autocast("cpu", torch.bfloat16):
        out = net(x)
    assert out.dtype == torch.bfloat16
    out.float().sum().backward()
    commit_statistics(net)
    exact = net[0](x).mean(dim=(0, 2, 3))
    norm = net[1]
    assert isinstance(norm, GroupedBatchNorm2d) and norm.running_mean.dtype == torch.float32
    torch.testing.assert_close(norm.running_mean, 0.1 * exact, atol=2e-3, rtol=0)
