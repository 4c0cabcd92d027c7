"""Plain PyTorch from the papers' formulas, to hold the compiled methods against.

Nothing of sslang's emission, nets or optimizers is used here. A reference starts from a learner's
weights and sees the learner's views; all that follows is written again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock

from sslang.train.learner import Learner

TOLERANCE = 1e-9


@dataclass
class Nets:
    """Modules by their declared names; batch norms collect statistics, moved once a step."""

    modules: dict[str, nn.Module]
    prefixes: dict[str, str]
    collected: dict[nn.Module, list[tuple[Tensor, Tensor]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for module in self.modules.values():
            module.double().train()
            for part in module.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    part.momentum = 0.0  # moved by `settle`
                    part.register_forward_pre_hook(self._collect)

    def _collect(self, part: nn.Module, inputs: tuple[Tensor]) -> None:
        x = inputs[0].detach()
        axes = (0,) if x.dim() == 2 else (0, 2, 3)
        statistics = (x.mean(axes), x.var(axes, unbiased=True))
        self.collected.setdefault(part, []).append(statistics)

    def settle(self) -> None:
        """Running statistics towards the mean over all applications of the step, by 0.1."""
        for part, found in self.collected.items():
            mean = torch.stack([m for m, _ in found]).mean(0)
            variance = torch.stack([v for _, v in found]).mean(0)
            part.running_mean += 0.1 * (mean - part.running_mean)
            part.running_var += 0.1 * (variance - part.running_var)
        self.collected.clear()

    def start_from(self, learner: Learner) -> None:
        state = learner.method.nets.state_dict()
        for name, module in self.modules.items():
            prefix = self.prefixes[name]
            own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            module.load_state_dict(own)

    def named(self, names: Iterable[str]) -> dict[str, nn.Parameter]:
        """Parameters of the nets `names` under the learner's names."""
        return {
            self.prefixes[n] + k: p for n in names for k, p in self.modules[n].named_parameters()
        }

    def compare(self, learner: Learner) -> None:
        """Every parameter and running statistic agrees with the learner's."""
        state = learner.method.nets.state_dict()
        for name, module in self.modules.items():
            for key, value in module.state_dict().items():
                if key.endswith("num_batches_tracked"):
                    continue
                agree(state[self.prefixes[name] + key], value, self.prefixes[name] + key)


def agree(ours: Tensor, theirs: Tensor, what: str) -> None:
    torch.testing.assert_close(
        ours.double(), theirs.double(), rtol=TOLERANCE, atol=TOLERANCE,
        msg=lambda text: f"{what}: {text}",
    )  # fmt: skip


def resnet18() -> nn.Module:
    """Build torchvision's ResNet-18 of half the width, without its classifier."""
    net = torchvision.models.resnet18()
    net.inplanes = 32
    net.conv1, net.bn1 = nn.Conv2d(3, 32, 7, 2, 3, bias=False), nn.BatchNorm2d(32)
    for n in range(4):
        layer = net._make_layer(BasicBlock, 32 * 2**n, 2, stride=2 if n else 1)
        setattr(net, f"layer{n + 1}", layer)
    net.fc = nn.Identity()
    return net


class Watched:
    """A learner whose gradients are kept, step by step."""

    def __init__(self, learner: Learner) -> None:
        self.learner = learner
        self.gradients: dict[str, Tensor] = {}
        for name, parameter in learner.method.trained():
            parameter.register_post_accumulate_grad_hook(self._keep(name))

    def _keep(self, name: str) -> Callable[[Tensor], None]:
        def keep(parameter: Tensor) -> None:
            assert parameter.grad is not None
            self.gradients[name] = parameter.grad.clone()

        return keep

    def compare(self, theirs: dict[str, nn.Parameter]) -> None:
        """Every trained parameter has the reference's gradient, and no other has one."""
        assert self.gradients.keys() == {k for k, p in theirs.items() if p.grad is not None}
        for name, gradient in self.gradients.items():
            expected = theirs[name].grad
            assert expected is not None
            scale = max(1.0, float(expected.abs().max()))
            agree(gradient / scale, expected / scale, f"gradient of {name}")


def cosine(base: float, step: int, total: int, warmup: int = 0) -> float:
    """base * t / w, then half a cosine to 0."""
    if step < warmup:
        return base * step / warmup
    return base * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


class Sgd:
    """v = m v + g + decay p; p = p - rate v."""

    def __init__(self, momentum: float, decay: float) -> None:
        self.momentum, self.decay = momentum, decay
        self.velocity: dict[str, Tensor] = {}

    def step(self, parameters: dict[str, nn.Parameter], rate: float) -> None:
        for name, p in parameters.items():
            g = p.grad + self.decay * p.data
            v = self.velocity.get(name)
            self.velocity[name] = g.clone() if v is None else self.momentum * v + g
            p.data -= rate * self.velocity[name]


