"""DICOM: from the file's bytes to the stored values of one frame. Sizes are checked before anything is decoded.

Which decoder reads which transfer syntax is fixed in `_PLUGINS` and `_DEEP`, so that a file gives the same values
everywhere; docs/images.md has the list with their licences. pylibjpeg-libjpeg is GPL-3: it is not used, even where
it is installed. Frames that are deflated one by one are unpacked here. Others (MPEG, HEVC, JPEG XL, private ones) have
no decoder and are refused by their names (`dicom_syntax`).
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discern_vqa.errors import ImageError
from discern_vqa.imaging import dicom_codecs, dicom_syntax
from discern_vqa.imaging.decoded import HINT_FETCH, Limits, too_large, undecodable

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset
    from pydicom.pixels.decoders.base import Decoder

_JPEG = {"1.2.840.10008.1.2.4.50", dicom_codecs.JPEG_EXTENDED}
_JPEG_2000 = {f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 201, 202, 203)}
_RLE = {"1.2.840.10008.1.2.5"}

_PLUGINS = (
    (_JPEG, "pillow", "pillow"),
    (_JPEG_2000, "pylibjpeg", "'discern-vqa[dicom]'"),
    (dicom_codecs.JPEG_LOSSLESS | dicom_codecs.JPEG_LS, dicom_codecs.PLUGIN, "'discern-vqa[dicom]'"),
    (_RLE, "pydicom", "pydicom"),
)
"""Transfer syntaxes, pydicom's name for the decoder that reads them here, and what brings it."""
_DEEP = ({dicom_codecs.JPEG_EXTENDED}, dicom_codecs.PLUGIN, "'discern-vqa[dicom]'")
"""The same for more than 8 bits, which Pillow does not read."""

_COMPRESSED = {syntax for syntaxes, _, _ in _PLUGINS for syntax in syntaxes}
_KNOWN = dicom_syntax.NATIVE | {dicom_syntax.DEFLATED_FRAMES} | _COMPRESSED

_MOST_FRAMES = 100_000

_COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_GREYS = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")


@dataclass(frozen=True)
class About:
    """What the header says about the pixels (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    frames: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    syntax: str  # the transfer syntax in words


def describe(path: Path, dataset: "FileDataset", limits: Limits) -> About:
    """The header's word on the pixels, checked. Raises ImageError: something is missing, impossible or too large."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax not in _KNOWN:
        raise dicom_syntax.unread(path, syntax)
    rows, columns, allocated = (_whole(path, dataset, name) for name in ("Rows", "Columns", "BitsAllocated"))
    samples = _whole(path, dataset, "SamplesPerPixel", 1)
    frames = _whole(path, dataset, "NumberOfFrames", 1) or 1
    stored = _whole(path, dataset, "BitsStored", allocated)
    photometric = str(dataset.get("PhotometricInterpretation", "")).strip()
    if not 1 <= rows <= 65535 or not 1 <= columns <= 65535:
        raise _wrong(path, f"its image has {rows} rows and {columns} columns")
    if frames > _MOST_FRAMES:
        raise _wrong(path, f"it claims {frames:,} frames")
    if rows * columns * samples > limits.pixels:
        raise too_large(path, f"{columns} x {rows} pixels" + (f" of {samples} colours" if samples > 1 else ""), limits)
    if not 1 <= stored <= allocated:
        raise _wrong(path, f"it stores {stored} bits in {allocated}")
    if allocated not in (1, 8, 16, 32, 64) or allocated == 1 and syntax in _COMPRESSED:
        raise _unread(
            path, f"it has pixels of {allocated} bit{'s' * (allocated > 1)}, encoded as {dicom_syntax.name_of(syntax)}"
        )
    if (samples, photometric) not in {*((1, grey) for grey in _GREYS), *((3, colour) for colour in _COLOURS)}:
        raise _unread(path, f"it has {samples} samples a pixel as {photometric[:20] or 'nothing named'!r}")
    signed = bool(_whole(path, dataset, "PixelRepresentation", 0))
    return About(rows, columns, samples, frames, allocated, stored, signed, photometric, dicom_syntax.name_of(syntax))


def decode(path: Path, dataset: "FileDataset", about: About, index: int) -> NDArray[np.generic]:
    """The stored values of frame `index` (from 0): (rows, columns), or (rows, columns, 3) as RGB."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import as_pixel_options
    from pydicom.uid import ExplicitVRLittleEndian

    syntax, plugin = str(dataset.file_meta.TransferSyntaxUID), ""
    if syntax == dicom_syntax.DEFLATED_FRAMES:
        _inflate(path, dataset, about, index)
        decoder, index, frames = get_decoder(ExplicitVRLittleEndian), 0, 1
    elif syntax in _COMPRESSED:
        decoder, plugin = _decoder(path, syntax, about)
        _require_agreement(path, _encoded(dataset, about, index), syntax, about)
        frames = about.frames
    else:
        decoder, frames = get_decoder(syntax), about.frames
    options = as_pixel_options(
        dataset,
        number_of_frames=frames,
        samples_per_pixel=about.samples,
        bits_stored=about.bits_stored,
        pixel_representation=int(about.signed),
    )
    if about.samples > 1:
        options.setdefault("planar_configuration", 0)
    if _offsets(dataset) is None:
        options.pop("extended_offsets", None)
    frame: NDArray[np.generic] = decoder.as_array(dataset, index=index, decoding_plugin=plugin, **options)[0]
    if frame.shape[:2] != (about.rows, about.columns):
        raise _wrong(path, f"a frame of {about.columns} x {about.rows} pixels became {frame.shape}")
    return frame


def _decoder(path: Path, syntax: str, about: About) -> tuple["Decoder", str]:
    """pydicom's decoder of a compressed transfer syntax, and the plugin that it is to use."""
    from pydicom.pixels.decoders.base import get_decoder

    rows = (_DEEP, *_PLUGINS) if about.bits_stored > 8 else _PLUGINS
    plugin, package = next((plugin, package) for syntaxes, plugin, package in rows if syntax in syntaxes)
    decoder = dicom_codecs.decoder(syntax) if plugin == dicom_codecs.PLUGIN else get_decoder(syntax)
    if plugin not in decoder.available_plugins:
        raise ImageError(
            f"{path} is compressed as {about.syntax}, and its decoder is not installed", hint=f"pip install {package}"
        )
    return decoder, plugin


