"""The named parts of nets: selectors such as `f.embed` stand for these prefixes of parameters."""

_LAYERS: dict[str, tuple[str, ...]] = {f"layer{n}": (f"layer{n}.",) for n in (1, 2, 3, 4)}

PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "resnet": {"stem": ("conv1.", "bn1."), **_LAYERS, "last_norm": ("last_norm.",)},
    "sk_resnet": {"stem": ("stem.",), **_LAYERS},
    "alexnet": {
        "convolutions": ("conv1.", "conv2.", "conv3.", "conv4.", "conv5."),
        "fc6": ("fc6.",),
        "fc7": ("fc7.",),
    },
    "vit": {
        "embed": ("patch_embed.",),
        "cls": ("cls_token",),
        "blocks": ("blocks.",),
        "last_norm": ("norm.",),
    },
}
