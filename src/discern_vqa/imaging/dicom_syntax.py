"""DICOM: which transfer syntax a file is in, by its name; how it is told where the file does not say."""

import struct
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from discern_vqa.errors import ImageError

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset
    from pydicom.uid import UID

NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
"""Not compressed, or as a whole: implicit and explicit, deflated, big-endian."""

DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
"""Each frame deflated by itself (PS3.5 A.4.13, of 2025), which pydicom 3.0 does not know."""

_NEWER = {
    DEFLATED_FRAMES: "Deflated Image Frame Compression",
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
"""Transfer syntaxes of the standard that pydicom 3.0 has no names for."""

_STANDARD = "1.2.840.10008."
_BY_MARKER = {0xC0: "4.50", 0xC1: "4.51", 0xC3: "4.70", 0xF7: "4.80"}
"""JPEG's frame headers (ISO 10918-1 B.1.1.3, 14495-1 C.1.1): the transfer syntaxes that have them."""


def name_of(syntax: "UID") -> str:
    """A transfer syntax in words, with its number where the words do not name it."""
    text = str(syntax)[:64]
    if text in _NEWER:
        return _NEWER[text]
    if not text.startswith(_STANDARD):
        return f"a private transfer syntax ({text})"
    return f"an unknown transfer syntax ({text})" if syntax.name == text else syntax.name


def unread(path: Path, syntax: "UID") -> ImageError:
    """The error for a transfer syntax that has no decoder here: nothing is damaged, and another program may read it."""
    name, number = name_of(syntax), str(syntax)[:64]
    if "JPEG XL" in name:
        both = f"{quote(str(path))} {quote(str(path.with_name(f'{path.stem}_plain.dcm')))}"
        hint = f"dcm2dcm -t 1.2.840.10008.1.2.1 {both} (of dcm4che) saves a copy without compression: open that"
    elif number.startswith(_STANDARD):
        hint = "save it without compression (Explicit VR Little Endian) from the program that shows it; open that copy"
    else:
        hint = "export it from the maker's own program or archive as Explicit VR Little Endian; open that copy"
    return ImageError(f"{path} is compressed or encoded as {name}, which is not read", hint=hint)


def guessed(path: Path, dataset: "FileDataset") -> "UID":
    """The transfer syntax of a file that does not say it. Raises ImageError: it is compressed, nobody knows how."""
    from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if "PixelData" in dataset and dataset["PixelData"].is_undefined_length:
        syntax = _of_frame(_first_piece(dataset.PixelData))
        if syntax is None:
            raise ImageError(
                f"{path} is compressed and does not say how (it has no transfer syntax)",
                hint="export it again from the program that shows it, as a DICOM file with its file meta information",
            )
        return UID(f"1.2.840.10008.1.2.{syntax}")
    is_implicit, is_little = dataset.original_encoding
    if is_implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian


def _first_piece(encapsulated: bytes) -> bytes:
    """The first fragment that is no offset table."""
    from pydicom.encaps import generate_fragments

    return next((piece for piece in list(generate_fragments(encapsulated))[1:] if piece), b"")


def _of_frame(frame: bytes) -> str | None:
    """The transfer syntax of a compressed frame, as the end of its number; None: unknown."""
    if frame[:4] == b"\xff\x4f\xff\x51":
        return "4.90"
    if frame[:2] == b"\xff\xd8":
        position = 2
        while position + 4 <= len(frame) and frame[position] == 0xFF:
            if frame[position + 1] in _BY_MARKER:
                return _BY_MARKER[frame[position + 1]]
            position += 2 + int.from_bytes(frame[position + 2 : position + 4], "big")
        return None
    if len(frame) > 64:
        segments, first = struct.unpack_from("<2I", frame)
        return "5" if 1 <= segments <= 15 and first == 64 else None  # a run-length code's header (PS3.5 G.5)
    return None
