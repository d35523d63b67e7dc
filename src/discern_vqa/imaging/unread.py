"""Files that are no image, or of a kind that is not read, named for what they are. "Fetch it again" is said only where
something may be damaged.

A file is told by its first bytes (signatures from the formats' own documents) and, where these say nothing, by its
name. For a kind that another program turns into an image, the hint is the command.
"""

import codecs
import struct
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from discern_vqa.errors import ImageError
from discern_vqa.imaging.decoded import HINT_FETCH

NAMED = "PNG, JPEG, TIFF, BMP, GIF, WebP, DICOM, NIfTI or Analyze"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_READ_BY_PILLOW = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"GIF8", *_TIFF)
_USUAL_PROCESSES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # JPEG's frame headers: baseline, extended, progressive, arithmetic
_ENDINGS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".dcm", ".nii", ".nii.gz")

_EXPORT = "save it as PNG from the program that shows it"
_UNPACK = "unpack it, and give one of the images in it"
_DATA = "give an image file: this one holds data"
_ONE_FRAME = "save one of its frames: ffmpeg -i {file} -frames:v 1 {png}"


class _Kind(NamedTuple):
    """A kind of file. offset, signatures: bytes that tell it; name: with its article; hint: {file}, {png}, {nii},
    {stem} and {folder} are filled in, quoted for a shell, and {pillow} with a command that makes a PNG."""

    offset: int
    signatures: tuple[bytes, ...]
    name: str
    hint: str = _EXPORT


_POINTERS = (
    _Kind(
        0,
        (b"version https://git-lfs",),
        "a git-lfs pointer: the file itself was not fetched",
        "git -C {folder} lfs pull",
    ),
    _Kind(
        0,
        (b"/annex/objects/",),
        "a git-annex pointer: the file itself was not fetched",
        "cd {folder} && git annex get .",
    ),
)
_KINDS = (
    *_POINTERS,
    _Kind(0, (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), "a JPEG 2000 file", "{pillow}"),
    _Kind(0, (b"\0\0\0\x0cJXL \r\n\x87\n", b"\xff\x0a"), "a JPEG XL file", "djxl {file} {png} (of libjxl)"),
    _Kind(4, (b"ftypavi",), "an AVIF image", "{pillow}"),
    _Kind(4, (b"ftyphei", b"ftypmif"), "a HEIC image", "heif-convert {file} {png} (of libheif)"),
    _Kind(4, (b"ftyp",), "a video", _ONE_FRAME),
    _Kind(8, (b"AVI ",), "a video", _ONE_FRAME),
    _Kind(0, (b"\x1aE\xdf\xa3",), "a video", _ONE_FRAME),
    _Kind(0, (b"%PDF",), "a PDF document", "save its first page: pdftoppm -png -singlefile {file} {stem}"),
    _Kind(0, (b"%!PS",), "a PostScript document"),
    _Kind(0, (b"8BPS",), "a Photoshop file", "{pillow}"),
    _Kind(0, (b"\0\0\x01\0",), "an icon", "{pillow}"),
    _Kind(0, tuple(f"P{n}{end}".encode() for n in range(1, 7) for end in "\n\r "), "a portable anymap", "{pillow}"),
    _Kind(0, (b"\x93NUMPY",), "a NumPy array", "save it as PNG, or as NIfTI with nibabel"),
    _Kind(0, (b"\x89HDF",), "an HDF5 file (MINC, MATLAB or the like)", "save the volume as NIfTI (.nii.gz)"),
    _Kind(0, (b"CDF\x01", b"CDF\x02"), "a NetCDF file (MINC or the like)", "of MINC: mnc2nii {file} {nii}"),
    _Kind(0, (b"MATLAB 5.0",), "a MATLAB file", "save the array as PNG, or as NIfTI"),
    _Kind(0, (b"NRRD",), "an NRRD volume", "save it as NIfTI (.nii.gz), for example with 3D Slicer"),
    _Kind(0, (b"ObjectType", b"NDims"), "a MetaImage header", "save it as NIfTI (.nii.gz), for example with 3D Slicer"),
    _Kind(0, (b"\0\0\0\x01\0\0",), "a FreeSurfer volume (MGH)", "mri_convert {file} {nii} (of FreeSurfer)"),
    _Kind(0, (b"SIMPLE  =",), "a FITS file"),
    _Kind(0, (b"PK\x03\x04",), "a ZIP archive (also .xlsx, .docx, .npz)", _UNPACK),
    _Kind(257, (b"ustar",), "a tar archive", _UNPACK),
    _Kind(0, (b"Rar!",), "a RAR archive", _UNPACK),
    _Kind(0, (b"7z\xbc\xaf\x27\x1c",), "a 7z archive", _UNPACK),
    _Kind(0, (b"BZh",), "a bzip2 file", "bunzip2 --keep {file}"),
    _Kind(0, (b"\xfd7zXZ",), "an xz file", "unxz --keep {file}"),
    _Kind(0, (b"\x28\xb5\x2f\xfd",), "a zstd file", "unzstd --keep {file}"),
    _Kind(0, (b"PAR1",), "a Parquet file", _DATA),
    _Kind(0, (b"SQLite format 3",), "an SQLite database", _DATA),
    _Kind(0, (b"\xd0\xcf\x11\xe0",), "an old Office document or Thumbs.db", _DATA),
    _Kind(0, (b"\0\x05\x16\x07",), "a Macintosh companion file", "give the file of the same name without ._ before it"),
    _Kind(0, (b"\x80\x03", b"\x80\x04", b"\x80\x05"), "a pickle file", _DATA),
)


