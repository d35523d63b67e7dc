"""imagecodecs in pydicom: JPEG Lossless and JPEG-LS to the last bit, 12-bit JPEG within 1; damage is noticed."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import imagecodecs
import numpy as np
import pydicom
import pytest
from _medical import lossless_jpeg, scene
from test_dicom import made as made
from test_dicom import refused, shown

from discern_vqa.errors import ImageError
from discern_vqa.imaging import dicom_codecs
from discern_vqa.imaging.images import open_recorded

SHIPPED = Path(pydicom.__file__).with_name("data") / "test_files"
DAMAGED = (ValueError, imagecodecs.Jpeg8Error)
LOSSLESS, LS = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.80"


def decoded(encoded: bytes, values: np.ndarray, syntax: str = LOSSLESS) -> np.ndarray:
    """What the plugin makes of a stream that is to hold an image like `values`."""
    options: dict[str, int] = {}
    runner = SimpleNamespace(
        rows=values.shape[0],
        columns=values.shape[1],
        samples_per_pixel=values.shape[2] if values.ndim == 3 else 1,
        transfer_syntax=syntax,
        set_option=options.__setitem__,
    )
    pixels = dicom_codecs.decode_frame(encoded, runner)
    return np.frombuffer(pixels, f"u{options['bits_allocated'] // 8}").reshape(values.shape)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("restart_rows", [0, 7])
@pytest.mark.parametrize(("precision", "top"), [(8, 255), (12, 4095), (16, 65535)])
def test_what_was_encoded_comes_back(predictor, restart_rows, precision, top):
    for values in (scene(20, 31, top), np.random.default_rng(0).integers(0, top + 1, (9, 6)).astype(np.uint16)):
        assert np.array_equal(decoded(lossless_jpeg(values, precision, predictor, restart_rows), values), values)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (5, 4, 3)])
@pytest.mark.parametrize("predictor", [1, 2, 7])
def test_odd_shapes_and_colours_come_back(shape, predictor):
    values = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(decoded(lossless_jpeg(values, 8, predictor), values), values)


def test_a_difference_of_half_the_range_is_read():
    values = np.array([[0, 32768, 0], [32768, 0, 65535]], dtype=np.uint16)
    assert np.array_equal(decoded(lossless_jpeg(values, 16), values), values)


@pytest.mark.parametrize("start", [b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0", b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\1"])
def test_a_marker_that_names_a_colour_space_changes_no_value(start):
    values = np.random.default_rng(1).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    stream = lossless_jpeg(values, 8)
    assert np.array_equal(decoded(stream[:2] + start + stream[2:], values), values)


def test_a_stream_that_is_cut_off_or_ends_early_is_refused():
    values = scene(8, 8, 255)
    whole = lossless_jpeg(values, 8)
    for length in range(len(whole) - 3):
        for end in (b"", b"\xff\xd9"):
            with pytest.raises(DAMAGED):
                decoded(whole[:length] + end, values)
    assert np.array_equal(decoded(whole + b"\0", values), values)
    deep = imagecodecs.jpeg8_encode(scene(), bitspersample=12)
    with pytest.raises(ValueError, match="ends before its image"):
        decoded(deep[: len(deep) // 2] + b"\xff\xd9", scene())
    for length in range(0, len(deep) - 2, 7):
        with pytest.raises(DAMAGED):
            decoded(deep[:length], scene())
    exact = imagecodecs.jpegls_encode(values)
    for length in range(len(exact) - 2):
        with pytest.raises(DAMAGED):
            decoded(exact[:length], values, LS)


def test_a_stream_that_charls_never_comes_back_from_is_given_up(monkeypatch):
    """8 x 8 pixels of 8 bits whose scan is one zero byte: found by cutting a whole stream."""
    stream = bytes.fromhex("ffd8fff7000b080008000801011100ffda000801010000000000")
    monkeypatch.setattr(dicom_codecs, "_SECONDS", 5)
    with pytest.raises(ValueError, match="not decoded within 5 seconds"):
        dicom_codecs._charls(stream)


def test_what_ends_the_process_of_charls_is_an_error_here(monkeypatch):
    monkeypatch.setattr(dicom_codecs, "_CHARLS", "import os; os.abort()")
    with pytest.raises(ValueError, match="ended with -6"):
        dicom_codecs._charls(b"")


def test_a_frame_of_another_size_than_promised_is_refused():
    for encoded, syntax in ((lossless_jpeg(scene(), 12), LOSSLESS), (imagecodecs.jpegls_encode(scene()), LS)):
        with pytest.raises(ValueError, match="in place of"):
            decoded(encoded, scene(40, 47), syntax)


def test_jpeg_ls_equals_the_same_image_without_compression(made):
    """Near-lossless to its own bound of 3 (and what 8 bits make of it), lossless to the last bit."""
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    plain = shown(made(scene(), **window)).astype(int)
    assert np.array_equal(shown(made(scene(), "jpegls", **window)), plain)
    small = scene(top=255)
    off = np.abs(shown(made(small, "jpegls_lossy")).astype(int) - small)
    assert 0 < off.max() <= 3
    exact, plain = (shown(SHIPPED / name) for name in ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm"))
    assert np.array_equal(exact, plain)


def handmade_jpeg_of_12_bits() -> bytes:
    """Two blocks of 8 x 8, written from the standard: averages 2048 + 700 and 2048 - 800, the first with one cosine."""

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content

    head = b"\xff\xd8" + segment(0xDB, b"\0" + bytes([8] * 64))
    head += segment(0xC1, bytes([12, 0, 8, 0, 16, 1, 1, 0x11, 0]))
    head += segment(0xC4, b"\0" + bytes([0, 0, 0, 0, 12, *[0] * 11]) + bytes(range(12)))  # 5 bits: the number's size
    head += segment(0xC4, b"\x10" + bytes([0, 2, *[0] * 14]) + b"\0\x08")  # 00: no more; 01: a number of 8 bits
    head += segment(0xDA, bytes([1, 1, 0, 0, 63, 0]))
    bits = format(10, "05b") + format(700, "010b") + "01" + format(200, "08b") + "00"
    bits += format(11, "05b") + format(2047 - 1500, "011b") + "00"
    bits += "1" * (-len(bits) % 8)
    data = bytes(int(bits[place : place + 8], 2) for place in range(0, len(bits), 8))
    return head + data.replace(b"\xff", b"\xff\0") + b"\xff\xd9"


def test_jpeg_of_12_bits_gives_the_values_of_the_standards_own_formula():
    """ISO 10918-1 A.3.3; each coefficient is its number times 8, so that an average is its number."""
    wave = 8 * 200 / 4 / np.sqrt(2) * np.cos((2 * np.arange(8) + 1) * np.pi / 16)
    row = 2048 + np.concatenate([700 + wave, np.full(8, -800.0)])
    back = decoded(handmade_jpeg_of_12_bits(), np.zeros((8, 16)))
    assert np.abs(back - row).max() <= 1
    assert np.ptp(back[0]) > 1500


def test_the_jpeg_of_12_bits_that_pydicom_ships_opens():
    """The two values are those that pydicom's own tests expect of this file, decoded by GDCM."""
    opened = open_recorded(SHIPPED / "JPGExtended.dcm")
    assert (opened.facts["bits"], opened.image.size) == (12, (256, 1024))
    dataset = pydicom.dcmread(SHIPPED / "JPGExtended.dcm")
    stored = dicom_codecs.decoder(dicom_codecs.JPEG_EXTENDED).as_array(dataset, index=0)[0]
    assert (stored.dtype, int(stored[420, 140]), int(stored[230, 120])) == (np.uint16, 244, 95)


def test_colours_of_8_bits_are_made_rgb_whatever_the_syntax(made):
    """YBR_FULL in JPEG-LS and JPEG Lossless: as pydicom makes it of the same values without compression."""
    values = np.stack([scene(top=255, seed=seed) for seed in range(3)], -1)
    plain = shown(made(values, PhotometricInterpretation="YBR_FULL"))
    assert not np.array_equal(plain, values)
    for syntax in ("jpegls", "lossless"):
        assert np.array_equal(shown(made(values, syntax, PhotometricInterpretation="YBR_FULL")), plain)


def test_without_imagecodecs_the_command_that_brings_it_is_said(made, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "imagecodecs" else there(name))
    for syntax in ("lossless", "jpegls", "extended"):
        path = made(scene(), syntax)
        assert "its decoder is not installed" in refused(path)
        with pytest.raises(ImageError) as caught:
            open_recorded(path)
        assert caught.value.hint == "pip install 'discern-vqa[dicom]'"
    assert open_recorded(made(scene(top=255), "extended")).facts["bits"] == 8  # Pillow reads that
