"""Convolutional nets."""

from __future__ import annotations

from typing import Literal

from sslang.ops.declare import Misfit, net_op
from sslang.ops.nets.built import Built, check_channels, images, pooled
from sslang.types import ViewType


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
    view, _ = images(x, "resnet")
    if depth not in (18, 34, 50, 101, 152):
        raise Misfit(f"there is no ResNet-{depth}", "depths are 18, 34, 50, 101, 152", "E309")
    check_channels(64, width)
    expansion = 1 if depth < 50 else 4
    arguments = {
        "depth": depth, "width": float(width), "stem": stem,
        "zero_init_residual": zero_init_residual, "channels": view.channels,
    }  # fmt: skip
    return Built(pooled(view, round(512 * width) * expansion), arguments)
