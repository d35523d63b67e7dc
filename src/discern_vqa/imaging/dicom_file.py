"""DICOM: from a file to its header: files with and without preamble, deflated ones, and nothing about the patient.

Who the patient is, is never read: pydicom is asked for the elements in `_READ` and drops all others. Elements that are
present and empty are dropped too: the standard lets them stand for "not known" (PS3.5 7.4).

A file without the preamble of PS3.10, with one of another length, or without the group that says how it is encoded
(0002), is read as viewers read it: the order of bytes and the kind of encoding show in its first elements, compression
in its first frame.
"""

import io
import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from discern_vqa.errors import ImageError
from discern_vqa.imaging import dicom_greys, dicom_spacing, dicom_syntax
from discern_vqa.imaging.decoded import HINT_FETCH, Limits, explained, too_large

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset
    from pydicom.tag import BaseTag

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_READ = [
    *"Modality BurnedInAnnotation PixelPaddingValue ICCProfile".split(),
    *"SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames Rows Columns".split(),
    *"BitsAllocated BitsStored HighBit PixelRepresentation".split(),
    *"WindowCenter WindowWidth VOILUTFunction VOILUTSequence".split(),
    *"RescaleSlope RescaleIntercept ModalityLUTSequence".split(),
    *dicom_spacing.KEYWORDS,
    dicom_spacing.ULTRASOUND,
    *(f"{colour}PaletteColorLookupTableDescriptor" for colour in dicom_greys.COLOURS),
    *(f"{colour}PaletteColorLookupTableData" for colour in dicom_greys.COLOURS),
    *(f"Segmented{colour}PaletteColorLookupTableData" for colour in dicom_greys.COLOURS),
    *"SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence".split(),
    *"ExtendedOffsetTable ExtendedOffsetTableLengths".split(),
    *_PIXELS,
]
"""All that is read of a file: what its pixels are made of."""

_DEFLATED = "1.2.840.10008.1.2.1.99"
_ITEM = re.compile(rb"\xfe\xff\x00\xe0|\xff\xfe\xe0\x00")
_MOST_ITEMS = 200_000
"""Items of sequences and fragments of pixels: pydicom makes an object of each, some 100 times its bytes."""

_FIRST_GROUPS = (0x0002, 0x0008)  # a file without preamble starts with one of these
_EARLY_GROUPS = (*_FIRST_GROUPS, 0x0009, 0x0010, 0x0018, 0x0020, 0x0028)
_VR = re.compile(rb"AE|AS|AT|CS|D[AST]|F[LD]|IS|L[OT]|O[BWFDLV]|PN|S[HLSTQV]|T[MUI]|U[CILNRSTV]")
_LONG_VR = re.compile(rb"O[BWFDLV]|SQ|S[V]|U[CNRTV]")  # with a length of four bytes behind two empty ones (PS3.5 7.1.2)


START_BYTES = 540  # enough for the first elements of any file
_PREAMBLE = 128  # bytes (PS3.10 7.1)
_MARK = re.compile(
    rb"DICM\x02\x00[\x00-\xff]{2}[A-Z]{2}"
)  # the mark behind the preamble, with the element that follows


def is_dicom(start: bytes) -> bool:
    """True for the first `START_BYTES` of a DICOM file: "DICM" behind a preamble of 128 bytes (PS3.10), or of another
    length where the file meta information follows it, or two data elements of the groups that come first."""
    if start[_PREAMBLE : _PREAMBLE + 4] == b"DICM" or _MARK.search(start, 0, START_BYTES):
        return True
    return any(_are_elements(start, order) for order in "<>")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a DICOM file for pydicom, which knows no preamble of another length than the standard's: there the
    mark "DICM" is put behind one of 128 bytes. Raises OSError."""
    with open(path, "rb") as file:
        start = file.read(START_BYTES)
        mark = _MARK.search(start)
        if mark is None or mark.start() == _PREAMBLE or start[_PREAMBLE : _PREAMBLE + 4] == b"DICM":
            file.seek(0)
            yield file
        else:
            file.seek(mark.start())
            yield io.BytesIO(bytes(_PREAMBLE) + file.read())


class Header(NamedTuple):
    """What is read of a file. guessed: the transfer syntax was told from the file's bytes, since it does not say."""

    dataset: "FileDataset"
    guessed: bool


