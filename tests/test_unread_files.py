"""Files that are no image, or of a kind that is not read: named for what they are, with a way out that fits."""

import gzip
import io
import shlex
import struct
import subprocess
import sys

import imagecodecs
import numpy as np
import pytest
from _medical import dicom, nifti, scene, written
from PIL import Image

from discern_vqa.errors import ImageError
from discern_vqa.imaging import images
from discern_vqa.imaging.decoded import HINT_FETCH
from discern_vqa.imaging.images import open_image

GREY = scene(top=255)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def refused(path) -> ImageError:
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value) + caught.value.hint
    return caught.value


@pytest.mark.parametrize("name", ["a.jpg", "a.dcm", "a.nii.gz", "a.png"])
@pytest.mark.parametrize(
    ("content", "said", "hint"),
    [
        (POINTER, "a git-lfs pointer", "git -C"),
        (b"/annex/objects/SHA256E-s5--00.jpg\n", "a git-annex pointer", "git annex get"),
        (b"<!DOCTYPE html>\n<html><title>Log in</title></html>", "a web page", "download the image again"),
        (b"\xef\xbb\xbf\r\n <HTML><head>", "a web page", "download the image again"),
        (b'{"error": "not found"}', "text (JSON)", "holds data"),
        (b"patient,finding\n1,mass\n", "text", "text editor"),
        (b"<?xml version='1.0'?><gifti/>", "a GIFTI file", ".nii.gz"),
        (b"\0" * 600, "nothing but zero bytes", "fetch it again"),
        (b"%PDF-1.7\n", "a PDF document", "pdftoppm"),
        (b"PK\x03\x04rest", "a ZIP archive", "unpack it"),
        (b"\x93NUMPY\x01\0", "a NumPy array", "PNG"),
        (b"NRRD0004\ntype: short\n", "an NRRD volume", "NIfTI"),
        (b"ObjectType = Image\nNDims = 3\n", "a MetaImage header", "NIfTI"),
        (b"\0\0\0\x1cftypheic\0\0", "a HEIC image", "heif-convert"),
        (b"\0\0\0\x1cftypmp42\0\0", "a video", "ffmpeg"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL file", "djxl"),
        (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "a Macintosh companion file", "._"),
    ],
)
def test_what_it_is_is_said_whatever_its_name(tmp_path, name, content, said, hint):
    error = refused(written(tmp_path / name, content))
    assert said in str(error)
    assert hint in error.hint
    assert (error.hint == HINT_FETCH) == ("zero bytes" in said)


def test_fetch_it_again_is_said_where_something_is_damaged_alone(tmp_path):
    rubbish = bytes(range(200, 256)) * 4
    assert refused(written(tmp_path / "a.png", rubbish)).hint == HINT_FETCH
    assert refused(written(tmp_path / "a.png", b"\x89PNG\r\n\x1a\n" + rubbish)).hint == HINT_FETCH
    assert "starts with the bytes c8 c9" in refused(written(tmp_path / "a.xyz", rubbish)).hint


@pytest.mark.parametrize("name", ["a b.jp2", "a'b.j2k"])
def test_the_command_for_a_jpeg_2000_file_works_when_typed(tmp_path, name):
    path = written(tmp_path / name, imagecodecs.jpeg2k_encode(GREY, codecformat="jp2" if "jp2" in name else "j2k"))
    error = refused(path)
    assert "a JPEG 2000 file" in str(error)
    words = shlex.split(error.hint)
    assert words[0] == "python"
    assert subprocess.run([sys.executable, *words[1:]], check=False).returncode == 0
    assert np.array_equal(np.asarray(open_image(tmp_path / f"{name.partition('.')[0]}.png")), GREY)


def test_a_gzip_file_of_an_image_and_of_something_else_are_told_apart(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(GREY).save(buffer, "PNG")
    packed = refused(written(tmp_path / "a.png.gz", gzip.compress(buffer.getvalue())))
    assert "a gzip file of an image" in str(packed)
    assert packed.hint.startswith("gunzip --keep ")
    mgz = refused(written(tmp_path / "a.mgz", gzip.compress(struct.pack(">7i", 1, 4, 4, 4, 1, 3, 0))))
    assert "a FreeSurfer volume" in str(mgz)
    assert mgz.hint.startswith("mri_convert ")
    assert "gunzip --keep" in refused(written(tmp_path / "a.dcm.gz", gzip.compress(dicom(GREY)))).hint


@pytest.mark.parametrize(
    ("encoded", "said"),
    [
        (imagecodecs.jpeg8_encode(scene(), bitspersample=12), "JPEG (12 bits)"),
        (imagecodecs.ljpeg_encode(scene(), bitspersample=16), "lossless JPEG (16 bits)"),
        (imagecodecs.jpegls_encode(GREY), "JPEG-LS"),
    ],
)
def test_a_jpeg_of_another_process_is_named(tmp_path, encoded, said):
    error = refused(written(tmp_path / "a.jpg", encoded))
    assert f"is a {said} file" in str(error)
    assert error.hint != HINT_FETCH


def test_a_tiff_of_other_numbers_is_named(tmp_path):
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "a.tif")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    bits = content.index(struct.pack("<HHI", 258, 3, 1)) + 8
    content[bits : bits + 2] = struct.pack("<H", 64)
    error = refused(written(tmp_path / "b.tif", bytes(content)))
    assert "64 bits a pixel, floating point" in str(error)
    assert error.hint != HINT_FETCH


# DICOM


@pytest.mark.parametrize(
    ("uid", "said", "hint"),
    [
        ("1.2.840.10008.1.2.4.110", "JPEG XL Lossless", "dcm2dcm -t 1.2.840.10008.1.2.1"),
        ("1.2.840.10008.1.2.4.112", "JPEG XL", "dcm2dcm"),
        ("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264", "without compression"),
        ("1.2.840.113619.5.2", "a private transfer syntax (1.2.840.113619.5.2)", "maker's own program"),
        ("1.2.840.10008.1.2.4.999", "an unknown transfer syntax (1.2.840.10008.1.2.4.999)", "without compression"),
    ],
)
def test_transfer_syntaxes_without_a_decoder_are_named(tmp_path, uid, said, hint):
    content = dicom(scene())
    usual = b"1.2.840.10008.1.2.1\0"
    padded = uid.encode() + b"\0" * (len(uid) % 2)
    at = content.index(usual)
    changed = content[: at - 2] + struct.pack("<H", len(padded)) + padded + content[at + len(usual) :]
    group = content.index(b"UL\x04\0") + 4
    length = int.from_bytes(content[group : group + 4], "little") + len(padded) - len(usual)
    error = refused(written(tmp_path / "a.dcm", changed[:group] + struct.pack("<I", length) + changed[group + 4 :]))
    assert said in str(error)
    assert hint in error.hint


def test_pixels_of_one_bit_in_a_run_length_code_are_named(tmp_path):
    content = dicom(GREY, "rle", BitsAllocated=8)
    at = content.index(struct.pack("<HH", 0x28, 0x100) + b"US\2\0") + 8
    for offset, value in ((0, 1), (10, 1), (20, 0)):  # bits allocated, bits stored, high bit
        content = content[: at + offset] + struct.pack("<H", value) + content[at + offset + 2 :]
    error = refused(written(tmp_path / "a.dcm", content))
    assert "pixels of 1 bit, encoded as RLE Lossless" in str(error)
    assert error.hint != HINT_FETCH


def test_samples_that_no_screen_shows_are_not_called_damaged(tmp_path):
    error = refused(written(tmp_path / "a.dcm", dicom(GREY, PhotometricInterpretation="HSV")))
    assert "1 samples a pixel as 'HSV'" in str(error)
    assert error.hint != HINT_FETCH


# NIfTI


def test_a_volume_of_vectors_is_named_and_the_command_saves_one_of_them(tmp_path):
    volume = np.random.default_rng(0).integers(0, 900, (5, 6, 7, 1, 3)).astype(np.int16)
    error = refused(written(tmp_path / "a.nii", nifti(volume)))
    assert "5 x 6 x 7 x 1 x 3 values, several in each voxel" in str(error)
    words = shlex.split(error.hint.partition(": ")[2])
    assert subprocess.run([sys.executable, *words[1:]], check=False, cwd=tmp_path).returncode == 0
    first = written(tmp_path / "b.nii", nifti(volume[..., 0, 0]))
    assert np.array_equal(np.asarray(open_image(tmp_path / "a_first.nii.gz")), np.asarray(open_image(first)))


@pytest.mark.parametrize(
    ("intent", "hint"),
    [
        (3002, "COLUMN -volume-all "),
        (3006, "COLUMN -volume-all "),
        (3009, "ROW -volume-all "),
        (3008, "give the volume"),
    ],
)
def test_cifti_is_named_and_only_what_may_hold_a_volume_gets_the_command_that_saves_one(tmp_path, intent, hint):
    content = nifti(np.zeros((1, 1, 1, 1, 4, 9), np.float32), second=True, intent_code=intent)
    error = refused(written(tmp_path / "a b.dscalar.nii", content))
    assert "is a CIFTI file" in str(error)
    assert hint in error.hint
    if "volume-all" in hint:
        words = shlex.split(error.hint.partition(" saves ")[0])
        assert words[:3] == ["wb_command", "-cifti-separate", str(tmp_path / "a b.dscalar.nii")]
        assert words[-1] == str(tmp_path / "a b_volume.nii.gz")


def test_the_values_of_a_pair_without_header_are_named(tmp_path):
    error = refused(written(tmp_path / "a.img", np.arange(300, 900, dtype=np.int16).tobytes()))
    assert "the values of a pair whose header is not there" in str(error)
    assert error.hint.startswith("put a.hdr beside it")


def test_limits_hold_for_the_values_of_a_pair(tmp_path, monkeypatch):
    import nibabel

    nibabel.save(nibabel.Nifti1Pair(np.zeros((9, 9, 9), np.int16), np.eye(4)), tmp_path / "a.hdr")
    monkeypatch.setattr(images, "MOST_BYTES", 1000)
    with pytest.raises(ImageError, match="0 MB are opened"):
        open_image(tmp_path / "a.hdr")


def test_a_file_whose_name_is_an_ending_is_named_too(tmp_path):
    assert "text" in str(refused(written(tmp_path / ".gitignore", b"build\n")))
    assert " image.png" in refused(written(tmp_path / ".jp2", b"\0\0\0\x0cjP  \r\n\x87\n")).hint.replace("/", " ")
