"""Single layers. All act on the last axis of [..., width], row by row but for batch norm."""

from typing import Literal

from sslang.ops.declare import Misfit, as_tensor, net_op
from sslang.ops.nets.built import Built, check_width, features
from sslang.types import Size, TensorType

Init = Literal["torch", "normal_0.01", "truncated_0.02", "truncated_fan_in", "xavier", "zeros"]


@net_op("sslang.emit.nets.layers.linear")
def linear(
    x: TensorType,
    width: Size,
    bias: bool = True,
    init: Init = "torch",
    weight_norm: Literal["trained", "frozen"] | None = None,
) -> Built:
    """A fully connected layer: [..., in] -> [..., width], with or without a bias.

    `init` names the initial draw of the weights; "torch" is uniform in +-1/sqrt(in).
    `weight_norm` makes each row of the weights its direction times a gain that starts at 1
    (Salimans and Kingma, 2016), and that is `trained` or `frozen`, as DINO's last layer has it.
    """
    tensor, in_width = features(x, "linear")
    check_width(width)
    arguments = {
        "in_width": in_width, "width": width, "bias": bias, "init": init,
        "weight_norm": weight_norm,
    }  # fmt: skip
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

    Over which rows is the setting `batch_norm` of the branch; of a grid [rows, h, w, width],
    over all places too. `momentum` weighs the new statistics in the running ones. `scale` and
    `shift` say whether there are trained ones.
    """
    tensor, in_width = features(x, "batch_norm")
    arguments = {
        "in_width": in_width, "scale": scale, "shift": shift, "momentum": momentum, "eps": eps,
    }  # fmt: skip
    return Built(tensor, arguments)


@net_op("sslang.emit.nets.layers.layer_norm")
def layer_norm(x: TensorType, scale: bool = True, shift: bool = True, eps: float = 1e-5) -> Built:
    """Layer normalisation over the last axis (Ba et al., 2016)."""
    tensor, in_width = features(x, "layer_norm")
    if shift and not scale:
        raise Misfit("layer_norm has no shift without a scale", code="E303")
    return Built(tensor, {"in_width": in_width, "scale": scale, "shift": shift, "eps": eps})


@net_op("sslang.emit.nets.layers.group_norm")
def group_norm(x: TensorType, groups: int = 16, eps: float = 1e-5) -> Built:
    """Group normalisation (Wu and He, 2018): each of `groups` runs of the last axis, by row.

    BYOL's ablation without batch statistics (Richemond et al., 2020) has 16 groups.
    """
    tensor, in_width = features(x, "group_norm")
    if groups < 1 or not isinstance(in_width, int) or in_width % groups:
        raise Misfit(f"a width of {in_width} cannot be split into {groups} groups", code="E309")
    return Built(tensor, {"in_width": in_width, "groups": groups, "eps": eps})


@net_op("sslang.emit.nets.layers.relu")
def relu(x: TensorType) -> Built:
    """max(x, 0)."""
    return Built(as_tensor(x), {})


@net_op("sslang.emit.nets.layers.gelu")
def gelu(x: TensorType) -> Built:
    """x times the normal distribution function of x (Hendrycks and Gimpel, 2016)."""
    return Built(as_tensor(x), {})