def header(path: Path, limits: Limits) -> Header:
    """The elements in `_READ`, and the transfer syntax; bombs are refused before pydicom unpacks anything.

    Raises ImageError: cut off, damaged, too large, or without an image.
    """
    import pydicom

    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for count, _ in enumerate(_ITEM.finditer(content), start=1):
            if count > _MOST_ITEMS:
                raise ImageError(
                    f"{path} holds over {_MOST_ITEMS:,} sequence items or pieces of pixels, more than are opened",
                    hint="save the wanted frame as a file of its own",
                )
    with opened(path) as stream, explained(path, "this DICOM file"):
        with explained(path, "the header of this DICOM file"):
            syntax, end = _meta(stream)
        if syntax == _DEFLATED:
            stream.seek(end)
            _require_small(path, stream.read(), limits)
        stream.seek(0)
        dataset = pydicom.dcmread(stream, force=True, specific_tags=_READ)
        _drop_empty(dataset)
        has_pixels = any(dataset.get(name) for name in _PIXELS)
        modality = word(dataset, "Modality")
        guessed = not dataset.file_meta.get("TransferSyntaxUID")
        if has_pixels and guessed:
            dataset.file_meta.TransferSyntaxUID = dicom_syntax.guessed(path, dataset)
    if not has_pixels:
        kind = f" ({modality})" if modality else ""
        # One that says how large its image is, or nothing at all, ends before its pixels.
        is_cut = "Rows" in dataset or not modality
        raise ImageError(
            f"{path} is a DICOM file without an image{kind}",
            hint="give a file of the study that holds pixels"
            + "; if this one should hold some, it is cut off: fetch it again" * is_cut,
        )
    return Header(dataset, guessed)


def word(dataset: "Dataset", keyword: str) -> str:
    """A coded value (capital letters, digits; PS3.5: CS); "" for anything else, so that no free text passes."""
    value = str(dataset.get(keyword) or "").strip()
    return value if re.fullmatch(r"[A-Z0-9_ ]{1,16}", value) else ""


def _are_elements(start: bytes, order: str) -> bool:
    """True where two data elements stand at the start, in rising order, with lengths that a header has."""
    position, last = 0, 0
    for groups in (_FIRST_GROUPS, _EARLY_GROUPS):
        if position + 12 > len(start):
            return False
        group, element = struct.unpack_from(f"{order}HH", start, position)
        tag = group << 16 | element
        if group not in groups or tag <= last:
            return False
        if _VR.fullmatch(start, position + 4, position + 6):
            is_long = _LONG_VR.fullmatch(start, position + 4, position + 6)
            layout, behind = (f"{order}I", 12) if is_long else (f"{order}H", 8)
            (length,) = struct.unpack_from(layout, start, position + (8 if is_long else 6))
        elif order == ">":
            return False  # big-endian files are always of explicit VR
        else:
            (length,), behind = struct.unpack_from("<I", start, position + 4), 8
        position, last = position + behind + length, tag
    return True


def _meta(file: IO[bytes]) -> tuple[str, int]:
    """The transfer syntax of a file ("" where it does not say), and the byte at which its data set starts."""
    from pydicom.filereader import read_dataset, read_preamble

    def is_behind(tag: "BaseTag", vr: str | None, length: int) -> bool:
        return tag.group != 0x0002

    read_preamble(file, force=True)  # type: ignore[arg-type]
    start = file.tell()
    meta = read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=is_behind)  # type: ignore[arg-type]
    try:
        return str(meta.get("TransferSyntaxUID") or ""), file.tell()
    except NotImplementedError:  # pydicom's word for a VR that does not exist: some write this group without VRs
        file.seek(start)
        meta = read_dataset(file, is_implicit_VR=True, is_little_endian=True, stop_when=is_behind)  # type: ignore[arg-type]
        return str(meta.get("TransferSyntaxUID") or ""), file.tell()


def _require_small(path: Path, packed: bytes, limits: Limits) -> None:
    """Unpacks a deflated file piece by piece and throws the pieces away, to know how large it becomes."""
    unpacker, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with explained(path, "the deflated part of this DICOM file"):
        while packed and not unpacker.eof:
            size += len(unpacker.decompress(packed, 1 << 20))
            packed = unpacker.unconsumed_tail
            if size > limits.bytes:
                raise too_large(path, f"over {limits.bytes / 1e6:.0f} MB when unpacked", limits)
        if not unpacker.eof:
            raise ImageError(f"the image {path} cannot be decoded: its deflated part is cut off", hint=HINT_FETCH)


def _drop_empty(dataset: "Dataset") -> None:
    """Takes out what is present and empty. Pixels are unsigned where the file does not say: without that word pydicom
    could not read elements whose values are of the same kind as the pixels."""
    for tag in list(dataset.keys()):
        value = dataset.get_item(tag, keep_deferred=True).value
        if value is None or (not isinstance(value, int | float) and not len(value)):
            del dataset[tag]
    if "PixelRepresentation" not in dataset:
        dataset.PixelRepresentation = 0