class AdamW:
    """Loshchilov and Hutter, 2019, algorithm 2."""

    def __init__(self, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self.moments: dict[str, tuple[Tensor, Tensor]] = {}

    def step(self, parameters: dict[str, nn.Parameter], rate: float) -> None:
        self.steps += 1
        for name, p in parameters.items():
            g = p.grad
            m, v = self.moments.get(name, (torch.zeros_like(p), torch.zeros_like(p)))
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            self.moments[name] = (m, v)
            hat_m, hat_v = m / (1 - 0.9**self.steps), v / (1 - 0.999**self.steps)
            p.data -= rate * self.decay * p.data
            p.data -= rate * hat_m / (hat_v.sqrt() + 1e-8)


class Lars:
    """g' = g + decay p, r = 0.001 |p| / |g'|. Plain for one-dimensional parameters, undecayed.

    With `inside`, v = m v + rate r g', p = p - v (SimCLR's code); else v = m v + r g',
    p = p - rate v (BYOL's).
    """

    def __init__(self, decay: float, inside: bool) -> None:
        self.decay, self.inside = decay, inside
        self.velocity: dict[str, Tensor] = {}

    def step(self, parameters: dict[str, nn.Parameter], rate: float) -> None:
        for name, p in parameters.items():
            g = p.grad
            if p.dim() > 1:
                g = g + self.decay * p.data
                norms = p.data.norm(), g.norm()
                if min(norms) > 0:
                    g = 0.001 * norms[0] / norms[1] * g
            v = 0.9 * self.velocity.get(name, torch.zeros_like(p))
            self.velocity[name] = v + (rate * g if self.inside else g)
            p.data -= self.velocity[name] if self.inside else rate * self.velocity[name]


def average(targets: nn.Module, sources: nn.Module, momentum: float) -> None:
    """Parameters only."""
    for ours, theirs in zip(targets.parameters(), sources.parameters(), strict=True):
        ours.data = momentum * ours.data + (1 - momentum) * theirs.data


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True)


def softmax_of_first(scores: Tensor) -> Tensor:
    """-log of the first column's share."""
    return -(scores[:, 0] - torch.logsumexp(scores, dim=1))


def by_groups(net: Callable[[Tensor], Tensor], x: Tensor, images: int) -> Tensor:
    """As several devices would: each run of rows by itself."""
    return torch.cat([net(x[i : i + images]) for i in range(0, len(x), images)])


def mlp(widths: Sequence[int], *, norm: bool, biases: Sequence[bool]) -> nn.Sequential:
    """Linear, (batch norm,) ReLU, linear."""
    first, hidden, last = widths
    layers: list[nn.Module] = [nn.Linear(first, hidden, bias=biases[0])]
    if norm:
        layers.append(nn.BatchNorm1d(hidden))
    layers += [nn.ReLU(), nn.Linear(hidden, last, bias=biases[1])]
    return nn.Sequential(*layers)


class Vit(nn.Module):
    """A vision transformer from its formulas (Dosovitskiy et al., 2021); parameters as timm's."""

    def __init__(self, patch: int, width: int, depth: int, heads: int, tokens: int) -> None:
        super().__init__()
        self.heads = heads
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.register_buffer("pos_embed", torch.zeros(1, tokens + 1, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.ModuleList([_block(width) for _ in range(depth)])
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        for block in self.blocks:
            x = x + self._attention(block["attn"], block["norm1"](x))
            hidden = block["mlp"]["fc1"](block["norm2"](x))
            gelu = 0.5 * hidden * (1 + torch.erf(hidden / math.sqrt(2)))
            x = x + block["mlp"]["fc2"](gelu)
        return self.norm(x)[:, 0]

    def _attention(self, layers: nn.ModuleDict, x: Tensor) -> Tensor:
        rows, tokens, width = x.shape
        size = width // self.heads
        q, k, v = layers["qkv"](x).reshape(rows, tokens, 3, self.heads, size).permute(2, 0, 3, 1, 4)
        weights = functional.softmax(q @ k.transpose(-2, -1) / math.sqrt(size), dim=-1)
        return layers["proj"]((weights @ v).transpose(1, 2).reshape(rows, tokens, width))


def _block(width: int) -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            "norm1": nn.LayerNorm(width, eps=1e-6),
            "attn": nn.ModuleDict(
                {"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)}
            ),
            "norm2": nn.LayerNorm(width, eps=1e-6),
            "mlp": nn.ModuleDict(
                {"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)}
            ),
        }
    )
