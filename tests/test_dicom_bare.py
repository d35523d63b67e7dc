"""DICOM files without preamble or file meta information, and frames that are deflated one by one."""

import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from _medical import scene, written
from pydicom.encaps import encapsulate
from test_dicom import made as made
from test_dicom import refused, shown

from discern_vqa.imaging import dicom_file
from discern_vqa.imaging.images import open_recorded
from discern_vqa.reading.dicom_tags import Studies


@pytest.mark.parametrize(
    "syntax", ["implicit", "explicit", "big", "rle", "jpeg", "j2k", "lossless", "jpegls", "deflated"]
)
def test_a_file_without_preamble_is_read(made, syntax):
    path = made(scene(top=255), syntax)
    plain = shown(path)
    bare = written(path.with_name("bare"), path.read_bytes()[132:])
    assert np.array_equal(shown(bare), plain)
    for length in (0, 1, 64, 256):  # the mark "DICM" is there, and what stands before it has not its 128 bytes
        odd = written(path.with_name("odd"), b"x" * length + path.read_bytes()[128:])
        assert np.array_equal(shown(odd), plain), length


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big", "rle", "jpeg", "j2k", "lossless", "jpegls"])
def test_a_file_without_file_meta_is_read_as_its_bytes_tell(made, syntax):
    path = made(scene(top=255), syntax)
    plain, content = shown(path), path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    bare = written(path.with_name("bare"), content[start:])
    assert np.array_equal(shown(bare), plain)
    assert "told from its bytes, since the file does not say" in open_recorded(bare).steps[0]
    with_preamble = written(path.with_name("preamble"), content[:132] + content[start:])
    assert np.array_equal(shown(with_preamble), plain)


def test_other_files_are_not_taken_for_dicom_without_preamble():
    for start in (b"\x08\0\0\0" * 200, b"\2\0\0\0" * 200, b"\x08\0\x05\0CS" + b"text " * 100, b"\x08\0", b"\0" * 600):
        assert not dicom_file.is_dicom(start)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_frames_deflated_one_by_one_are_unpacked(made, bits):
    frames = np.stack([scene(top=2**bits - 1 if bits > 1 else 255, seed=seed) for seed in range(3)])
    stored = [
        np.packbits(frame > 100, axis=None, bitorder="little").tobytes() if bits == 1 else frame.tobytes()
        for frame in frames
    ]

    def deflated(content: bytes) -> bytes:
        packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        return packer.compress(content) + packer.flush()

    def saved(contents: list[bytes]) -> Path:
        """With a transfer syntax that pydicom does not write: another of the same length, replaced in the bytes."""
        dataset.PixelData = encapsulate(contents)
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.50"
        pydicom.dcmwrite(path, dataset)
        return written(path, path.read_bytes().replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.8.1\0"))

    dataset = pydicom.dcmread(made(frames))
    path = made(scene()).with_name("frames.dcm")
    if bits == 1:
        dataset.BitsAllocated = dataset.BitsStored = 1
        dataset.HighBit = 0
    saved([deflated(content) for content in stored])
    for number, frame in enumerate(frames, start=1):
        expected = (frame > 100) * 255 if bits == 1 else shown(made(frame))
        assert np.array_equal(shown(path, frame=number), expected)
    assert open_recorded(path).steps[0] == "decoded from Deflated Image Frame Compression"
    assert "or more" in refused(saved([deflated(content + b"more") for content in stored]))


def test_a_bare_file_of_a_study_is_known_by_its_patient_as_the_whole_file_is(made):
    """A split by patient rests on it: a file whose tags were not read would be nobody's."""
    path = made(scene(), "implicit")
    content = path.read_bytes()
    start = 144 + int.from_bytes(content[140:144], "little")
    written(path.with_name("bare"), content[start:])
    written(path.with_name("odd"), content[128:])
    studies = Studies(path.parent, "", b"key")
    whole, *others = (studies.find(name, "row 1") for name in ("a.dcm", "bare", "odd"))
    for other in others:
        assert other.patient == whole.patient != ""
        assert other.image == whole.image
