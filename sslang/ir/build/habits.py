"""What hands write that come from Python, NumPy and torch, and what is written here instead."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NoReturn

from sslang.diagnostics import Fix, Span, keyword, meant
from sslang.diagnostics.fix import replacement
from sslang.ir.build.context import Context
from sslang.ir.build.values import Value
from sslang.ops import PRIMITIVES

MAX_LISTED = 40  # parameters that a hint names

# `x.f(...)` is `f(x, ...)`.
_FUNCTIONS = frozenset((
    "mean", "sum", "exp", "log", "sqrt", "abs", "argmax", "max", "min", "maximum", "softmax",
    "log_softmax", "cos", "sin", "gelu", "relu", "flatten", "take", "one_hot",
))  # fmt: skip
_PRODUCTS = frozenset(("matmul", "mm", "bmm"))
_WITHOUT_ARGUMENTS = {"detach": "stop_grad({x})", "data": "stop_grad({x})", "t": "{x}.T"}

# Methods that no single edit replaces.
_METHOD_HINTS = {
    "unsqueeze": "a new axis is written in brackets: `x[:, none]`",
    "squeeze": "an entry is taken in brackets: `x[:, 0]`",
    "view": "see `flatten` and `unflatten`; shapes are given by names in a `fn`: `(x: [B, T, D])`",
    "reshape": "see `flatten` and `unflatten`",
    "permute": "the last two axes are exchanged by `x.T`",
    "transpose": "the last two axes are exchanged by `x.T`",
    "norm": "`l2_normalize(x)` divides by it; it is `sqrt(sum(x * x, axis = -1))`",
    "size": "sizes have names: `batch`, or the capitals of a `fn`: `(x: [B, D])`",
    "shape": "sizes have names: `batch`, or the capitals of a `fn`: `(x: [B, D])`",
    "var": "`variance(x, axis = ...)`",
    "std": "`sqrt(variance(x, axis = ...))`",
    "clamp": "`maximum(x, 0)` bounds from below",
    "requires_grad": "what is trained follows from the declarations; `stop_grad(x)` cuts, and "
    "`freeze = [...]` in a recipe holds a net fixed",
    **dict.fromkeys(
        ("float", "half", "double", "to", "cuda", "cpu", "contiguous", "clone"),
        "precision, device and memory are the compiler's; the value is used as it is",
    ),
    "item": "a metric is a binding of the step; it is logged by its name",
    "backward": "the gradient of `loss` is taken by the run",
    "train": "nets are in training mode in a step, and in evaluation mode under `fixed(...)`",
    "eval": "`fixed(net)` is the net in evaluation mode, without gradient",
    "parameters": "groups of parameters are selected by the names of nets: `group(g, lr = ...)`",
}

_NAMES = {
    "None": "none", "True": "true", "False": "false", "labels": "label", "indices": "index",
    "idx": "index", "detach": "stop_grad", "stop_gradient": "stop_grad", "sg": "stop_grad",
    "no_grad": "stop_grad", "cat": "concat", "concatenate": "concat", "logsumexp": "log_sum_exp",
    "var": "variance",
    "Linear": "linear", "ReLU": "relu", "GELU": "gelu",
    "BatchNorm1d": "batch_norm", "BatchNorm2d": "batch_norm", "LayerNorm": "layer_norm",
    "AdamW": "adamw", "SGD": "sgd", "LARS": "lars", "EMA": "ema",
    "rand": "draw_uniform", "randint": "draw_integers", "CrossEntropyLoss": "cross_entropy",
    **{p.kornia.name: p.name for p in reversed(PRIMITIVES.values()) if p.kornia is not None},
    "GaussianBlur": "gaussian_blur", "ElasticTransform": "elastic_transform",
    "GaussianNoise": "gaussian_noise", "RandomAutocontrast": "auto_contrast",
    "RandomAdjustSharpness": "sharpness", "RandomChannelPermutation": "channel_shuffle",
    "TrivialAugmentWide": "trivial_augment", "MixUp": "mixup", "CutMix": "cutmix",
    "rotate": "rotation", "erasing": "random_erasing",
    "InfoNCE": "info_nce", "NTXentLoss": "nt_xent", "NTXent": "nt_xent",
}  # fmt: skip

# Names for which no other name stands.
_NAME_HINTS = {
    "views": "a family of views is a binding: `views = [a, b]`",
    **dict.fromkeys(
        ("StepLR", "MultiStepLR", "multistep"),
        "what falls in steps is `piecewise([0.1, 0.01], at = [30] epochs)`",
    ),
    **dict.fromkeys(
        ("CosineAnnealingLR", "cosine_schedule", "cosine_decay"),
        "a schedule is the number itself: `lr = cosine(0.1 -> 0, warmup = 10 epochs)`",
    ),
    **dict.fromkeys(
        ("Resize",),
        "`resize_and_crop(32)` brings images to one size; at random `random_resized_crop(32)`",
    ),
    **dict.fromkeys(
        ("cutout", "Cutout"),
        "a square is filled by `random_erasing(scale = 0.1..0.1, ratio = 1..1)`",
    ),
    **dict.fromkeys(
        ("identity", "Identity"),
        "an alternative that changes nothing is an operation with `@ 0`: `horizontal_flip @ 0`",
    ),
    **dict.fromkeys(
        ("RandomChoice", "OneOf", "random_choice"), "one of several chains is `one_of([a, b])`"
    ),
    **dict.fromkeys(
        ("SomeOf", "RandomOrder", "random_order"), "some of several chains are `some_of(2, [a, b])`"
    ),
    **dict.fromkeys(
        ("RandomApply", "random_apply"), "a probability follows its operation: `grayscale @ 0.2`"
    ),
    **dict.fromkeys(
        ("Adam", "adam"),
        "`adamw` is Adam with the weight decay beside the gradient, the same where it is 0",
    ),
    **dict.fromkeys(
        ("epochs", "steps"), "a time is a number with its unit, such as `10 epochs` or `500 steps`"
    ),
    **dict.fromkeys(
        ("Compose", "compose"), "a chain is joined by `|`: `random_resized_crop(32) | grayscale`"
    ),
    **dict.fromkeys(
        ("ToTensor", "ToPILImage", "to_tensor"), "leave it out: a chain begins and ends with images"
    ),
    **dict.fromkeys(("mse", "mse_loss", "MSELoss"), "write `mean((x - y)**2)`"),
    **dict.fromkeys(("square", "pow"), "a power is written `x**2`"),
    "std": "it is `sqrt(variance(x, axis = 0))`",
    "clamp": "`maximum(x, 0)` bounds from below, `minimum(x, 1)` from above",
    "sigmoid": "it is `1 / (1 + exp(-x))`",
    "softplus": "it is `log(1 + exp(x))`",
    "dropout": "a net drops whole paths by `with (drop_path = 0.1)`",
    "biases": "parameters are selected by the words `bias` and `norm`, and by names of nets",
    **dict.fromkeys(
        ("schedule", "scheduler"), "schedules are `cosine(a -> b)`, `linear(a -> b)`, `piecewise`"
    ),
    "masked_fill": "reductions take `where = mask`, and `where(mask, x, y)` chooses",
    "CosineSimilarity": "`cosine_similarity(x, y)` is the cosine of rows",
    "cosine_sim": "`cosine_similarity(x, y)` is the cosine of rows",
    "self": "a spec has no objects; nets are called by their names",
    "super": "a spec has no objects; nets are called by their names",
    "len": "sizes have names: `batch`, `dataset`, or the capitals of a `fn`: `(x: [B, D])`",
    "range": "a range is written `0..9`, with both ends, and a family by a generator: "
    "`sum(... for v in views)`",
    "print": "a metric is a binding of the step; it is logged by its name",
    "input": "the images are what views are made of; a chain begins with its first operation",
    "images": "the images are what views are made of; a chain begins with its first operation",
    "einsum": "products are written `@`, with `.T`, or `sum(a * b, axis = ...)`",
    "matmul": "the matrix product is written `a @ b`",
    "mm": "the matrix product is written `a @ b`",
    "ones": "numbers go with any shape: write `1`",
    "Identity": "leave it out",
    "randn": "a draw is `draw_normal(...)`; a queue begins with `sphere(dim)` or `normal(dim)`",
    "Sequential": "a pipeline is written `linear(64) | relu | linear(32)`",
    "Parameter": "a trained tensor is declared: `weight w[10, 64] = normal`",
    "temperature": "a hyper-parameter is declared: `param temperature = 0.1`",
    "tau": "a hyper-parameter is declared: `param tau = 0.1`",
}

# What settings and parameters take, where an unknown word stands.
SETTING_HINTS = {
    "batch_norm": "`batch_norm` is `whole`, `groups(n)` or `shuffle(n)`; `whole`, as it is where "
    "nothing is said, is over all of the batch, whatever the number of processes",
}
_WORDS = {
    "sync": "whole", "synced": "whole", "sync_bn": "whole", "SyncBatchNorm": "whole",
    "global": "whole", "eval": "evaluation", "train": "training", "unit": "unit_rows",
    "unit_norm": "unit_rows", "unit_sphere": "unit_rows", "normalized": "unit_rows",
}  # fmt: skip

_MODULES = frozenset(("torch", "F", "nn", "np", "math", "functional", "tf", "jnp", "T", "tv"))

_KEYWORDS = {
    "dim": "axis", "keepdim": "keep", "keepdims": "keep", "m": "momentum", "tau": "temperature",
    "temp": "temperature", "t": "temperature", "T": "temperature", "wd": "weight_decay",
    "learning_rate": "lr", "warmup_epochs": "warmup",
}  # fmt: skip


def method_hint(name: str) -> str:
    """What stands for `x.name(...)`; ``""`` where nothing is known."""
    if name in _FUNCTIONS:
        return f"write `{name}(x)`"
    if name in _PRODUCTS:
        return "write `x @ y`"
    if name in _WITHOUT_ARGUMENTS:
        return f"write `{_WITHOUT_ARGUMENTS[name].format(x='x')}`"
    return _METHOD_HINTS.get(name, "")


def method_fix(name: str, whole: Span, value: Span, arguments: Sequence[Span]) -> Fix | None:
    """`value.name(arguments)` written as it is here; `whole` is the range of the call."""
    text = value.text[1:-1] if _enclosed(value.text) else value.text
    texts = [argument.text for argument in arguments]
    if name in _FUNCTIONS:
        return replacement(whole, f"{name}({', '.join([text, *map(_renamed, texts)])})")
    if name in _PRODUCTS and len(texts) == 1:
        other = f"({texts[0]})" if " " in texts[0] else texts[0]
        return replacement(whole, f"({value.text} @ {other})")  # what stands beside binds tighter
    if name in _WITHOUT_ARGUMENTS and not texts:
        inner = value.text if name == "t" else text
        return replacement(whole, _WITHOUT_ARGUMENTS[name].format(x=inner))
    return None


def _enclosed(text: str) -> bool:
    """Whether the first bracket of a text is closed by its last character."""
    if not (text.startswith("(") and text.endswith(")")):
        return False
    depth = 0
    for i, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0:
            return i == len(text) - 1
    return False


def _renamed(argument: str) -> str:
    """`dim = 1` and `1` as arguments of a reduction."""
    name, equals, value = argument.partition("=")
    if not equals:
        return f"axis = {argument}" if argument.strip().lstrip("-").isdigit() else argument
    return f"{_KEYWORDS.get(name.strip()) or name.strip()} = {value.strip()}"


def name_hint(name: str) -> str:
    """What stands for an unknown name; ``""`` where nothing is known."""
    if name in _MODULES:
        return "functions stand alone, without a module: `exp(x)`; `sslang doc` lists them"
    if name in _NAME_HINTS:
        return _NAME_HINTS[name]
    return f"it is written `{_NAMES[name]}` here" if name in _NAMES else ""


def name_fix(name: str, span: Span) -> Fix | None:
    """The name that stands for it here, where there is one."""
    if name not in _NAMES or name in _NAME_HINTS or span.text != name:
        return None
    return replacement(span, _NAMES[name])


def word_fix(name: str, allowed: Collection[str], span: Span) -> Fix | None:
    """The one of some words that an unknown one stands for."""
    other = _WORDS.get(name, "")
    return replacement(span, other) if other in allowed else meant(name, allowed, span)


def expect_distribution(ctx: Context, target: tuple[Any, Span] | None, span: Span) -> None:
    """E301 for `cross_entropy(logits, label)`, which torch allows and here is another function."""
    if target is None or not isinstance(target[0], Value) or target[0].type.dtype != "int":
        return
    name = "cross_entropy"
    fix = None
    if span.text.startswith(name):
        where = Span(span.source, span.start, span.start + len(name))
        fix = replacement(where, "label_cross_entropy")
    ctx.fail("E301", "the target of `cross_entropy` is a distribution; these are class numbers",
             target[1], hint="write `label_cross_entropy(logits, label)`", fix=fix)  # fmt: skip


def unknown_keyword(
    ctx: Context,
    what: str,
    key: str,
    value: Span,
    known: Collection[str],
    noun: str = "parameter",
) -> NoReturn:
    """E303 for a keyword that a call does not know, with the one that is meant."""
    where = keyword(key, value)
    other = _KEYWORDS.get(key, "")
    if other in known:
        hint, fix = f"it is called `{other}` here", replacement(where, other)
    elif key in ("dim", "axis"):
        hint, fix = "it acts along the last axis", None
    else:
        hint, fix = ctx.guess(key, lambda: known, where)
        if not hint and len(known) <= MAX_LISTED:
            hint = f"it has: {', '.join(known) or 'none'}"
    ctx.fail("E303", f"{what} has no {noun} `{key}`", where, hint=hint, fix=fix)
