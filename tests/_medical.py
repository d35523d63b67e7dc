"""DICOM and NIfTI files made from arrays: what the tests of images share.

The encoder for JPEG Lossless is written here, point by point, so that the decoder is tested against another reading of
the standard than its own.
"""

import gzip
import io
import warnings
from pathlib import Path
from typing import Any

import imagecodecs
import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg": JPEGBaseline8Bit,
    "j2k": JPEG2000Lossless,
    "j2k_lossy": JPEG2000,
    "lossless": JPEGLosslessSV1,
    "extended": JPEGExtended12Bit,
    "jpegls": JPEGLSLossless,
    "jpegls_lossy": JPEGLSNearLossless,
}


def scene(rows: int = 40, columns: int = 48, top: int = 4095, seed: int = 0) -> np.ndarray:
    """A smooth grey image with some noise, 0 to `top`."""
    y, x = np.mgrid[:rows, :columns]
    field = np.sin(x / 5) + np.cos(y / 4) + np.random.default_rng(seed).normal(0, 0.05, (rows, columns))
    return np.rint((field - field.min()) / np.ptp(field) * top).astype(np.uint16 if top > 255 else np.uint8)


def dicom(values: np.ndarray, syntax: str = "explicit", **elements: Any) -> bytes:
    """A DICOM file of `values`: (rows, columns), (frames, rows, columns), or with a last axis of 3 colours.

    `elements` are set by keyword, and win; None takes one out.
    """
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = SYNTAXES[syntax]
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", "1.2.3"
    made = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    colours = values.shape[-1] == 3 and values.ndim > 2
    frames = values if values.ndim == (4 if colours else 3) else values[None]
    made.SOPClassUID, made.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    made.PatientName, made.PatientID = "Doe^Jane", "0815"
    made.Modality = "OT"
    made.Rows, made.Columns = frames.shape[1:3]
    made.SamplesPerPixel, made.PhotometricInterpretation = (3, "RGB") if colours else (1, "MONOCHROME2")
    if colours:
        made.PlanarConfiguration = 0
    if len(frames) > 1:
        made.NumberOfFrames = len(frames)
    made.BitsAllocated = made.BitsStored = 8 * values.dtype.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(values.dtype.kind == "i")
    for keyword, value in elements.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    _fill(made, frames, syntax)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


def _fill(made: FileDataset, frames: np.ndarray, syntax: str) -> None:
    if syntax == "rle":
        made.compress(RLELossless, frames[0] if len(frames) == 1 else frames, generate_instance_uid=False)
    elif syntax in ("j2k", "j2k_lossy"):
        options = {} if syntax == "j2k" else {"j2k_cr": [4]}
        whole = frames[0] if len(frames) == 1 else frames
        made.compress(SYNTAXES[syntax], whole, encoding_plugin="pylibjpeg", generate_instance_uid=False, **options)
    elif syntax in ("jpegls", "jpegls_lossy"):
        whole = [np.ascontiguousarray(frame).view(f"u{frame.dtype.itemsize}") for frame in frames]
        level = {"jpegls": 0, "jpegls_lossy": 3}[syntax]
        made.PixelData = encapsulate([imagecodecs.jpegls_encode(frame, level=level) for frame in whole])
    elif syntax == "extended" and frames.dtype.itemsize == 2:
        made.BitsStored, made.HighBit = 12, 11
        space = "RGB" if made.SamplesPerPixel == 3 else "GRAYSCALE"
        coded = [imagecodecs.jpeg8_encode(frame, level=98, bitspersample=12, outcolorspace=space) for frame in frames]
        made.PixelData = encapsulate(coded)
    elif syntax in ("jpeg", "extended"):
        if made.SamplesPerPixel == 3:
            made.PhotometricInterpretation = "YBR_FULL_422"
        made.PixelData = encapsulate([_jpeg(frame) for frame in frames])
    elif syntax == "lossless":
        made.PixelData = encapsulate([lossless_jpeg(frame, int(made.BitsStored)) for frame in frames])
    else:
        order = ">" if syntax == "big" else "<"
        content = frames.astype(frames.dtype.newbyteorder(order)).tobytes()
        made.PixelData = content + b"\0" * (len(content) % 2)
        made["PixelData"].VR = "OW" if made.BitsAllocated > 8 else "OB"


