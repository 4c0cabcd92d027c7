"""Convolutional nets."""

from typing import Literal

from sslang.ops.declare import Misfit, as_tensor, net_op
from sslang.ops.nets.built import Built, check_channels, check_width, images, pooled
from sslang.types import BATCH, TensorType, ViewType


@net_op("sslang.emit.nets.resnet.resnet")
def resnet(
    x: ViewType,
    depth: int,
    width: float = 1.0,
    stem: Literal["imagenet", "small", "patch"] = "imagenet",
    zero_init_residual: bool = False,
    norm: Literal["batch", "group"] | None = "batch",
    norm_groups: int = 16,
    weight_standardized: bool = False,
    stages: int = 4,
    preactivation: bool = False,
    init: Literal["kaiming", "variance_scaling", "truncated_fan_in"] = "kaiming",
) -> Built:
    """A residual network (He et al., 2016), torchvision's, without its classifier.

    Returns the pooled last grid, [batch, 512 * width] for depth 18 and 34, four times as wide
    for 50, 101 and 152; for a grid of patches [batch, h, w, ...]. `width` multiplies every
    channel count; `stages` below 4 stops earlier, and each stage less halves the channels.

    The stem is 7 x 7 with stride 2 and a max-pool; `small`: 3 x 3 with stride 1 and no pool, for
    images of 32 or 64 pixels; `patch`: 5 x 5 likewise, as Greedy InfoMax has it for patches of
    16 pixels (Löwe et al., 2019).

    `norm = group` has `norm_groups` groups (Wu and He, 2018). `norm = none` has biases instead,
    and torch's initial draw in place of Kaiming's. `weight_standardized` convolutions (Qiao et
    al., 2019) have weights less their mean, over the square root of their variance + 1e-5, per
    output channel. `preactivation` is version 2 (He et al., 2016b): norm and ReLU come before
    the convolutions and once more at the end; with `norm = none` the end is left as it is.

    Its result is a record: `f(x).grid` is the last grid, [batch, h, w, D], and `f(x).pooled`,
    which `f(x)` stands for, its mean over places.

    Convolutions begin as Kaiming normal by fan-out (torchvision), by Keras' `variance_scaling`
    (SimCLR's code), or `truncated_fan_in` (Haiku: BYOL's code).
    """
    view, size = images(x, "resnet")
    if depth not in (18, 34, 50, 101, 152):
        raise Misfit(f"there is no ResNet-{depth}", "depths are 18, 34, 50, 101, 152", "E309")
    check_channels(64, width)
    if not 1 <= stages <= 4:
        raise Misfit(f"a ResNet has 1 to 4 stages, not {stages}", code="E309")
    if norm == "group" and (norm_groups < 1 or round(64 * width) % norm_groups):
        message = f"{round(64 * width)} channels cannot be split into {norm_groups} groups"
        raise Misfit(message, code="E309")
    if zero_init_residual and (norm is None or preactivation):
        hint = "zero_init_residual is for norms after the convolutions"
        raise Misfit("the blocks of this ResNet end without a scale", hint, "E303")
    arguments = {
        "depth": depth, "width": float(width), "stem": stem,
        "zero_init_residual": zero_init_residual, "norm": norm, "norm_groups": norm_groups,
        "weight_standardized": weight_standardized, "stages": stages,
        "preactivation": preactivation, "init": init, "channels": view.channels,
    }  # fmt: skip
    expansion = 1 if depth < 50 else 4
    output = pooled(view, round((32 << stages) * width) * expansion)
    side = _halved(size, (2 if stem == "imagenet" else 0) + stages - 1)
    return Built(output, arguments, fields=_record(view, output, side))


def _halved(side: int, times: int) -> int:
    """The side of a grid after convolutions of stride 2, each of which rounds up."""
    for _ in range(times):
        side = (side + 1) // 2
    return side


