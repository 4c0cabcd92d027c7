from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from sslang.emit.nets.net import Net, Stage, build_net
from sslang.emit.nets.norms import GroupedBatchNorm1d, NormPlan, commit_statistics
from sslang.emit.nets.vit import transformer, vit

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


def test_start_and_stop_choose_parts() -> None:
    net = build_net(HEAD, 0, "g").double()
    x = torch.randn(6, 6, dtype=torch.float64)
    middle = net(x, stop=2)
    torch.testing.assert_close(middle, net[1](net[0](x)))
    torch.testing.assert_close(net(middle, start=2), net(x))
    assert torch.equal(net(x, start=2, stop=2), x)


def test_a_grid_of_patches_is_normalised_by_images() -> None:
    net = build_net(HEAD, 0, "g").double()
    x = torch.randn(2 * 4 * 6, 6, dtype=torch.float64)  # 2 views of 4 images of 2 x 3 patches
    out = net(x, views=2, joint=False, group=2, grid=(2, 3))
    assert out.shape == (8, 2, 3, 4)
    alone = torch.cat([net(x[i : i + 12]) for i in range(0, 48, 12)])
    torch.testing.assert_close(out.flatten(0, 2), alone)


def test_evaluation_in_training_mode() -> None:
    net = build_net(HEAD, 0, "g").double()
    x = torch.randn(6, 6, dtype=torch.float64)
    net(3 * x + 1)
    commit_statistics(net)
    before = copy.deepcopy(net.state_dict())
    out = net(x, evaluation=True, views=2, joint=False, group=1)
    commit_statistics(net)
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert not torch.equal(net(x), out)
    assert torch.equal(net.eval()(x), out)


def _transformers() -> tuple[Net, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    stage = {"resolution": 8, "patch": 4, "width": 8, "depth": 3, "heads": 2, "init": "timm"}
    net = Net(vit(**stage), nn.Linear(8, 5)).double()  # type: ignore[arg-type]
    for parameter in net.parameters():  # branches whose outputs are not tiny
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(16, 3, 8, 8, dtype=torch.float64)
    return net, x, torch.rand(16, 6, dtype=torch.float64)


def test_dropped_paths_row_by_row() -> None:
    net, x, drops = _transformers()
    rates = torch.linspace(0, 0.6, 3).tolist()
    out = net(x, drop_path=0.6, drops=drops)
    transformer = net[0]
    for row in range(len(x)):
        tokens = transformer._tokens(x[row : row + 1])
        for i, (block, rate) in enumerate(zip(transformer.blocks, rates, strict=True)):
            keep = [float(drops[row, 2 * i + j] >= rate) / (1 - rate) for j in (0, 1)]
            tokens = tokens + keep[0] * block.attn(block.norm1(tokens))
            tokens = tokens + keep[1] * block.mlp(block.norm2(tokens))
        expected = net[1](transformer.norm(tokens)[:, 0])
        torch.testing.assert_close(out[row : row + 1], expected, rtol=1e-7, atol=1e-7)
    assert (drops < torch.tensor(rates).repeat_interleave(2)).any()


def test_dropped_paths_of_a_transformer_on_tokens() -> None:
    torch.manual_seed(0)
    net = Net(transformer(tokens=4, width=8, depth=3, heads=2)).double()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    x, drops = torch.randn(16, 4, 8).double(), torch.rand(16, 6).double()
    out = net(x, drop_path=0.6, drops=drops)
    (part,) = net
    for row in range(16):
        tokens = x[row : row + 1] + part.positions
        for i, (block, rate) in enumerate(zip(part.blocks, (0.0, 0.3, 0.6), strict=True)):
            keep = [float(drops[row, 2 * i + j] >= rate) / (1 - rate) for j in (0, 1)]
            tokens = tokens + keep[0] * block.attn(block.norm1(tokens))
            tokens = tokens + keep[1] * block.mlp(block.norm2(tokens))
        torch.testing.assert_close(out[row : row + 1], part.norm(tokens), rtol=1e-7, atol=1e-7)
    assert not torch.allclose(out, net(x))


def test_nothing_is_dropped_in_evaluation_nor_drawn_in_training() -> None:
    net, x, drops = _transformers()
    whole = net(x)
    assert torch.equal(net(x, drop_path=0.0, drops=drops), whole)
    assert torch.equal(net(x, drop_path=0.5, drops=drops, evaluation=True), whole)
    before = torch.get_rng_state()
    assert not torch.equal(net(x, drop_path=0.5, drops=drops), whole)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(net.eval()(x, drop_path=0.5, drops=drops), whole)


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


def test_compiled_transformer_with_drops_on_two_resolutions() -> None:
    torch._dynamo.reset()
    net, x, drops = _transformers()
    compiled = torch.compile(net, backend="aot_eager", fullgraph=True)
    for images in (x, x[:, :, :4, :4]):
        out = compiled(images, drop_path=0.5, drops=drops)
        torch.testing.assert_close(out, net(images, drop_path=0.5, drops=drops))
