from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sslang.emit.nets.alexnet import alexnet
from sslang.ops import PRIMITIVES, Misfit
from sslang.ops.nets import PARTS
from sslang.types import ViewType


def test_half_width_is_cmcs() -> None:
    built = PRIMITIVES["alexnet"].rule(ViewType(2, 224), width=0.5)
    with torch.device("meta"):
        net = alexnet(**built.arguments)
        assert net(torch.empty(3, 2, 224, 224)).shape == (3, 2048)
    assert built.output.shape[1:] == (2048,)
    shapes = [tuple(m.weight.shape) for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert shapes == [
        (48, 2, 11, 11), (128, 48, 5, 5), (192, 128, 3, 3), (192, 192, 3, 3), (128, 192, 3, 3),
        (2048, 4608), (2048, 2048),
    ]  # fmt: skip


@pytest.mark.parametrize("size", [63, 64, 100])
def test_values_by_hand(size: int) -> None:
    torch.manual_seed(0)
    built = PRIMITIVES["alexnet"].rule(ViewType(1, size), width=0.125)
    net = alexnet(**built.arguments).double()
    state = dict(net.named_parameters())
    x = torch.randn(3, 1, size, size, dtype=torch.float64)
    y = x
    for n, (stride, padding) in enumerate([(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)], start=1):
        y = F.conv2d(y, state[f"conv{n}.0.weight"], None, stride, padding)
        y = F.batch_norm(y, None, None, training=True).relu()
        y = F.max_pool2d(y, 3, 2) if n in (1, 2, 5) else y
    y = y.flatten(1)
    for name in ("fc6", "fc7"):
        y = F.linear(y, state[f"{name}.0.weight"], state[f"{name}.0.bias"])
        y = F.batch_norm(y, None, None, training=True).relu()
    torch.testing.assert_close(net(x), y, rtol=1e-9, atol=1e-9)


def test_small_views_are_refused() -> None:
    with pytest.raises(Misfit, match="63"):
        PRIMITIVES["alexnet"].rule(ViewType(3, 62))


def test_parts_cover_every_key_once() -> None:
    for key in alexnet(side=1, width=0.125).state_dict():
        assert sum(key.startswith(p) for p in PARTS["alexnet"].values()) == 1, key
