"""Each op of kornia with some settings, and by hand the class of kornia that they stand for.

The arguments are written in kornia's own words and units, not by way of our declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import kornia.augmentation as K
import torch
from kornia.augmentation import auto
from kornia.augmentation.container.params import ParamItem
from torch import Tensor, nn

Numbers = Mapping[str, Tensor]


@dataclass(frozen=True)
class Case:
    """An op as it is written, and kornia's class; `applied` says how a batch is put through it."""

    written: str
    kind: Callable[..., Any]
    arguments: Mapping[str, Any]
    applied: Callable[[nn.Module, Tensor, Numbers], Tensor]

    @property
    def op(self) -> str:
        return self.written.partition("(")[0]

    def with_setting(self, setting: str) -> str:
        """The op as it is written, with one more setting."""
        if not self.written.endswith(")"):
            return f"{self.written}({setting})"
        return f"{self.written[:-1]}, {setting})"

    def expected(self, x: Tensor, numbers: Numbers, *, per_step: bool = False) -> Tensor:
        """What kornia's class makes of a batch, by these numbers."""
        given = {**self.arguments, "same_on_batch": True} if per_step else self.arguments
        return self.applied(self.kind(**given), x, numbers)


def together(module: nn.Module, x: Tensor, numbers: Numbers) -> Tensor:
    """The batch at once, by kornia's dictionary of parameters."""
    shape = torch.tensor(x.shape)
    given = {**numbers, "batch_prob": torch.ones(len(x)), "forward_input_shape": shape}
    changed: Tensor = module(x, params=given)
    return changed


def drawing_nothing(module: nn.Module, x: Tensor, numbers: Numbers) -> Tensor:
    changed: Tensor = module(x)
    return changed


def grouped(name: str, one: Callable[[Tensor], Numbers]) -> Callable[..., Tensor]:
    """Rows with the same value of one number at once; `one` makes of it what kornia takes."""

    def applied(module: nn.Module, x: Tensor, numbers: Numbers) -> Tensor:
        changed = torch.empty_like(x)
        for value in numbers[name].unique(dim=0):
            same = (numbers[name] == value).reshape(len(x), -1).all(1)
            own = {k: v[same] for k, v in numbers.items()} | dict(one(value))
            changed[same] = together(module, x[same], own)
        return changed

    return applied


def of_policy(module: nn.Module, x: Tensor, numbers: Numbers) -> Tensor:
    """Rows with the same ops in the same order at once, through the whole policy."""
    children = [name for name, _ in module.named_children()]
    changed = torch.empty_like(x)
    for chosen in numbers["chosen"].unique(dim=0):
        same = (numbers["chosen"] == chosen).all(1)
        shape = torch.tensor(x[same].shape)
        path = []
        for slot, child in enumerate(chosen.tolist()):
            ops: dict[str, dict[str, Tensor]] = {}
            for name, value in numbers.items():
                if name.startswith(f"{slot}/{child}/"):
                    op, key = name.split("/")[2:]
                    ops.setdefault(op, {"forward_input_shape": shape})[key] = value[same]
            path.append(ParamItem(children[child], [ParamItem(*item) for item in ops.items()]))
        changed[same] = module(x[same], params=path)
    return changed


def dropped(module: nn.Module, x: Tensor, numbers: Numbers) -> Tensor:
    return together(module, x, {**numbers, "batch_idx": torch.arange(len(x))[:, None]})


def mixed(names: Callable[[Numbers, Tensor], Numbers]) -> Callable[..., Tensor]:
    """The whole batch mixed with itself, by the pairs that were drawn."""

    def applied(module: nn.Module, x: Tensor, numbers: Numbers) -> Tensor:
        return together(module, x, names(numbers, x))

    return applied


def _mixup(numbers: Numbers, x: Tensor) -> Numbers:
    return {"mixup_pairs": numbers["partner"], "mixup_lambdas": numbers["weight"]}


