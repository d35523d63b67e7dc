"""DICOM: one frame of a file as an image, by pydicom. Only pixels and a few technical facts leave this file.

The road of a frame, in the standard's own order (PS3.3 C.11, PS3.4 N.2): decode (`dicom_frames`), modality rescale or
LUT, VOI LUT or window (`dicom_greys`), MONOCHROME1 turned so that it looks like every other image; colour is RGB
already, or goes through its palette. Overlays are not drawn. Enhanced files keep rescale and windows for each frame
apart; those of the chosen frame are used.

Who the patient is, is never read: pydicom is asked for the elements in `_READ` and drops all others.

Traps, all met: 12 bits stored in 16 with rubbish above; YBR frames that are RGB after decoding; a compressed frame
whose own size differs from the header's; windows of width 0; text such as "1A" for a number of frames; a deflated file
of a few bytes that unpacks to gigabytes (refused before); millions of sequence items (refused before).
"""

import logging
import mmap
import re
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discern_vqa.errors import ImageError
from discern_vqa.imaging import dicom_frames, dicom_greys
from discern_vqa.imaging.decoded import HINT_FETCH, DecodedImage, Limits, explained, pick, require_extra, too_large
from discern_vqa.imaging.greys import Window, to_bytes
from discern_vqa.imaging.image_ref import Choice, refuse

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_READ = [
    *"Modality BurnedInAnnotation PixelPaddingValue".split(),
    *"SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames Rows Columns".split(),
    *"BitsAllocated BitsStored HighBit PixelRepresentation".split(),
    *"WindowCenter WindowWidth VOILUTFunction VOILUTSequence".split(),
    *"RescaleSlope RescaleIntercept ModalityLUTSequence".split(),
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


def is_dicom(start: bytes) -> bool:
    """True for the first bytes of a DICOM file (PS3.10: "DICM" after a preamble of 128 bytes)."""
    return start[128:132] == b"DICM"


def read(path: Path, choice: Choice, limits: Limits) -> DecodedImage:
    """A frame of a DICOM file. Raises ImageError: no image in it, cut off, of a kind that cannot be decoded."""
    refuse(path, choice, ("frame", "window", "mirror"), "a DICOM file")
    require_extra(path, "DICOM", "pydicom", "dicom")
    logging.getLogger("pydicom").addHandler(logging.NullHandler())  # the error is raised; it need not be printed too
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on odd files: what matters stops below, with a reason
        return _frame(path, _header(path, limits), choice, limits)


def _header(path: Path, limits: Limits) -> "FileDataset":
    """The elements in `_READ`; bombs are refused before pydicom unpacks anything."""
    import pydicom

    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for count, _ in enumerate(_ITEM.finditer(content), start=1):
            if count > _MOST_ITEMS:
                raise ImageError(
                    f"{path} holds over {_MOST_ITEMS:,} sequence items or pieces of pixels, more than are opened",
                    hint="save the wanted frame as a file of its own",
                )
        with explained(path, "the header of this DICOM file"):
            syntax = pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID")
        if syntax == _DEFLATED:
            _require_small(path, content, limits)
    with explained(path, "this DICOM file"):
        dataset = pydicom.dcmread(path, specific_tags=_READ)
        has_pixels = any(dataset.get(name) for name in _PIXELS)
        modality = _word(dataset, "Modality")
    if not has_pixels:
        kind = f" ({modality})" if modality else ""
        raise ImageError(
            f"{path} is a DICOM file without an image{kind}", hint="give a file of the study that holds pixels"
        )
    return dataset


def _require_small(path: Path, content: mmap.mmap, limits: Limits) -> None:
    """Unpacks a deflated file piece by piece and throws the pieces away, to know how large it becomes."""
    length = content[140:144] if content[132:140] == b"\x02\x00\x00\x00UL\x04\x00" else b""
    if len(length) < 4:
        raise ImageError(f"{path}: a deflated DICOM file without the length of its header", hint=HINT_FETCH)
    unpacker, size = zlib.decompressobj(-zlib.MAX_WBITS), 0
    packed = content[144 + int.from_bytes(length, "little") :]
    with explained(path, "the deflated part of this DICOM file"):
        while packed and not unpacker.eof:
            size += len(unpacker.decompress(packed, 1 << 20))
            packed = unpacker.unconsumed_tail
            if size > limits.bytes:
                raise too_large(path, f"over {limits.bytes / 1e6:.0f} MB when unpacked", limits)


def _frame(path: Path, dataset: "FileDataset", choice: Choice, limits: Limits) -> DecodedImage:
    with explained(path, "the header of this DICOM file"):
        about = dicom_frames.describe(path, dataset, limits)
        modality, kind = _word(dataset, "Modality"), about.photometric
    index, which = pick(path, choice.frame, about.frames, (about.frames + 1) // 2, "frames")
    with explained(path, "the pixels of this DICOM file"):
        stored = dicom_frames.decode(path, dataset, about, index)
    if stored.ndim == 3:
        if choice.window is not None:
            raise ImageError(f"{path} is in colour; it has no window to choose", hint="leave #window=... away")
        shown, how = _full_range(stored, about.bits_stored), "colour as stored"
    elif kind == "PALETTE COLOR":
        with explained(path, "the palette of this DICOM file"):
            shown, how = dicom_greys.through_palette(stored, dataset), "its palette made plain colours"
    else:
        with explained(path, "the grey scale of this DICOM file"):
            shown, how = dicom_greys.show(path, stored, dataset, about, index, choice.window, modality)
    turned = ""
    if kind == "MONOCHROME1":
        shown, turned = 255 - shown, "white and black swapped (MONOCHROME1)"
    facts: dict[str, str | int | float] = {
        "columns": about.columns,
        "rows": about.rows,
        "frames": about.frames,
        "bits": about.bits_stored,
        "photometric": kind,
        "transfer_syntax": about.syntax,
    }
    if modality:
        facts["modality"] = modality
    warned: tuple[str, ...] = ()
    if _word(dataset, "BurnedInAnnotation") == "YES":
        warned = ("the file says that text is burned into the image: it may name the patient",)
    steps = (f"decoded from {about.syntax}", which, how, turned)
    return DecodedImage(Image.fromarray(shown), "DICOM", tuple(filter(None, steps)), facts, warned)


def _full_range(stored: NDArray[np.generic], bits: int) -> NDArray[np.uint8]:
    """Colours of any depth as 8 bits; all of the stored range, never stretched."""
    if stored.dtype == np.uint8 and bits == 8:
        return np.ascontiguousarray(stored, dtype=np.uint8)
    return to_bytes(stored, Window(0, float(2**bits - 1), "all of its range"))


def _word(dataset: Any, keyword: str) -> str:
    """A coded value (capital letters, digits; PS3.5: CS); "" for anything else, so that no free text passes."""
    value = str(dataset.get(keyword) or "").strip()
    return value if re.fullmatch(r"[A-Z0-9_ ]{1,16}", value) else ""
