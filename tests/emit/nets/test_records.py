"""Records of nets: fields have the declared shapes, and the default is what the net gives alone."""

from __future__ import annotations

import pytest
import torch

from sslang.emit.nets.net import Record
from sslang.emit.nets.resnet import resnet
from sslang.emit.nets.vit import vit
from sslang.ops import PRIMITIVES
from sslang.types import ViewType


def _fields(name: str, size: int, settings: dict[str, object]) -> dict[str, tuple[object, ...]]:
    built = PRIMITIVES[name].rule(ViewType(3, size), **settings)
    return {key: type_.shape[1:] for key, type_ in built.fields.items()}


@pytest.mark.parametrize("size", [32, 33, 50])
@pytest.mark.parametrize("stem", ["imagenet", "small", "patch"])
@pytest.mark.parametrize("more", [{}, {"stages": 2}, {"preactivation": True}])
def test_resnet(size: int, stem: str, more: dict[str, object]) -> None:
    settings = {"depth": 18, "width": 0.125, "stem": stem, **more}
    net = resnet(channels=3, **settings).eval()  # type: ignore[arg-type]
    assert isinstance(net, Record)
    x = torch.randn(2, 3, size, size)
    record = net.record(x)
    assert {k: tuple(v.shape[1:]) for k, v in record.items()} == _fields("resnet", size, settings)
    torch.testing.assert_close(record["pooled"], net(x))
    torch.testing.assert_close(record["grid"].mean((1, 2)), record["pooled"])


def test_vit() -> None:
    settings = {"patch": 8, "width": 16, "depth": 2, "heads": 2}
    net = vit(resolution=32, channels=3, **settings).eval()  # type: ignore[arg-type]
    assert isinstance(net, Record)
    x = torch.randn(2, 3, 32, 32)
    record = net.record(x)
    assert {k: tuple(v.shape[1:]) for k, v in record.items()} == _fields("vit", 32, settings)
    torch.testing.assert_close(record["cls"], net(x))
    tokens = net.norm(net.blocks(net._tokens(x)))  # type: ignore[operator]
    torch.testing.assert_close(record["patches"], tokens[:, 1:])
    torch.testing.assert_close(record["grid"][:, 1, 2], tokens[:, 1 + 4 * 1 + 2])
    torch.testing.assert_close(record["pooled"], tokens[:, 1:].mean(1))
