"""Descriptions of nets. Each rule gives the output type and the arguments of the builder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sslang.ops.declare import Misfit, as_tensor, net_op
from sslang.types import BATCH, TensorType, Type, ViewType


@dataclass(frozen=True)
class Built:
    """What a description becomes for one input type."""

    output: TensorType
    arguments: Mapping[str, object]
    drops: int = 0  # how many uniform numbers a row its drop path takes
    flexible: str = ""  # an argument that may differ between uses; the largest is built


# The named parts of a net: selectors such as `f.embed` stand for these prefixes of parameters.
PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "resnet": {
        "stem": ("conv1.", "bn1."),
        "layer1": ("layer1.",),
        "layer2": ("layer2.",),
        "layer3": ("layer3.",),
        "layer4": ("layer4.",),
    },
    "vit": {
        "embed": ("patch_embed.",),
        "cls": ("cls_token",),
        "blocks": ("blocks.",),
        "last_norm": ("norm.",),
    },
}

Init = Literal["torch", "normal_0.01", "truncated_0.02", "truncated_fan_in", "xavier", "zeros"]


def _features(x: Type, op: str) -> tuple[TensorType, int]:
    tensor = as_tensor(x, f"the input of `{op}`")
    width = tensor.shape[-1] if tensor.rank >= 2 else None
    if not isinstance(width, int):
        raise Misfit(f"`{op}` acts on the last axis of [rows, width]; this is {tensor}")
    return tensor, width


def _images(x: Type, op: str) -> tuple[ViewType, int]:
    if not isinstance(x, ViewType):
        raise Misfit(f"`{op}` is applied to a view, not to {x}", code="E301")
    if x.size is None:
        raise Misfit(f"`{op}` needs views of one size", "crop the view first", "E603")
    return x, x.size


def _width(value: int, what: str = "the width") -> None:
    if not 1 <= value <= 1_000_000:
        raise Misfit(f"{what} is {value}; it must lie in 1..1000000", code="E309")


@net_op("sslang.emit.nets.layers.linear")
def linear(x: TensorType, width: int, bias: bool = True, init: Init = "torch") -> Built:
    """A fully connected layer: [..., in] -> [..., width], with or without a bias.

    `init` names the initial draw of the weights; "torch" is uniform in +-1/sqrt(in).
    """
    tensor, in_width = _features(x, "linear")
    _width(width)
    arguments = {"in_width": in_width, "width": width, "bias": bias, "init": init}
    return Built(tensor.with_last(width), arguments)


@net_op("sslang.emit.nets.layers.batch_norm")
def batch_norm(
    x: TensorType,
    scale: bool = True,
    shift: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Built:
    """Batch normalisation over rows (Ioffe and Szegedy, 2015): [rows, width] -> the same.

    Over which rows is the setting `batch_norm` of the branch. `momentum` weighs the new
    statistics in the running ones. `scale` and `shift` say whether there are trained ones.
    """
    tensor, in_width = _features(x, "batch_norm")
    arguments = {
        "in_width": in_width, "scale": scale, "shift": shift, "momentum": momentum, "eps": eps,
    }  # fmt: skip
    return Built(tensor, arguments)


@net_op("sslang.emit.nets.layers.layer_norm")
def layer_norm(x: TensorType, scale: bool = True, shift: bool = True, eps: float = 1e-5) -> Built:
    """Layer normalisation over the last axis (Ba et al., 2016)."""
    tensor, in_width = _features(x, "layer_norm")
    if shift and not scale:
        raise Misfit("layer_norm has no shift without a scale", code="E303")
    return Built(tensor, {"in_width": in_width, "scale": scale, "shift": shift, "eps": eps})


@net_op("sslang.emit.nets.layers.relu")
def relu(x: TensorType) -> Built:
    """max(x, 0)."""
    return Built(as_tensor(x), {})


@net_op("sslang.emit.nets.layers.gelu")
def gelu(x: TensorType) -> Built:
    """x times the normal distribution function of x (Hendrycks and Gimpel, 2016)."""
    return Built(as_tensor(x), {})


@net_op("sslang.emit.nets.resnet.resnet")
def resnet(
    x: ViewType,
    depth: int,
    width: float = 1.0,
    stem: Literal["imagenet", "small"] = "imagenet",
    zero_init_residual: bool = False,
) -> Built:
    """A residual network (He et al., 2016), torchvision's, without its classifier.

    Returns the pooled last grid, [batch, 512 * width] for depth 18 and 34, four times as wide
    for 50, 101 and 152. `width` multiplies every channel count. The stem is 7 x 7 with stride 2
    and a max-pool, or `small`: 3 x 3 with stride 1 and no pool, for images of 32 or 64 pixels.
    """
    view, _ = _images(x, "resnet")
    if depth not in (18, 34, 50, 101, 152):
        raise Misfit(f"there is no ResNet-{depth}", "depths are 18, 34, 50, 101, 152", "E309")
    if not 0 < width <= 16 or (64 * width) % 4:
        raise Misfit(
            f"the width {width} gives no whole channel counts", "try 0.25, 0.5, 1 or 2", "E309"
        )
    expansion = 1 if depth < 50 else 4
    arguments = {
        "depth": depth, "width": float(width), "stem": stem,
        "zero_init_residual": zero_init_residual, "channels": view.channels,
    }  # fmt: skip
    return Built(TensorType((BATCH, round(512 * width) * expansion)), arguments)


@net_op("sslang.emit.nets.vit.vit")
def vit(
    x: ViewType,
    patch: int,
    width: int,
    depth: int,
    heads: int,
    mlp_ratio: float = 4.0,
    position: Literal["sincos", "learned"] = "sincos",
    init: Literal["mocov3", "timm"] = "mocov3",
) -> Built:
    """A vision transformer (Dosovitskiy et al., 2021), timm's; returns the class token.

    [batch, width]. `position = sincos` is MoCo v3's fixed 2-D embedding, and `init = mocov3`
    its initial draw. Its parts are `embed` (the patch projection), `cls`, `blocks`, `last_norm`.
    """
    view, size = _images(x, "vit")
    if patch < 1 or size % patch:
        raise Misfit(f"patches of {patch} pixels do not tile a view of {size}", code="E309")
    _width(width)
    if not 0 < mlp_ratio <= 64:
        raise Misfit(f"mlp_ratio is {mlp_ratio}; it must lie in 0..64", code="E309")
    if heads < 1 or width % heads or (position == "sincos" and width % 4):
        raise Misfit(f"a width of {width} cannot be split over {heads} heads", code="E309")
    if not 1 <= depth <= 200:
        raise Misfit(f"the depth is {depth}; it must lie in 1..200", code="E309")
    arguments = {
        "resolution": size, "patch": patch, "width": width, "depth": depth, "heads": heads,
        "mlp_ratio": mlp_ratio, "position": position, "init": init, "channels": view.channels,
    }  # fmt: skip
    return Built(TensorType((BATCH, width)), arguments)