def refusal(path: Path, start: bytes, packed: bool = False) -> ImageError:
    """The error for a file that no reader knows.

    Args:
        start: its first bytes, unpacked where it is a gzip file (`packed`).
    """
    kind = next((kind for kind in _KINDS if start.startswith(kind.signatures, kind.offset)), None) or _by_text(start)
    if packed:
        inner = kind.name if kind else "an image" if start.startswith(_READ_BY_PILLOW) else "something unknown"
        hint = _filled(kind, path) if kind and "FreeSurfer" in kind.name else f"gunzip --keep {quote(str(path))}"
        return ImageError(f"{path} is no image that can be read: a gzip file of {inner}", hint=hint)
    if kind is not None:
        return ImageError(
            f"{path} is no image that can be read, but {kind.name}; expected {NAMED}", hint=_filled(kind, path)
        )
    return _unknown(path, start)


def _by_text(start: bytes) -> _Kind | None:
    """What a file of text is; None for other files."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if _is_page(text) or b"<html" in text:
        page = "a web page (HTML): what a server sent in place of the image"
        return _Kind(0, (), page, "download the image again; the page may want a log-in: open it in a browser to see")
    if text.startswith((b"<svg", b"<?xml")) and b"<svg" in text:
        return _Kind(0, (), "an SVG drawing")
    if text.startswith(b"<?xml") and b"<gifti" in text:
        return _Kind(0, (), "a GIFTI file: a surface or values on it", "give the volume (.nii.gz) it was made from")
    if text.startswith(b"<?xml"):
        return _Kind(0, (), "an XML document", _DATA)
    if text.startswith((b"{", b"[")):
        return _Kind(0, (), "text (JSON)", _DATA)
    if text and _is_text(start):
        return _Kind(0, (), "text", "give an image file: open this one in a text editor to see what it says")
    if start and not any(start):
        return _Kind(0, (), "a file that starts with nothing but zero bytes", HINT_FETCH)
    return None


def _is_page(text: bytes) -> bool:
    """Whether a file's first bytes, in lower case and without white space before them, begin a web page."""
    return text.startswith((b"<!doctype html", b"<html", b"<head", b"<script"))


def placeholder(path: Path, start: bytes) -> tuple[str, str] | None:
    """What a file is that lies in the place of the one that was wanted, whatever that is, and what helps: a pointer of
    git-lfs or git-annex, or a web page. None for other files. `start`: its first bytes."""
    text = start.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if _is_page(text) or (text.startswith(b"<") and b"<html" in text):
        page = "a web page (HTML): what a server sent in place of the file"
        return page, "download it again; the page may want a log-in: open it in a browser to see"
    kind = next((kind for kind in _POINTERS if start.startswith(kind.signatures, kind.offset)), None)
    return (kind.name, _filled(kind, path)) if kind else None