def _offsets(dataset: "FileDataset") -> tuple[bytes, bytes] | None:
    """The extended offset table and its lengths, where both are there."""
    if dataset.get("ExtendedOffsetTable") and dataset.get("ExtendedOffsetTableLengths"):
        return dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths
    return None


def _encoded(dataset: "FileDataset", about: About, index: int) -> bytes:
    """The compressed bytes of one frame."""
    from pydicom.encaps import get_frame

    return get_frame(dataset.PixelData, index, number_of_frames=about.frames, extended_offsets=_offsets(dataset))


def _inflate(path: Path, dataset: "FileDataset", about: About, index: int) -> None:
    """Puts the unpacked bytes of one deflated frame in the place of all compressed ones."""
    from pydicom.uid import ExplicitVRLittleEndian

    size = -(-about.rows * about.columns * about.samples * about.bits_allocated // 8)
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = unpacker.decompress(_encoded(dataset, about, index), size + 2)
    if len(plain) not in (size, size + size % 2):
        raise _wrong(path, f"a frame of {size:,} bytes unpacks to {len(plain):,}{'' if unpacker.eof else ' or more'}")
    dataset.PixelData = plain
    dataset["PixelData"].is_undefined_length = False
    dataset["PixelData"].VR = "OW" if about.bits_allocated > 8 else "OB"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _require_agreement(path: Path, encoded: bytes, syntax: str, about: About) -> None:
    """The compressed frame's own word on its size must be the header's: a decoder believes the former."""
    if syntax in _RLE:
        # One longer than twice what it unpacks to is a bomb or damaged: its worst case is 129 bytes for 128.
        unpacked = about.rows * about.columns * about.samples * -(-about.bits_allocated // 8)
        if len(encoded) > 2 * unpacked + 4096:
            raise _wrong(path, f"a frame of {unpacked:,} bytes takes {len(encoded):,} in its run-length code")
        return
    size = _size_in_jpeg_2000(encoded) if syntax in _JPEG_2000 else _size_in_jpeg(encoded)
    if size is None:
        raise undecodable(path, f"its frame is no {about.syntax}")
    rows, columns, samples = size
    if size != (about.rows, about.columns, about.samples):
        raise _wrong(
            path,
            f"its compressed frame has {columns} x {rows} pixels of {samples} samples, its header "
            f"{about.columns} x {about.rows} of {about.samples}",
        )


def _size_in_jpeg(encoded: bytes) -> tuple[int, int, int] | None:
    """(rows, columns, samples) of a JPEG or JPEG-LS stream: its frame header (ISO 10918-1 B.2.2)."""
    position = 2
    while position + 9 < len(encoded) and encoded[position] == 0xFF:
        marker = encoded[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
        elif marker == 0xF7 or 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            rows, columns, samples = struct.unpack_from(">HHB", encoded, position + 5)
            return rows, columns, samples
        else:
            position += 2 + int.from_bytes(encoded[position + 2 : position + 4], "big")
    return None


def _size_in_jpeg_2000(encoded: bytes) -> tuple[int, int, int] | None:
    """(rows, columns, samples) of a JPEG 2000 stream: its SIZ segment (ISO 15444-1 A.5.1), also inside JP2 boxes."""
    start = encoded.find(b"\xff\x4f\xff\x51", 0, 4096)
    if start < 0 or len(encoded) < start + 45:
        return None
    right, bottom, left, top, tile_width, tile_height = struct.unpack_from(">6I", encoded, start + 8)
    (samples,) = struct.unpack_from(">H", encoded, start + 40)
    # Tiny tiles over a large image: the decoder keeps an account of each.
    tiles = -(-right // max(1, tile_width)) * -(-bottom // max(1, tile_height))
    return (bottom - top, right - left, samples) if right > left and bottom > top and tiles <= 65535 else None


def _whole(path: Path, dataset: Any, keyword: str, usual: int | None = None) -> int:
    value = dataset.get(keyword)
    if value is None and usual is not None:
        return usual
    if not isinstance(value, int) or value < 0:
        raise _wrong(path, f"{keyword} is {'missing' if value is None else str(value)[:30]!r}")
    return int(value)


def _wrong(path: Path, what: str) -> ImageError:
    return ImageError(f"{path} is a DICOM file that cannot be shown: {what}", hint=HINT_FETCH)


def _unread(path: Path, what: str) -> ImageError:
    """For what is no damage: a kind of pixels that is not read here."""
    return ImageError(
        f"{path} is a DICOM file of a kind that is not read: {what}",
        hint="save it as greys or RGB of 8 or 16 bits without compression, from the program that shows it",
    )
