"""DICOM files that are cut off, oversized or built to exhaust memory are refused with a reason."""

import importlib.util
import struct
import zlib

import numpy as np
import pydicom
import pytest
from _medical import SYNTAXES, dicom, lossless_jpeg, scene, sequence, written
from pydicom.encaps import encapsulate
from test_dicom import made as made
from test_dicom import refused

from discern_vqa.errors import ImageError
from discern_vqa.imaging import dicom_file, dicom_frames, images
from discern_vqa.imaging.images import open_image


@pytest.mark.parametrize("syntax", ["explicit", "rle", "jpeg", "extended", "j2k", "lossless", "jpegls", "deflated"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_cut_off_is_refused(made, syntax, share):
    path = made(scene(top=255), syntax)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert any(word in refused(path) for word in ("cannot be decoded", "without an image", "cannot be shown"))


def test_too_many_points_are_refused_before_decoding(made, monkeypatch):
    monkeypatch.setattr(images, "MOST_PIXELS", 1000)
    for syntax in SYNTAXES:
        assert "at most 0 million pixels" in refused(made(scene(top=255), syntax))


def test_a_frame_larger_than_its_header_says_is_refused(made):
    large = scene(400, 400)
    for syntax, encoded in (
        ("lossless", lossless_jpeg(large, 12)),
        ("jpeg", pydicom_frame(scene(400, 400, top=255), "jpeg")),
        *((syntax, pydicom_frame(large, syntax)) for syntax in ("j2k", "extended", "jpegls", "jpegls_lossy")),
    ):
        dataset = pydicom.dcmread(made(scene(top=255 if syntax == "jpeg" else 4095), syntax))
        dataset.PixelData = encapsulate([encoded])
        path = made(scene(top=255)).with_name("b.dcm")
        dataset.save_as(path)
        assert "its compressed frame has 400 x 400 pixels" in refused(path)


def pydicom_frame(values: np.ndarray, syntax: str) -> bytes:
    from io import BytesIO

    dataset = pydicom.dcmread(BytesIO(dicom(values, syntax)))
    return pydicom.encaps.get_frame(dataset.PixelData, 0, number_of_frames=1)


def test_bombs_are_refused_before_they_go_off(made, monkeypatch):
    monkeypatch.setattr(images, "MOST_BYTES", 5_000_000)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    whole = made(scene(), "deflated").read_bytes()
    start = 144 + struct.unpack("<I", whole[140:144])[0]
    inner = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    bomb = whole[:start] + packer.compress(inner + b"\0" * 20_000_000) + packer.flush()
    assert "over 5 MB when unpacked" in refused(written(made(scene()), bomb))
    runs = pydicom.dcmread(made(scene(), "rle"))
    runs.PixelData = encapsulate([struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 50_000])
    path = made(scene()).with_name("b.dcm")
    runs.save_as(path)
    assert "run-length code" in refused(path)
    monkeypatch.setattr(dicom_file, "_MOST_ITEMS", 10)
    assert "over 10 sequence items" in refused(made(scene(), VOILUTSequence=sequence(*[{"LUTExplanation": "x"}] * 11)))


def test_a_palette_that_unfolds_without_end_is_refused(made):
    endless = np.array([0, 1, 7, 2, 9, 3, 0], "<u2").tobytes()  # a repetition of itself
    palette = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette[f"Segmented{colour}PaletteColorLookupTableData"] = endless
    assert "segmented palette" in refused(made(scene(top=255), **palette))


def test_without_the_packages_the_command_that_brings_them_is_said(made, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pydicom" else there(name))
    with pytest.raises(ImageError, match="is a DICOM file, and pydicom") as caught:
        open_image(made(scene()))
    assert caught.value.hint == "pip install 'discern-vqa[dicom]'"


def test_no_decoder_under_the_gpl_is_asked():
    plugins = (*dicom_frames._PLUGINS, dicom_frames._DEEP)
    asked = [(uid, name) for uids, name, _ in plugins for uid in uids if name in ("pylibjpeg", "gdcm")]
    assert sorted(asked) == sorted((uid, "pylibjpeg") for uid in dicom_frames._JPEG_2000)