def _is_text(start: bytes) -> bool:
    """True for UTF-8 without control characters; the last character may be cut off."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return not any(byte < 9 or 13 < byte < 32 for byte in start)


def _unknown(path: Path, start: bytes) -> ImageError:
    if path.name.lower().removesuffix(".gz").endswith(".img"):
        stem = path.name.removesuffix(".gz")[:-4]
        return ImageError(
            f"{path} is no image that can be read by itself: the values of a pair whose header is not there",
            hint=f"put {stem}.hdr beside it, or save both as one .nii file",
        )
    is_damaged = start.startswith(_READ_BY_PILLOW) or path.name.lower().endswith(_ENDINGS)
    hint = HINT_FETCH if is_damaged else f"give an image file (this one starts with the bytes {start[:8].hex(' ')})"
    return ImageError(f"{path} is no image that can be read; expected {NAMED}", hint=hint)


def unread_jpeg(path: Path) -> ImageError | None:
    """The error for a JPEG file of a process or depth that Pillow does not read (ISO 10918-1 B.2.2); None for others.

    Asked when Pillow gave up, so the file was read before.
    """
    what = _jpeg_process(path)
    return what and ImageError(f"{path} is a {what} file, which is read only inside DICOM", hint=_EXPORT) or None


def _jpeg_process(path: Path) -> str:
    with open(path, "rb") as file:
        if file.read(2) != b"\xff\xd8":
            return ""
        while len(segment := file.read(4)) == 4 and segment[0] == 0xFF:
            marker, length = segment[1], int.from_bytes(segment[2:], "big")
            if marker == 0xF7:
                return "JPEG-LS"
            if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
                bits = file.read(1)
                if not bits or bits == b"\x08" and marker in _USUAL_PROCESSES:
                    return ""
                return f"{'JPEG' if marker in _USUAL_PROCESSES else 'lossless JPEG'} ({bits[0]} bits)"
            file.seek(max(0, length - 2), 1)
    return ""


def unread_tiff(path: Path) -> ImageError | None:
    """The error for a TIFF file whose kind of pixels Pillow does not know; None where its header cannot be read."""
    from PIL import TiffImagePlugin, TiffTags

    with open(path, "rb") as file:
        start = file.read(16)
        if not start.startswith(_TIFF):
            return None
        try:
            tags = TiffImagePlugin.ImageFileDirectory_v2(start if start[2:4] in (b"+\0", b"\0+") else start[:8])
            file.seek(tags.next)
            tags.load(file)
            bits, numbers = tags.get(TiffImagePlugin.BITSPERSAMPLE), tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
            compression = tags.get(TiffImagePlugin.COMPRESSION, 1)
            has_size = bool(tags.get(TiffImagePlugin.IMAGEWIDTH))
        except (OSError, SyntaxError, ValueError, TypeError, LookupError, struct.error):
            return None
    if not bits or not has_size:
        return None
    names = {1: "whole numbers", 2: "signed numbers", 3: "floating point"}
    words = {number: word for word, number in TiffTags.TAGS_V2[TiffImagePlugin.COMPRESSION].enum.items()}
    what = f"{' + '.join(str(count) for count in bits[:5])} bits a pixel, {names.get(numbers[0], 'unusual numbers')}"
    packing = f", compression {words.get(compression, compression)}" if compression != 1 else ""
    return ImageError(
        f"{path} is a TIFF file of a kind that is not read: {what}{packing}",
        hint="save it as TIFF of 8, 16 or (floating point) 32 bits, or as PNG, from the program that shows it",
    )


def _filled(kind: _Kind, path: Path) -> str:
    stem = path.with_name(path.name.partition(".")[0] or "image")
    png, nii = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.nii.gz")
    code = f"from PIL import Image; Image.open({str(path)!r}).save({str(png)!r})"
    words = {"file": path, "folder": path.parent, "png": png, "nii": nii, "stem": stem}
    return kind.hint.format(pillow=f"python -c {quote(code)}", **{name: quote(str(at)) for name, at in words.items()})