def _cutmix(numbers: Numbers, x: Tensor) -> Numbers:
    left, top, width, height = numbers["box"].unbind(1)
    right, bottom = left + width - 1, top + height - 1
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    boxes = torch.stack([torch.stack(corner, 1) for corner in corners], 1)
    return {"crop_src": boxes[None], "mix_pairs": numbers["partner"][None],
            "image_shape": torch.tensor(x.shape[2:])}  # fmt: skip


def _patch_mix(numbers: Numbers, x: Tensor) -> Numbers:
    return {"mix_pairs": numbers["partner"], "patch_coords": numbers["patch_coords"]}


def _mosaic(numbers: Numbers, x: Tensor) -> Numbers:
    return {"permutation": numbers["partner"], "src": numbers["src"], "dst": numbers["dst"],
            "batch_shapes": torch.tensor(x.shape[1:]).repeat(len(x), 1)}  # fmt: skip


def case(
    written: str,
    kind: Callable[..., Any],
    *,
    by: Callable[..., Tensor] = together,
    sure: bool = True,
    **arguments: Any,
) -> Case:
    """A case; the class is applied to every image, if it knows of anything else."""
    return Case(written, kind, {**arguments, "p": 1.0} if sure else arguments, by)


_order = grouped("order", lambda order: {"order": order})
_kernel = grouped("ksize_factor", lambda _: {"idx": torch.zeros(1, dtype=torch.long)})

