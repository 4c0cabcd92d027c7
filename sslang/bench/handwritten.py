"""What one would write by hand without sslang: plain PyTorch, kornia on the batch.

These loops compute what `specs/simclr.ssl` and `specs/mocov2.ssl` say, in the way that a good
programmer writes it for one device. They are rivals in a benchmark, not references in a test.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from sslang.emit.states import size_of
from sslang.ir.program import Program
from sslang.track.standalone_resnet import ResNet

Step = Callable[[Tensor], Tensor]


def handwritten(program: Program, device: torch.device) -> Step | None:
    """The hand-written step for a program's method; None where there is none for it."""
    build = {"SimCLR": _simclr, "MoCo v2": _moco}.get(program.spec.method)
    encoder = _encoder(program)
    if build is None or encoder is None:
        return None
    return build(program, encoder.to(device), device)


def _encoder(program: Program) -> nn.Module | None:
    path, arguments = program.net("f").stages[0]
    if not path.endswith(".resnet"):
        return None
    return ResNet(arguments["depth"], arguments["width"], arguments["stem"], arguments["channels"])


def _ops(program: Program, view: str) -> dict[str, dict[str, Any]]:
    """The settings of the chain of a view, by operation."""
    return {
        node.op: dict(node.settings)
        for node in program.step.nodes
        if str(node.setting("site", "")).startswith(f"view/{view}/") or node.name == view
    }


def _augmentation(program: Program, view: str) -> nn.Module:
    from kornia import augmentation as aug

    ops = _ops(program, view)
    crop = ops["random_resized_crop"]
    size, scale = crop["size"], crop.get("scale")
    layers: list[Any] = [
        aug.RandomResizedCrop(
            (size, size), scale=(scale.low, scale.high) if scale is not None else (0.08, 1.0),
            resample=crop.get("interpolation", "bilinear"),
        )
    ]  # fmt: skip
    jitter = ops["color_jitter"]
    layers.append(
        aug.ColorJitter(
            jitter["brightness"], jitter["contrast"], jitter["saturation"], jitter["hue"],
            p=jitter["probability"],
        )
    )  # fmt: skip
    if "grayscale" in ops:
        layers.append(aug.RandomGrayscale(p=ops["grayscale"]["probability"]))
    if "gaussian_blur" in ops:
        kernel = max(3, int(0.1 * size) // 2 * 2 + 1)
        layers.append(
            aug.RandomGaussianBlur(
                (kernel, kernel), (0.1, 2.0), p=ops["gaussian_blur"]["probability"]
            )
        )
    layers.append(aug.RandomHorizontalFlip(p=0.5))
    if "normalize" in ops:
        settings = ops["normalize"]
        layers.append(aug.Normalize(torch.tensor(settings["mean"]), torch.tensor(settings["std"])))
    return aug.AugmentationSequential(*layers, data_keys=["input"])


def _linear_head(program: Program, norm: bool) -> nn.Sequential:
    stages = program.net("g").stages
    widths = [a for p, a in stages if p.endswith(".linear")]
    first = nn.Linear(widths[0]["in_width"], widths[0]["width"], bias=widths[0]["bias"])
    last = nn.Linear(widths[1]["in_width"], widths[1]["width"], bias=widths[1]["bias"])
    if not norm:
        return nn.Sequential(first, nn.ReLU(inplace=True), last)
    return nn.Sequential(
        first, nn.BatchNorm1d(widths[0]["width"]), nn.ReLU(inplace=True), last,
        nn.BatchNorm1d(widths[1]["width"]),
    )  # fmt: skip


def _simclr(program: Program, encoder: nn.Module, device: torch.device) -> Step:
    augment = _augmentation(program, "a").to(device)
    net = nn.Sequential(encoder, _linear_head(program, norm=True)).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-4)
    temperature = 0.1

    def step(pixels: Tensor) -> Tensor:
        images = pixels.float() / 255
        views = torch.cat([augment(images), augment(images)])
        z = functional.normalize(net(views))
        logits = z @ z.T / temperature
        logits.fill_diagonal_(-torch.inf)
        rows = len(images)
        target = torch.arange(2 * rows, device=device).roll(rows)
        loss = 2 * functional.cross_entropy(logits, target)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        return loss.detach()

    return step


class SplitBatchNorm2d(nn.BatchNorm2d):
    """Statistics over runs of `images` rows: several devices' batch norm on one."""

    images = 32

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        groups = len(x) // self.images
        split = x.view(groups, self.images, *x.shape[1:]).transpose(0, 1)
        joined = split.reshape(self.images, groups * x.shape[1], *x.shape[2:])
        assert self.running_mean is not None
        assert self.running_var is not None
        mean, var = self.running_mean.repeat(groups), self.running_var.repeat(groups)
        out = functional.batch_norm(
            joined, mean, var, self.weight.repeat(groups), self.bias.repeat(groups), True,
            self.momentum or 0.1, self.eps,
        )  # fmt: skip
        with torch.no_grad():
            self.running_mean.copy_(mean.view(groups, -1).mean(0))
            self.running_var.copy_(var.view(groups, -1).mean(0))
        return out.view(self.images, groups, *x.shape[1:]).transpose(0, 1).reshape(x.shape)


def _split_norms(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            split = SplitBatchNorm2d(child.num_features)
            split.load_state_dict(child.state_dict())
            setattr(module, name, split)
        else:
            _split_norms(child)
    return module


def _moco(program: Program, encoder: nn.Module, device: torch.device) -> Step:
    augment_q, augment_k = (_augmentation(program, v).to(device) for v in ("query", "key"))
    net = nn.Sequential(_split_norms(encoder), _linear_head(program, norm=False)).to(device)
    key_net = copy.deepcopy(net).requires_grad_(False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-4)
    memory, width = (size_of(s, {}) for s in program.states[0].shape)
    queue = functional.normalize(torch.randn(memory, width, device=device))
    position = 0
    temperature, momentum = 0.2, 0.99

    def step(pixels: Tensor) -> Tensor:
        nonlocal position
        images = pixels.float() / 255
        q = functional.normalize(net(augment_q(images)))
        with torch.no_grad():
            order = torch.randperm(len(images), device=device)
            k = functional.normalize(key_net(augment_k(images)[order]))[torch.argsort(order)]
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.T], 1) / temperature
        loss = functional.cross_entropy(
            logits, torch.zeros(len(q), dtype=torch.long, device=device)
        )
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        with torch.no_grad():
            for ours, theirs in zip(key_net.parameters(), net.parameters(), strict=True):
                ours.mul_(momentum).add_(theirs, alpha=1 - momentum)
            queue[position : position + len(k)] = k
            position = (position + len(k)) % len(queue)
        return loss.detach()

    return step
