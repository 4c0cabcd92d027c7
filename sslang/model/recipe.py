"""The vocabulary of recipes: what data, optimizers and evaluations a recipe may name.

Each class is one word of the language, declared once: its fields are the word's arguments, in
order, and its docstring and field descriptions are its reference page.
"""

from __future__ import annotations

from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator
from pydantic_core import CoreSchema, core_schema

from sslang.ops.schedules import Schedule, ends_of
from sslang.types import Duration


def _number(value: object) -> float | Schedule:
    if isinstance(value, Schedule):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("a number or a schedule is due here")
    return float(value)


def _rate(value: object) -> float | Schedule:
    number = _number(value)
    if min(ends_of(number)) < 0:
        raise ValueError("a rate cannot be negative")
    return number


def _duration(value: object) -> Duration:
    if not isinstance(value, Duration):
        raise ValueError("a time with a unit is due here, such as `10 epochs` or `500 steps`")
    if value.value < 0:
        raise ValueError("a time cannot be negative")
    return value


Rate = Annotated[Any, PlainValidator(_rate), PlainSerializer(str)]  # a number or a schedule
Time = Annotated[Any, PlainValidator(_duration), PlainSerializer(str)]
Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Word(BaseModel):
    """Base of the vocabulary; unknown arguments are errors."""

    # A recipe uses a third of the words: the validator of each is built at its first use.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
    role: ClassVar[str] = ""
    word: ClassVar[str] = ""


class _Made:
    """Marks a field that takes words, each validated when it was made."""

    def __get_pydantic_core_schema__(self, source: Any, handler: object) -> CoreSchema:
        classes = get_args(source) or (source,)
        *others, last = [f"`{cls.word}(...)`" for cls in classes if cls is not NoneType]
        either = f"{', '.join(others)} or {last}" if others else last

        def made(value: object) -> object:
            if not isinstance(value, classes):
                raise ValueError(f"it should be {either}")
            return value

        return core_schema.no_info_plain_validator_function(made)


MADE = _Made()


# --- data --------------------------------------------------------------------------------

Images = Annotated[
    Positive | None,
    Field(description="train on so many of the images: a random subset, in every run the same"),
]


class Embedded(Word):
    """The colour pictures that come with sslang, with labels and a frozen test split."""

    role: ClassVar[str] = "data"
    word: ClassVar[str] = "embedded"


class ImageFolder(Word):
    """Images in a folder, flat or in class folders; labels are not needed.

    With folders `train` and `val` or `test` these are the splits; else a fixed share of a set
    that has classes is held out for evaluation.
    """

    role: ClassVar[str] = "data"
    word: ClassVar[str] = "image_folder"
    path: str
    classes: Literal["auto", "folders", "none"] = Field(
        "auto", description="whether folders are classes: `auto`, `folders` or `none`"
    )
    test: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="share held out for evaluation where the folder has no split"
    )
    limit: Annotated[int, Field(ge=8, le=4096)] = Field(
        512, description="larger images are reduced so that the shorter side has so many pixels"
    )
    images: Images = None


class _Downloaded(Word):
    role: ClassVar[str] = "data"
    path: str = Field("data", description="the folder that holds or receives the files")
    download: bool = Field(False, description="fetch the files if they are not there")
    images: Images = None


class Cifar10(_Downloaded):
    """CIFAR-10: 50,000 and 10,000 images of 32 pixels in 10 classes (Krizhevsky, 2009)."""

    word: ClassVar[str] = "cifar10"


class Cifar100(_Downloaded):
    """CIFAR-100: 50,000 and 10,000 images of 32 pixels in 100 classes (Krizhevsky, 2009)."""

    word: ClassVar[str] = "cifar100"


class Stl10(_Downloaded):
    """STL-10: 100,000 unlabelled and 13,000 labelled images of 96 pixels (Coates et al., 2011)."""

    word: ClassVar[str] = "stl10"
    unlabeled: bool = Field(True, description="train on the 100,000 unlabelled images too")


class FashionMnist(_Downloaded):
    """Fashion-MNIST: 60,000 and 10,000 grey images of 28 pixels (Xiao et al., 2017)."""

    word: ClassVar[str] = "fashion_mnist"


class ImageNet(Word):
    """ImageNet-1k, from the user's own archives or folders (Deng et al., 2009)."""

    role: ClassVar[str] = "data"
    word: ClassVar[str] = "imagenet"
    path: str
    limit: Annotated[int, Field(ge=8, le=4096)] = Field(
        512, description="larger images are reduced so that the shorter side has so many pixels"
    )
    images: Images = None


# --- optimizers --------------------------------------------------------------------------


class Sgd(Word):
    """Stochastic gradient descent with momentum, torch.optim.SGD."""

    role: ClassVar[str] = "optimizer"
    word: ClassVar[str] = "sgd"
    lr: Rate
    momentum: Share = 0.0
    weight_decay: Rate = 0.0
    nesterov: bool = False


