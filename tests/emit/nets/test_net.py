from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from sslang.emit.nets.net import Net, Stage, build_net
from sslang.emit.nets.norms import GroupedBatchNorm1d, NormPlan, commit_statistics

LAYERS = "sslang.emit.nets.layers"
HEAD: list[Stage] = [
    (f"{LAYERS}.linear", {"in_width": 6, "width": 8}),
    (f"{LAYERS}.batch_norm", {"in_width": 8}),
    (f"{LAYERS}.relu", {}),
    (f"{LAYERS}.linear", {"in_width": 8, "width": 4, "bias": False}),
    (f"{LAYERS}.batch_norm", {"in_width": 4, "shift": False}),
]


def _weights(net: Net) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_initial_draw_follows_seed_and_name_alone() -> None:
    first = build_net(HEAD, 3, "g")
    torch.randn(7)
    other = build_net(HEAD, 3, "h")
    again = build_net(HEAD, 3, "g")
    assert torch.equal(_weights(first), _weights(again))
    assert not torch.equal(_weights(first), _weights(other))
    assert not torch.equal(_weights(first), _weights(build_net(HEAD, 4, "g")))


def test_building_leaves_the_global_random_state() -> None:
    before = torch.get_rng_state()
    build_net(HEAD, 0, "g")
    assert torch.equal(before, torch.get_rng_state())


def test_plan_reaches_every_batch_norm() -> None:
    net = build_net(HEAD, 0, "g").double()
    x = torch.randn(12, 6, dtype=torch.float64)
    out = net(x, views=2, joint=False, group=3)
    assert {m.plan for m in net.modules() if isinstance(m, GroupedBatchNorm1d)} == {
        NormPlan(2, False, 3)
    }
    torch.testing.assert_close(out, torch.cat([net(x[i : i + 3]) for i in range(0, 12, 3)]))
    torch.testing.assert_close(net(x), net(x, views=2, joint=True))


def test_slices_are_nets_that_share_parts() -> None:
    net = build_net(HEAD, 0, "g")
    tap = net[:2]
    assert isinstance(tap, Net) and tap[0] is net[0]
    assert tap(torch.randn(4, 6), views=2, joint=False).shape == (4, 8)


def test_copies_are_independent() -> None:
    net = build_net(HEAD, 0, "g")
    average = copy.deepcopy(net)
    average(torch.randn(8, 6))
    commit_statistics(average)
    norm = net[1]
    assert isinstance(norm, GroupedBatchNorm1d) and norm.num_batches_tracked == 0


@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_compiled_net_agrees_and_plans_do_not_recompile_without_end(backend: str) -> None:
    torch._dynamo.reset()
    eager = build_net(HEAD, 0, "g").double()
    net = copy.deepcopy(eager)
    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(net, backend=counter, fullgraph=True)
    x = torch.randn(12, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for _ in range(3):
        for views, joint, group in ((1, True, 0), (2, True, 4), (2, False, 4), (1, True, 0)):
            for model in (eager, compiled):
                model(x, views, joint, group).pow(3).mean().backward()
            torch.testing.assert_close(net.state_dict(), eager.state_dict())
        for model in (eager, net):
            commit_statistics(model)
    assert counter.frame_count == 3
    torch.testing.assert_close(net.state_dict(), eager.state_dict())
    torch.testing.assert_close(
        [p.grad for p in net.parameters()], [p.grad for p in eager.parameters()]
    )


def test_unknown_builder_is_loud() -> None:
    with pytest.raises(AttributeError):
        build_net([("torch.nn.no_such_layer", {})], 0, "g")
    assert isinstance(build_net([("torch.nn.Identity", {})], 0, "g")[0], nn.Identity)
