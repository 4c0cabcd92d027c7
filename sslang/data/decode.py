"""One loader for every image file: `load_image(path)` gives uint8 RGB, or says why it cannot.

Rules, the same for every format:

* The size is read before any pixel. A header that promises more than `MAX_PIXELS` pixels (the
  bound at which Pillow itself gives up) is refused: such a file needs more memory than it is
  worth, and may be a bomb.
* A camera's EXIF orientation is applied.
* Transparency of any kind is composed on white.
* 16-bit grey is scaled (65535 is white). 32-bit integers and floating point have no defined
  white, so they are refused rather than guessed, except where the format defines it (PGM, PNG).
* Animated files give frame 0.
* An image longer than 4:1 is cropped to 4:1 about its centre.
* With `limit`, an image whose shorter side exceeds it is reduced, antialiased, until the shorter
  side equals it. JPEG files are decoded at a fraction of their size where that is enough.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 178_956_970
MAX_ASPECT = 4
FORMATS = (
    "PNG", "JPEG", "GIF", "WEBP", "BMP", "DIB", "TIFF", "PPM", "AVIF", "JPEG2000", "TGA",
    "ICO",
)  # fmt: skip
SUFFIXES = frozenset({
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp", ".bmp", ".dib", ".tif",
    ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".jp2", ".j2k", ".tga", ".ico",
})  # fmt: skip

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's decoders are known to raise for damaged files.
_DAMAGE = (
    OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, KeyError, OverflowError,
    struct.error, zlib.error, MemoryError, Image.DecompressionBombError,
)  # fmt: skip


@dataclass(frozen=True)
class Skipped:
    """An image that could not be read, and why."""

    path: str
    reason: str


class UnreadableImageError(Exception):
    """The file holds no image that can be read. Internal: users see a `Skipped` record."""

    def __init__(self, path: str | PathLike[str], reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.skipped = Skipped(str(path), reason)

    def __reduce__(self) -> tuple[type[UnreadableImageError], tuple[str, str]]:
        return UnreadableImageError, (self.skipped.path, self.skipped.reason)


def probe_image(path: str | PathLike[str]) -> tuple[int, int]:
    """Height and width as `load_image` without `limit` would give them, from the header alone.

    Raises UnreadableImageError for a file that is no image, or too large a one.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _open(path) as image:
                width, height = _within_aspect(image.size)
                # Pillow turns TIFF files itself, and reports the size after the turn. For the
                # EXIF of a PNG it would decode the whole file unless the header has it.
                upright = image.format == "TIFF" or (
                    image.format == "PNG" and "exif" not in image.info
                )
                turned = not upright and image.getexif().get(_ORIENTATION_TAG, 1) in (5, 6, 7, 8)
        except _DAMAGE as error:
            raise UnreadableImageError(path, _reason(error)) from error
    return (width, height) if turned else (height, width)


def load_image(path: str | PathLike[str], limit: int | None = None) -> NDArray[np.uint8]:
    """The image as uint8 [H, W, 3], by the rules at the head of this module.

    Raises UnreadableImageError for a file that is no image, is damaged, or is too large.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with _open(path) as image:
                return _decode(image, limit)
        except _DAMAGE as error:
            raise UnreadableImageError(path, _reason(error)) from error


def _open(path: str | PathLike[str]) -> Image.Image:
    image = Image.open(path, formats=_formats())
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise ValueError(f"{width} x {height} pixels are more than {MAX_PIXELS}")
    return image


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this build of Pillow has. Others (EPS runs a program) stay shut."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image in a known format"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {MAX_PIXELS} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _decode(image: Image.Image, limit: int | None) -> NDArray[np.uint8]:
    if limit is not None:
        # Twice the size wanted, so that the antialiased reduction below decides the quality.
        width, height = (2 * side for side in _within_limit(image.size, limit))
        image.draft(None, (width, height))
    image.load()
    turn = _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    plain = _with_eight_bits(image)
    plain = _cropped(plain)
    target = _within_limit(plain.size, limit) if limit is not None else plain.size
    if target != plain.size:
        plain = plain.resize(target, Image.Resampling.BICUBIC, reducing_gap=3.0)
    plain = _on_white(plain)
    if turn is not None:
        plain = plain.transpose(turn)
    return np.array(plain, dtype=np.uint8)


def _with_eight_bits(image: Image.Image) -> Image.Image:
    """The image in mode RGB or RGBA: what resizes and composes rightly."""
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format in ("PNG", "PPM")):
        return _from_sixteen_bits(image)
    if mode in ("I", "F"):
        raise ValueError(f"pixels of mode {mode} have no defined white")
    if mode == "La":
        image = image.convert("LA")
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return image.convert("RGBA")
    return image.convert("RGB")


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    words = np.asarray(image).astype(np.float64)
    grey = np.rint(words.clip(0, 65535) / 257).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[words == transparent] = 255
    return Image.fromarray(grey).convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")


def _cropped(image: Image.Image) -> Image.Image:
    width, height = _within_aspect(image.size)
    if (width, height) == image.size:
        return image
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def _within_aspect(size: tuple[int, int]) -> tuple[int, int]:
    width, height = size
    return min(width, MAX_ASPECT * height), min(height, MAX_ASPECT * width)


def _within_limit(size: tuple[int, int], limit: int) -> tuple[int, int]:
    width, height = size
    shorter = min(width, height)
    if shorter <= limit:
        return size
    return max(1, round(width * limit / shorter)), max(1, round(height * limit / shorter))
