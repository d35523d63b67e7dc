"""Ordinary images: turned upright whatever their mode, transparent pixels black, and a record that is true."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from discern_vqa.imaging.images import open_image, open_recorded

WIDE = np.arange(20 * 40).reshape(20, 40)  # every pixel has a value of its own
TURNED = "turned upright as its camera noted"


def image_of(mode: str) -> Image.Image:
    grey = Image.fromarray((WIDE % 251).astype(np.uint8))
    if mode == "I;16":
        return Image.fromarray((WIDE * 80).astype(np.uint16))
    if mode in ("RGBA", "LA"):
        image = grey.convert(mode)
        image.putalpha(Image.fromarray(np.where(WIDE % 7, 255, 90).astype(np.uint8)))
        return image
    return grey.convert("P") if mode == "P with alpha" else grey.convert(mode)


def noted(image: Image.Image, path, orientation: int, where: str):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"transparency": bytes([255] * 100 + [0] * 156)} if image.mode == "P" else {}
    if where == "exif":
        image.save(path, exif=exif, **options)
    else:
        packet = f'<x:xmpmeta><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet)
        image.save(path, pnginfo=info, **options)
    return path


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "P with alpha", "I;16", "1"])
@pytest.mark.parametrize("where", ["exif", "xmp"])
def test_png_of_every_mode_is_turned_as_its_upright_copy_would_look(tmp_path, mode, where):
    upright = open_image(noted(image_of(mode), tmp_path / "plain.png", 1, where))
    for orientation in range(2, 9):
        opened = open_recorded(noted(image_of(mode), tmp_path / "a.png", orientation, where))
        expected = upright.copy()
        expected.getexif()[0x0112] = orientation
        expected = ImageOps.exif_transpose(expected)
        assert opened.image.size == ((40, 20) if orientation < 5 else (20, 40))
        assert np.array_equal(np.asarray(opened.image), np.asarray(expected)), orientation
        assert opened.steps.count(TURNED) == 1


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_tiff_is_turned_once_and_the_record_says_so(tmp_path, mode):
    image_of(mode).save(tmp_path / "plain.tif")
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the left: it is turned a quarter to the right
    image_of(mode).save(tmp_path / "a.tif", exif=exif)
    plain, opened = open_image(tmp_path / "plain.tif"), open_recorded(tmp_path / "a.tif")
    assert np.array_equal(np.asarray(opened.image), np.rot90(np.asarray(plain), -1))
    assert opened.steps.count(TURNED) == 1


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_an_orientation_that_turns_nothing_is_no_step(tmp_path, orientation):
    opened = open_recorded(noted(image_of("RGBA"), tmp_path / "a.png", orientation, "exif"))
    assert opened.image.size == (40, 20)
    assert TURNED not in opened.steps


@pytest.mark.parametrize(("mode", "clear"), [("1", 1), ("L", 200), ("I;16", 16000)])
def test_a_transparent_grey_value_is_shown_black(tmp_path, mode, clear):
    path = tmp_path / "a.png"
    image_of(mode).save(path)
    content = path.read_bytes()
    chunk = b"tRNS" + struct.pack(">H", clear)
    at = content.index(b"IDAT") - 4
    framed = struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(content[:at] + framed + content[at:])
    stored = np.asarray(image_of(mode))
    hidden = stored == (bool(clear) if mode == "1" else clear)
    assert hidden.any()
    opened = open_recorded(path)
    shown = np.asarray(opened.image.convert("L"))
    assert (shown[hidden] == 0).all()
    assert "what is transparent shown black" in opened.steps[0]
    if mode == "L":
        assert np.array_equal(shown[~hidden], stored[~hidden])


def test_a_transparent_value_does_not_stretch_sixteen_bits(tmp_path):
    values = np.full((4, 4), 60000, np.uint16)
    values[0] = [100, 200, 300, 400]
    path = tmp_path / "a.png"
    Image.fromarray(values).save(path)
    content = path.read_bytes()
    chunk = b"tRNS" + struct.pack(">H", 60000)
    at = content.index(b"IDAT") - 4
    path.write_bytes(content[:at] + struct.pack(">I", 2) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[at:])
    assert np.asarray(open_image(path)).tolist() == [[0, 85, 170, 255], *[[0] * 4] * 3]


def test_an_opaque_alpha_channel_is_no_step(tmp_path):
    image = image_of("L").convert("RGBA")
    image.save(tmp_path / "a.png")
    opened = open_recorded(tmp_path / "a.png")
    assert opened.steps == ()
    assert np.array_equal(np.asarray(opened.image.convert("L")), np.asarray(image_of("L")))


@pytest.mark.parametrize("white_is_zero", [False, True])
def test_nan_and_infinity_of_a_tiff_are_black_and_left_out_of_the_stretching(tmp_path, white_is_zero):
    values = np.array([[-900, -700, -500, np.nan], [np.inf, -np.inf, -500, -900]], np.float32)
    options = {"tiffinfo": {262: 0}} if white_is_zero else {}
    Image.fromarray(values).save(tmp_path / "a.tif", **options)
    middle = 128 if white_is_zero else 127  # just below 127.5, in 32 bits
    low, high = (255, 0) if white_is_zero else (0, 255)
    expected = [[low, middle, high, 0], [0, 0, high, low]]
    assert np.asarray(open_image(tmp_path / "a.tif")).tolist() == expected


def test_a_tiff_of_nan_alone_is_black(tmp_path):
    Image.fromarray(np.full((3, 3), np.nan, np.float32)).save(tmp_path / "a.tif")
    assert np.asarray(open_image(tmp_path / "a.tif")).max() == 0