class AdamW(Word):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), torch.optim.AdamW."""

    role: ClassVar[str] = "optimizer"
    word: ClassVar[str] = "adamw"
    lr: Rate
    weight_decay: Rate = 0.0
    beta1: Share = 0.9
    beta2: Share = 0.999
    eps: Annotated[float, Field(gt=0)] = 1e-8


class Lars(Word):
    """Layer-wise adaptive rates (You et al., 2017), with the switches its variants differ in.

    Without switches: g' = g + decay * p, rate r = trust * |p| / |g'|, m = momentum * m + r * g',
    p = p - lr * m, as BYOL's and MoCo v3's code. SimCLR's code has `rate_inside = true`: the
    learning rate stands inside the momentum. `separate_norms = true` is the denominator
    |g| + decay * |p| + eps of apex, which SwAV uses (and where a norm is 0 the plain gradient);
    `clip = true` bounds the local rate by the global one (LARC).
    """

    role: ClassVar[str] = "optimizer"
    word: ClassVar[str] = "lars"
    lr: Rate
    momentum: Share = 0.9
    weight_decay: Rate = 0.0
    trust: Annotated[float, Field(gt=0)] = 0.001
    rate_inside: bool = False
    separate_norms: bool = False
    clip: bool = False
    eps: Annotated[float, Field(ge=0)] = 0.0


class GlobalNorm(Word):
    """All gradients together scaled down so that their norm is at most `limit`."""

    role: ClassVar[str] = "clip"
    word: ClassVar[str] = "global_norm"
    limit: Annotated[float, Field(gt=0)]


class TensorNorm(Word):
    """Each tensor's gradient scaled down so that its norm is at most `limit` (DINO's code)."""

    role: ClassVar[str] = "clip"
    word: ClassVar[str] = "tensor_norm"
    limit: Annotated[float, Field(gt=0)]


class Group(Word):
    """Parameters with settings of their own: `group(bias or norm, weight_decay = 0)`.

    `selector` is a net, a part of it, `bias`, `norm` (all parameters of normalisations), joined
    by and, or, not. `adapt = false` leaves them out of LARS's layer-wise rate.
    """

    role: ClassVar[str] = "group"
    word: ClassVar[str] = "group"
    selector: Any
    lr: Rate | None = None
    weight_decay: Rate | None = None
    momentum: Share | None = None
    adapt: bool | None = None


# --- evaluation --------------------------------------------------------------------------


class Knn(Word):
    """Weighted nearest neighbours on `features` (Wu et al., 2018): weights exp(cos / temperature).

    The bank is the training split, the queries are the test split.
    """

    role: ClassVar[str] = "evaluate"
    word: ClassVar[str] = "knn"
    k: Positive = 20
    temperature: Annotated[float, Field(gt=0)] = 0.07
    every: Time | None = Field(None, description="also during the run, at this interval")


class LinearProbe(Word):
    """A linear classifier on frozen `features` in their evaluation form, fitted after the run.

    Without `lr`: logistic regression on standardised features, by L-BFGS to convergence. With
    `lr`: SGD with momentum 0.9 and a cosine to 0 over `length`, on the features as they are.
    """

    role: ClassVar[str] = "evaluate"
    word: ClassVar[str] = "linear_probe"
    l2: Annotated[float, Field(gt=0)] = Field(
        1e-3, description="penalty of the logistic regression"
    )
    lr: Annotated[float, Field(gt=0)] | None = Field(None, description="rate of the SGD")
    length: Time = Field(Duration(100, "epochs"), description="how long the SGD goes")
    batch: Positive = Field(256, description="batch of the SGD")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0, description="decay of the SGD")


class Accuracy(Word):
    """The share of test images whose largest feature is the one of their class.

    For features that are a classifier's output: one a class.
    """

    role: ClassVar[str] = "evaluate"
    word: ClassVar[str] = "accuracy"


WORDS: dict[str, type[Word]] = {
    cls.word: cls
    for cls in (
        Embedded, ImageFolder, Cifar10, Cifar100, Stl10, FashionMnist, ImageNet,
        Sgd, AdamW, Lars, GlobalNorm, TensorNorm, Group, Knn, LinearProbe, Accuracy,
    )
}  # fmt: skip


class Recipe(BaseModel):
    """The fields of a recipe, after every overlay. They are ordinary names of the spec."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
    data: Annotated[
        Embedded | ImageFolder | Cifar10 | Cifar100 | Stl10 | FashionMnist | ImageNet, MADE
    ] = Field(description="where the images come from")
    batch: Positive = Field(description="images a step, over all processes")
    length: Time = Field(description="how long to train, in epochs or steps")
    optimizer: Annotated[Sgd | AdamW | Lars, MADE] = Field(description="sgd, adamw or lars")
    last_batch: Literal["drop", "keep", "wrap"] = Field(
        "drop",
        description="an epoch's last short batch: drop it, keep it short, or wrap it "
        "round with images of the next epoch",
    )
    clip: Annotated[GlobalNorm | TensorNorm | None, MADE] = Field(
        None, description="limit on gradients"
    )
    freeze: tuple[Any, ...] = Field((), description="selectors of what is not trained")
    groups: tuple[Annotated[Group, MADE], ...] = Field(
        (), description="parameters with settings of their own"
    )
    evaluate: tuple[Annotated[Knn | LinearProbe | Accuracy, MADE], ...] = Field(
        (), description="knn, linear_probe, accuracy, or a list"
    )
    crop: Annotated[float, Field(ge=0.1, le=1)] = Field(
        0.875, description="share of the shorter side that evaluation's centre crop keeps"
    )


FIELDS = tuple(Recipe.model_fields)
REQUIRED = tuple(name for name, f in Recipe.model_fields.items() if f.is_required())