def _record(view: ViewType, output: TensorType, side: int) -> dict[str, TensorType]:
    """`pooled` and `grid`; none for a view of patches, whose rows are patches."""
    if view.grid is not None:
        return {}
    return {"pooled": output, "grid": TensorType((BATCH, side, side, output.shape[-1]))}


@net_op("sslang.emit.nets.sk_resnet.sk_resnet")
def sk_resnet(
    x: ViewType,
    depth: int,
    width: float = 1.0,
    ratio: float = 0.0625,
    stem: Literal["imagenet", "small"] = "imagenet",
    zero_init_residual: bool = True,
) -> Built:
    """SimCLR v2's ResNet with selective kernels (Chen et al., 2020b): [batch, 2048 * width].

    Each 3 x 3 convolution has two streams, mixed by a softmax over them (Li et al., 2019), whose
    bottleneck has max(`ratio` * channels, 32) channels. Stem and shortcuts are ResNet-D's: three
    3 x 3 convolutions, and average pools. `small` is one 3 x 3 with stride 1 and no pool. The
    initial draw is that of SimCLR's code, which also starts each block's last scale at 0.
    """
    view, _ = images(x, "sk_resnet")
    if depth not in (50, 101, 152, 200):
        hint = "depths are 50, 101, 152, 200"
        raise Misfit(f"there is no ResNet-{depth} with selective kernels", hint, "E309")
    check_channels(64, width)
    if not 0 < ratio <= 1:
        raise Misfit(f"the ratio is {ratio}; it must lie in 0..1", code="E309")
    arguments = {
        "depth": depth, "width": float(width), "ratio": float(ratio), "stem": stem,
        "zero_init_residual": zero_init_residual, "channels": view.channels,
    }  # fmt: skip
    return Built(pooled(view, round(2048 * width)), arguments)


@net_op("sslang.emit.nets.alexnet.alexnet")
def alexnet(x: ViewType, width: float = 1.0) -> Built:
    """AlexNet (Krizhevsky et al., 2012) up to fc7, with batch norm: [batch, 4096 * width].

    As in the code of CMC (Tian et al., 2020), where each of the two views has `width = 0.5`.
    """
    view, size = images(x, "alexnet")
    check_channels(32, width)
    side = _alexnet_side(size)
    if side < 1:
        raise Misfit(f"AlexNet needs views of at least 63 pixels, not {size}", code="E309")
    arguments = {"side": side, "width": float(width), "channels": view.channels}
    return Built(pooled(view, round(4096 * width)), arguments)


def _alexnet_side(size: int) -> int:
    """The side of AlexNet's last grid: a convolution and three pools."""
    side = (size + 2 * 2 - 11) // 4 + 1
    for _ in range(3):
        side = (side - 3) // 2 + 1
    return side


@net_op("sslang.emit.nets.pixel_cnn.pixel_cnn")
def pixel_cnn(x: TensorType, layers: int = 4, kernel: int = 3, width: int | None = None) -> Built:
    """A context network on a grid, [batch, h, w, D] -> the same: row r sees the rows up to r.

    CPC's (van den Oord et al., 2018) as Greedy InfoMax's code has it (Löwe et al., 2019): gated
    convolutions that see the whole current row and those above, then one of 1 x 1. `width` is
    that of the layers between, the input's unless given.
    """
    tensor = as_tensor(x, "the input of `pixel_cnn`")
    in_width = tensor.shape[-1]
    if tensor.rank != 4 or not isinstance(in_width, int):
        hint = "encode a view of `patches` first"
        raise Misfit(f"`pixel_cnn` acts on a grid [batch, h, w, width]; this is {tensor}", hint)
    if not 1 <= layers <= 100:
        raise Misfit(f"pixel_cnn has 1 to 100 layers, not {layers}", code="E309")
    if kernel % 2 == 0 or not 1 <= kernel <= 99:
        raise Misfit(f"the kernel is {kernel}; it must be odd and at most 99", code="E309")
    if width is not None:
        check_width(width)
    arguments = {"in_width": in_width, "layers": layers, "kernel": kernel, "width": width}
    return Built(tensor, arguments)
