"""Convolutions with standardised weights or biases, in place of a library's own."""

from __future__ import annotations

from torch import Tensor, nn

STANDARDIZING_EPS = 1e-5
_LANES = 16  # of the widest vectors, AVX-512's


class StandardizedConv2d(nn.Conv2d):
    """`nn.Conv2d` whose weights have mean 0 and variance 1 per output channel.

    Qiao et al. 2019 (arXiv:1903.10520), eq. 5: (w - mean) / sqrt(var + eps) over [in, h, w],
    with the biased variance and eps = 1e-5, inside the graph: the gradient passes through.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, h, w] to [B, out, h', w']."""
        weight = self.weight
        centred = weight - weight.mean(dim=(1, 2, 3), keepdim=True)
        variance = weight.var(dim=(1, 2, 3), unbiased=False, keepdim=True)
        out: Tensor = self._conv_forward(
            x, centred / (variance + STANDARDIZING_EPS).sqrt(), self.bias
        )
        return out


def upsets_onednn(net: nn.Module) -> bool:
    """Whether oneDNN may compute a wrong gradient of `net`, or crash, in channels-last memory.

    For the weights of a strided 1x1 convolution it writes past its workspace where the input has
    fewer channels than a vector: seen with torch 2.14 and AVX2 from 2 to 7 (oneDNN's issue 6035).
    """
    return any(
        isinstance(m, nn.Conv2d)
        and m.kernel_size == (1, 1)
        and max(m.stride) > 1
        and m.in_channels < _LANES
        for m in net.modules()
    )


def replace_convolutions(root: nn.Module, *, standardized: bool, bias: bool) -> None:
    """Put a new convolution of the same shape in place of every `nn.Conv2d` below `root`.

    Kernels are square, and the padding keeps the resolution.
    """
    for name, child in root.named_children():
        if isinstance(child, nn.Conv2d):
            setattr(root, name, _like(child, standardized, bias))
        else:
            replace_convolutions(child, standardized=standardized, bias=bias)


def _like(conv: nn.Conv2d, standardized: bool, bias: bool) -> nn.Conv2d:
    kind = StandardizedConv2d if standardized else nn.Conv2d
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    assert conv.kernel_size == (kernel, kernel) and conv.padding == (kernel // 2, kernel // 2)
    return kind(conv.in_channels, conv.out_channels, kernel, stride, kernel // 2, bias=bias)
