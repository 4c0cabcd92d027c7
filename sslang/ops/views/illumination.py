"""Light: what brightens or darkens a part of the image."""

from sslang.ops.declare import Number, kornia_op
from sslang.ops.views.inputs import Amount, Per, ends, shown, within
from sslang.types import Interval, ViewType

_ROUGHNESS = Interval(0.1, 0.7)


@kornia_op("RandomGaussianIllumination",
           arguments={"gain": ("gain", ends), "center": ("center", ends), "sigma": ("sigma", ends),
                      "sign": ("sign", ends)},
           form="fields.Fields")  # fmt: skip
def gaussian_illumination(
    x: ViewType,
    gain: Amount = Interval(0.01, 0.15),
    center: Amount = Interval(0.1, 0.9),
    sigma: Amount = Interval(0.2, 1.0),
    sign: Amount = Interval(-1.0, 1.0),
    per: Per = "image",
) -> ViewType:
    """Add or take away a spot of light, Gaussian in shape.

    `gain` is its height, `center` and `sigma` are in shares of the side; of a number drawn in
    `sign` the sign alone counts, so that -1..1 brightens or darkens and 0..1 brightens.
    """
    within("gain", ends(gain), 0, 1)
    within("center", ends(center), 0, 1)
    within("sigma", ends(sigma), 0.001, 1)
    within("sign", ends(sign), -1, 1)
    return shown(x, "gaussian_illumination")


@kornia_op("RandomLinearIllumination",
           arguments={"gain": ("gain", ends), "sign": ("sign", ends)}, form="fields.Fields",
)  # fmt: skip
def linear_illumination(
    x: ViewType,
    gain: Amount = Interval(0.01, 0.2),
    sign: Amount = Interval(-1.0, 1.0),
    per: Per = "image",
) -> ViewType:
    """Add or take away light that grows towards one side, drawn of four.

    `gain` and `sign` as those of `gaussian_illumination`.
    """
    within("gain", ends(gain), 0, 1)
    within("sign", ends(sign), -1, 1)
    return shown(x, "linear_illumination")


@kornia_op("RandomLinearCornerIllumination",
           arguments={"gain": ("gain", ends), "sign": ("sign", ends)}, form="fields.Fields",
)  # fmt: skip
def linear_corner_illumination(
    x: ViewType,
    gain: Amount = Interval(0.01, 0.2),
    sign: Amount = Interval(-1.0, 1.0),
    per: Per = "image",
) -> ViewType:
    """Add or take away light that grows towards one corner, drawn of four.

    `gain` and `sign` as those of `gaussian_illumination`.
    """
    within("gain", ends(gain), 0, 1)
    within("sign", ends(sign), -1, 1)
    return shown(x, "linear_corner_illumination")


@kornia_op("RandomPlasmaBrightness", form="fields.Fields",
           numbers={"roughness": Number("roughness", "of the plasma"),
                    "intensity": Number("intensity", "the factor of the plasma")})  # fmt: skip
def plasma_brightness(
    x: ViewType,
    roughness: Interval = _ROUGHNESS,
    intensity: Interval = Interval(0.0, 1.0),
    per: Per = "image",
) -> ViewType:
    """Add a cloud of plasma, in -1..1 times an intensity (Nicolaou et al., 2022)."""
    within("roughness", ends(roughness), 0, 1)
    within("intensity", ends(intensity), 0, 1)
    return shown(x, "plasma_brightness")


@kornia_op("RandomPlasmaContrast", form="fields.Fields",
           numbers={"roughness": Number("roughness", "of the plasma")})  # fmt: skip
def plasma_contrast(x: ViewType, roughness: Interval = _ROUGHNESS, per: Per = "image") -> ViewType:
    """Raise the contrast in some places and lower it in others, by plasma (Nicolaou, 2022)."""
    within("roughness", ends(roughness), 0, 1)
    return shown(x, "plasma_contrast")


@kornia_op("RandomPlasmaShadow",
           arguments={"intensity": "shade_intensity", "quantity": "shade_quantity"},
           form="fields.Fields",
           numbers={"roughness": Number("roughness", "of the plasma"),
                    "intensity": Number("shade_intensity", "what is added in the shadow"),
                    "quantity": Number("shade_quantity", "how much lies in the shadow")},
)  # fmt: skip
def plasma_shadow(
    x: ViewType,
    roughness: Interval = _ROUGHNESS,
    intensity: Interval = Interval(-1.0, 0.0),
    quantity: Interval = Interval(0.0, 1.0),
    per: Per = "image",
) -> ViewType:
    """Lay a shadow with the edge of a cloud of plasma over the image (Nicolaou et al., 2022)."""
    within("roughness", ends(roughness), 0, 1)
    within("intensity", ends(intensity), -1, 0)
    within("quantity", ends(quantity), 0, 1)
    return shown(x, "plasma_shadow")