CASES = [
    # colour
    case("color_jiggle(0.4, 0.3, 0.2, 0.1)", K.ColorJiggle, by=_order, brightness=(0.6, 1.4),
         contrast=(0.7, 1.3), saturation=(0.8, 1.2), hue=(-0.1, 0.1)),
    case("color_jiggle(hue = -0.5..0.25)", K.ColorJiggle, by=_order, hue=(-0.5, 0.25)),
    case("brightness(0.3)", K.RandomBrightness, brightness=(0.7, 1.3)),
    case("brightness(0.5..1.9, clip = false)", K.RandomBrightness, brightness=(0.5, 1.9),
         clip_output=False),
    case("contrast(0.5)", K.RandomContrast, contrast=(0.5, 1.5)),
    case("contrast(0..3, clip = false)", K.RandomContrast, contrast=(0.0, 3.0), clip_output=False),
    case("saturation(2)", K.RandomSaturation, saturation=(0.0, 3.0)),
    case("hue(0.2)", K.RandomHue, hue=(-0.2, 0.2)),
    case("gamma(0.5..2, gain = 0.8..1.5)", K.RandomGamma, gamma=(0.5, 2.0), gain=(0.8, 1.5)),
    case("auto_contrast", K.RandomAutoContrast),
    case("equalize", K.RandomEqualize),
    case("clahe(2..40, grid = 4)", K.RandomClahe, clip_limit=(2.0, 40.0), grid_size=(4, 4)),
    case("invert", K.RandomInvert),
    case("posterize(3)", K.RandomPosterize, bits=(3, 3)),
    case("posterize(1..8)", K.RandomPosterize, bits=(1, 8)),
    case("random_solarize(0.3..0.7, addition = -0.1..0.1)", K.RandomSolarize,
         thresholds=(0.3, 0.7), additions=(-0.1, 0.1)),
    case("random_solarize", K.RandomSolarize, thresholds=(0.5, 0.5), additions=(0.0, 0.0)),
    case("channel_dropout(2, fill = 0.25)", K.RandomChannelDropout, by=dropped,
         num_drop_channels=2, fill_value=0.25),
    case("channel_shuffle", K.RandomChannelShuffle),
    case("rgb_shift(0.2, -0.1..0.3, 0)", K.RandomRGBShift, r_shift_limit=0.2,
         g_shift_limit=(-0.1, 0.3), b_shift_limit=0.0),
    case("planckian_jitter", K.RandomPlanckianJitter),
    case("planckian_jitter(CIED, select = [0, 5, 22])", K.RandomPlanckianJitter, mode="CIED",
         select_from=[0, 5, 22]),
    # crops
    case("resize(20)", K.Resize, by=drawing_nothing, size=(20, 20), align_corners=False,
         antialias=True),
    case("resize(45, interpolation = bicubic, antialias = false)", K.Resize, by=drawing_nothing,
         size=(45, 45), resample="bicubic", align_corners=False),
    case("longest_max_size(48)", K.LongestMaxSize, by=drawing_nothing, max_size=48,
         align_corners=False),
    case("smallest_max_size(15, interpolation = nearest)", K.SmallestMaxSize, by=drawing_nothing,
         max_size=15, resample="nearest", align_corners=False),
    case("pad_to(40, value = 0.5)", K.PadTo, by=drawing_nothing, sure=False, size=(40, 40),
         pad_value=0.5),
    case("pad_to(63, border = reflect)", K.PadTo, by=drawing_nothing, sure=False, size=(63, 63),
         pad_mode="reflect"),
    # filters
    case("box_blur(5, border = zeros)", K.RandomBoxBlur, kernel_size=(5, 5),
         border_type="constant"),
    case("median_blur", K.RandomMedianBlur, kernel_size=(3, 3)),
    case("motion_blur(3..7, angle = 90, direction = -0.5..1)", K.RandomMotionBlur, by=_kernel,
         kernel_size=(3, 7), angle=90.0, direction=(-0.5, 1.0), border_type="constant",
         resample="nearest"),
    case("motion_blur(5, border = reflect, interpolation = bilinear)", K.RandomMotionBlur,
         by=_kernel, kernel_size=5, angle=45.0, direction=1.0, border_type="reflect",
         resample="bilinear"),
    case("sharpness(0.5..3)", K.RandomSharpness, sharpness=(0.5, 3.0)),
    case("jpeg(10..90)", K.RandomJPEG, jpeg_quality=(10.0, 90.0)),
    # geometry
    case("rotation(30)", K.RandomRotation, degrees=(-30.0, 30.0)),
    case("rotation(10..20, interpolation = nearest)", K.RandomRotation, degrees=(10.0, 20.0),
         resample="nearest"),
    case("rotation90", K.RandomRotation90, times=(0, 3)),
    case("affine(20, translate = [0.1, 0.2], scale = 0.8..1.2, shear = 10, border = reflection)",
         K.RandomAffine, degrees=20.0, translate=(0.1, 0.2), scale=(0.8, 1.2), shear=10.0,
         padding_mode="reflection"),
    case("affine(0, translate = 0.3, interpolation = bicubic)", K.RandomAffine, degrees=0.0,
         translate=(0.3, 0.3), resample="bicubic"),
    case("shear(-10..20, 5)", K.RandomShear, shear=(-10.0, 20.0, -5.0, 5.0)),
    case("translate(0.2, border = border)", K.RandomTranslate, translate_x=(-0.2, 0.2),
         padding_mode="border"),
    case("translate(vertical = 0.1..0.5)", K.RandomTranslate, translate_y=(0.1, 0.5)),
    case("perspective(0.6)", K.RandomPerspective, distortion_scale=0.6),
    case("perspective(0.3, sampling = area_preserving, interpolation = nearest)",
         K.RandomPerspective, distortion_scale=0.3, sampling_method="area_preserving",
         resample="nearest"),
    case("thin_plate_spline(0.3, border = reflection)", K.RandomThinPlateSpline, scale=0.3,
         padding_mode="reflection"),
    case("elastic_transform(40, sigma = 3)", K.RandomElasticTransform, kernel_size=(25, 25),
         sigma=(3.0, 3.0), alpha=(40 / 32, 40 / 32)),
    case("elastic_transform(8, sigma = 2, kernel = 7, border = border, interpolation = nearest)",
         K.RandomElasticTransform, kernel_size=(7, 7), sigma=(2.0, 2.0), alpha=(0.25, 0.25),
         padding_mode="border", resample="nearest"),
    case("fisheye(gamma = 0.5..1)", K.RandomFisheye, center_x=torch.tensor([-0.3, 0.3]),
         center_y=torch.tensor([-0.3, 0.3]), gamma=torch.tensor([0.5, 1.0])),
    # illumination
    case("gaussian_illumination(0.1..0.5, sign = 0..1)", K.RandomGaussianIllumination,
         gain=(0.1, 0.5), center=(0.1, 0.9), sigma=(0.2, 1.0), sign=(0.0, 1.0)),
    case("linear_illumination(0.2)", K.RandomLinearIllumination, gain=(0.2, 0.2),
         sign=(-1.0, 1.0)),
    case("linear_corner_illumination", K.RandomLinearCornerIllumination, gain=(0.01, 0.2),
         sign=(-1.0, 1.0)),
    case("plasma_brightness(0.2..0.5)", K.RandomPlasmaBrightness, roughness=(0.2, 0.5),
         intensity=(0.0, 1.0)),
    case("plasma_contrast", K.RandomPlasmaContrast, roughness=(0.1, 0.7)),
    case("plasma_shadow(quantity = 0.2..0.6)", K.RandomPlasmaShadow, roughness=(0.1, 0.7),
         shade_intensity=(-1.0, 0.0), shade_quantity=(0.2, 0.6)),
    # mixing
    case("mixup(0.2..0.4)", K.RandomMixUpV2, by=mixed(_mixup), lambda_val=(0.2, 0.4)),
    case("cutmix(0.5, keep = 0.2..0.9)", K.RandomCutMixV2, by=mixed(_cutmix), beta=0.5,
         cut_size=(0.2, 0.9)),
    case("patch_mix(9)", K.PatchMix, by=mixed(_patch_mix), patch_size=9),
    case("mosaic(0.1..0.9)", K.RandomMosaic, by=mixed(_mosaic), start_ratio_range=(0.1, 0.9)),
    case("jigsaw", K.RandomJigsaw, grid=(4, 4)),
    # noise
    case("gaussian_noise(0.2, mean = 0.1)", K.RandomGaussianNoise, mean=0.1, std=0.2),
    case("salt_and_pepper_noise(0.1..0.3, salt = 0.9)", K.RandomSaltAndPepperNoise,
         amount=(0.1, 0.3), salt_vs_pepper=(0.9, 0.9)),
    case("random_erasing(value = 0.5)", K.RandomErasing, scale=(0.02, 0.33), ratio=(0.3, 3.3),
         value=0.5),
    # policies
    case("rand_augment(3, 12)", auto.RandAugment, by=of_policy, sure=False, n=3, m=12),
    case("trivial_augment", auto.TrivialAugment, by=of_policy, sure=False),
    case("auto_augment", auto.AutoAugment, by=of_policy, sure=False),
    case("auto_augment(cifar10)", auto.AutoAugment, by=of_policy, sure=False, policy="cifar10"),
    case("auto_augment(svhn)", auto.AutoAugment, by=of_policy, sure=False, policy="svhn"),
    # spaces and weather
    case("denormalize([0.4, 0.5, 0.6], [0.2, 0.3, 0.1])", K.Denormalize, by=drawing_nothing,
         mean=torch.tensor([0.4, 0.5, 0.6]), std=torch.tensor([0.2, 0.3, 0.1])),
    case("rain(20..60, height = 2..6, width = -3..3)", K.RandomRain, number_of_drops=(20, 60),
         drop_height=(2, 6), drop_width=(-3, 3)),
    case("snow(0.3..0.6, brightness = 1.5..3)", K.RandomSnow, snow_coefficient=(0.3, 0.6),
         brightness=(1.5, 3.0)),
]  # fmt: skip
