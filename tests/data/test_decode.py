from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslang.data.decode import MAX_PIXELS, UnreadableImageError, load_image, probe_image

LEFT_RED = np.zeros((20, 30, 3), dtype=np.uint8)
LEFT_RED[:, :15, 0] = 255
LEFT_RED[:, 15:, 2] = 255


def save(tmp_path: Path, name: str, image: Image.Image, **options: object) -> Path:
    path = tmp_path / name
    image.save(path, **options)
    return path


def load_or_skip(path: Path) -> np.ndarray | None:
    try:
        return load_image(path)
    except UnreadableImageError:
        return None


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises `width` x `height` pixels and has none."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b""))


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "ppm", "gif", "tga", "avif"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path, f"a.{suffix}", Image.fromarray(LEFT_RED), **options)
    pixels = load_image(path)
    assert pixels.shape == (20, 30, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - LEFT_RED).mean() < 8
    assert probe_image(path) == (20, 30)


def test_grey_16_bit_is_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(64, axis=0)
    for name in ("a.png", "a.tiff", "a.pgm"):
        path = save(tmp_path, name, Image.fromarray(ramp))
        pixels = load_image(path)
        assert np.abs(pixels[0, :, 0].astype(int) - np.arange(256)).max() <= 1, name
        assert (pixels[..., 0] == pixels[..., 2]).all()


def test_transparency_is_composed_on_white(tmp_path: Path) -> None:
    clear_red = np.zeros((8, 8, 4), dtype=np.uint8)
    clear_red[..., 0] = 255
    clear_red[4:, :, 3] = 255
    clear_red[0, 0, 3] = 128
    pixels = load_image(save(tmp_path, "rgba.png", Image.fromarray(clear_red)))
    assert (pixels[1, 1] == 255).all()
    assert (pixels[5, 5] == (255, 0, 0)).all()
    assert abs(int(pixels[0, 0, 1]) - 127) <= 1

    grey = Image.fromarray(np.array([[[0, 0], [0, 255]]], dtype=np.uint8).repeat(3, 0), "LA")
    pixels = load_image(save(tmp_path, "la.png", grey))
    assert (pixels[0, 0] == 255).all()
    assert (pixels[0, 1] == 0).all()

    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 9, 99, 200])
    palette.putpixel((0, 0), 0)
    pixels = load_image(save(tmp_path, "p.png", palette, transparency=0))
    assert (pixels[0, 0] == 255).all()
    assert (pixels[1, 1] == (9, 99, 200)).all()

    colour_key = Image.fromarray(LEFT_RED)
    pixels = load_image(save(tmp_path, "key.png", colour_key, transparency=(255, 0, 0)))
    assert (pixels[0, 0] == 255).all()
    assert (pixels[0, 29] == (0, 0, 255)).all()


def test_reducing_does_not_bleed_the_colour_below_transparency(tmp_path: Path) -> None:
    image = np.zeros((64, 64, 4), dtype=np.uint8)
    image[..., 0] = 255
    image[:, 32:, 3] = 255
    pixels = load_image(save(tmp_path, "a.png", Image.fromarray(image)), limit=8)
    assert (pixels[:, 0] == 255).all()
    assert (pixels[:, 7] == (255, 0, 0)).all()


def test_cmyk(tmp_path: Path) -> None:
    path = save(tmp_path, "a.jpg", Image.fromarray(LEFT_RED).convert("CMYK"), quality=95)
    assert np.abs(load_image(path).astype(int) - LEFT_RED).mean() < 8


@pytest.mark.parametrize("suffix", ["jpg", "png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(tmp_path: Path, suffix: str, orientation: int) -> None:
    upright = np.zeros((32, 48, 3), dtype=np.uint8)
    upright[:16, :16] = 255
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)
    stored = Image.fromarray(upright)
    if undo is not None:
        stored = stored.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(tmp_path, f"a.{suffix}", stored, exif=exif, **options)
    pixels = load_image(path)
    assert pixels.shape == upright.shape
    assert probe_image(path) == (32, 48)
    assert np.abs(pixels.astype(int) - upright).mean() < 4


def test_frame_0_of_an_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 7), colour) for colour in ("red", "lime", "blue")]
    for name in ("a.gif", "a.webp"):
        path = save(tmp_path, name, frames[0], save_all=True, append_images=frames[1:])
        pixels = load_image(path)
        assert pixels.shape == (7, 9, 3)
        assert pixels[3, 4, 0] > 240
        assert pixels[3, 4, 1] < 15


def test_limit_bounds_the_shorter_side(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (600, 900, 3), dtype=np.uint8)
    for name in ("a.jpg", "a.png"):
        path = save(tmp_path, name, Image.fromarray(noise))
        assert load_image(path, limit=100).shape == (100, 150, 3)
        assert load_image(path, limit=600).shape == (600, 900, 3)
        assert load_image(path, limit=700).shape == (600, 900, 3)
        assert load_image(path, limit=100).std() < 20 < load_image(path).std(), "not antialiased"


def test_long_images_are_cropped_to_4_to_1_about_their_centre(tmp_path: Path) -> None:
    long = np.zeros((10, 101, 3), dtype=np.uint8)
    long[:, 50] = 255
    path = save(tmp_path, "a.png", Image.fromarray(long))
    pixels = load_image(path)
    assert pixels.shape == (10, 40, 3)
    assert probe_image(path) == (10, 40)
    assert pixels[0, :, 0].argmax() in (19, 20)
    path = save(tmp_path, "b.png", Image.fromarray(long.transpose(1, 0, 2)))
    assert load_image(path, limit=5).shape == (20, 5, 3)


@pytest.mark.parametrize("side", [20_000, 60_000])
def test_image_bombs_are_refused_by_their_header(tmp_path: Path, side: int) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(side, side))
    for read in (load_image, probe_image):
        with pytest.raises(UnreadableImageError, match=str(MAX_PIXELS)):
            read(path)


def test_damaged_files_are_unreadable_never_another_error(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for suffix in ("png", "jpg", "gif", "tiff", "webp", "bmp"):
        buffer = io.BytesIO()
        Image.fromarray(LEFT_RED).save(buffer, "JPEG" if suffix == "jpg" else suffix.upper())
        whole = buffer.getvalue()
        for _ in range(60):
            damaged = bytearray(whole[: random.integers(0, len(whole) + 1)])
            for at in random.integers(0, max(1, len(damaged)), 6):
                if at < len(damaged):
                    damaged[at] = random.integers(0, 256)
            path = tmp_path / f"a.{suffix}"
            path.write_bytes(damaged)
            pixels = load_or_skip(path)
            assert pixels is None or pixels.shape[2:] == (3,)


def test_reasons(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    Image.fromarray(np.ones((4, 4), dtype=np.float32)).save(tmp_path / "float.tiff")
    reasons = {}
    for name in ("empty.png", "text.png", "float.tiff", "absent.png"):
        with pytest.raises(UnreadableImageError) as caught:
            load_image(tmp_path / name)
        reasons[name] = caught.value.skipped.reason
    assert reasons["empty.png"] == reasons["text.png"] == "not an image in a known format"
    assert "no defined white" in reasons["float.tiff"]
    assert "No such file" in reasons["absent.png"]