def _jpeg(frame: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def sequence(*items: dict[str, Any]) -> Sequence:
    """A DICOM sequence of items given by keyword; a value that is a list of dicts is a sequence too."""
    made = []
    for item in items:
        dataset = Dataset()
        for keyword, value in item.items():
            inner = isinstance(value, list) and value and isinstance(value[0], dict)
            setattr(dataset, keyword, sequence(*value) if inner else value)
        made.append(dataset)
    return Sequence(made)


def lossless_jpeg(values: np.ndarray, precision: int, predictor: int = 1, restart_rows: int = 0) -> bytes:
    """JPEG Lossless of (rows, columns) or (rows, columns, components), point by point as ISO 10918-1 H.1 says."""
    planes = (values[..., None] if values.ndim == 2 else values).astype(np.int64) & (1 << precision) - 1
    rows, columns, count = planes.shape

    def segment(marker: int, content: bytes) -> bytes:
        return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content

    parts = b"".join(bytes([number + 1, 0x11, 0]) for number in range(count))
    out = b"\xff\xd8" + segment(
        0xC3, bytes([precision]) + rows.to_bytes(2, "big") + columns.to_bytes(2, "big") + bytes([count]) + parts
    )
    # One code of five bits for each number of bits from 0 to 16.
    out += segment(0xC4, bytes([0, 0, 0, 0, 0, 17, *[0] * 11]) + bytes(range(17)))
    if restart_rows:
        out += segment(0xDD, (restart_rows * columns).to_bytes(2, "big"))
    chosen = b"".join(bytes([number + 1, 0]) for number in range(count))
    out += segment(0xDA, bytes([count]) + chosen + bytes([predictor, 0, 0]))
    bits: list[str] = []
    for row in range(rows):
        fresh = row % restart_rows == 0 if restart_rows else row == 0
        if fresh and row:
            out += _packed(bits) + bytes([0xFF, 0xD0 + (row // restart_rows - 1) % 8])
            bits = []
        for column in range(columns):
            for plane in range(count):
                point = planes[row, column, plane]
                a = planes[row, column - 1, plane] if column else None
                b = planes[row - 1, column, plane] if not fresh else None
                if a is None and b is None:
                    guess = 1 << precision - 1
                elif b is None:
                    guess = a
                elif a is None:
                    guess = b
                else:
                    c = planes[row - 1, column - 1, plane]
                    guess = [a, b, c, a + b - c, a + (b - c >> 1), b + (a - c >> 1), a + b >> 1][predictor - 1]
                bits.append(_code(int(point - guess)))
    return out + _packed(bits) + b"\xff\xd9"


def _code(difference: int) -> str:
    difference = (difference + 32768) % 65536 - 32768
    if difference == -32768:
        return format(16, "05b")
    size = abs(difference).bit_length()
    extra = difference if difference > 0 else difference + (1 << size) - 1
    return format(size, "05b") + (format(extra, f"0{size}b") if size else "")


def _packed(bits: list[str]) -> bytes:
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int("1" + text, 2).to_bytes(len(text) // 8 + 1, "big")[1:].replace(b"\xff", b"\xff\x00")


def nifti(
    values: np.ndarray,
    affine: np.ndarray | None = None,
    packed: bool = False,
    second: bool = False,
    slope: float | None = None,
    intercept: float = 0.0,
    **fields: Any,
) -> bytes:
    """A NIfTI file of an array stored as it is; `fields` are set in the header as they are."""
    kind = nibabel.Nifti2Image if second else nibabel.Nifti1Image
    image = kind(values, np.eye(4) if affine is None else affine, dtype=values.dtype)
    content = bytearray(image.to_bytes())
    header = image.header.copy()
    header["vox_offset"] = int.from_bytes(content[168:176], "little") if second else 352
    if slope is not None:
        header["scl_slope"], header["scl_inter"] = slope, intercept
    for name, value in fields.items():
        header[name] = value
    content[: len(header.binaryblock)] = header.binaryblock
    return gzip.compress(bytes(content), mtime=0) if packed else bytes(content)


def written(path: Path, content: bytes) -> Path:
    """`content` in a file; the path again."""
    path.write_bytes(content)
    return path
