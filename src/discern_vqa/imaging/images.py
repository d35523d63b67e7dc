"""One door for pixels: a file becomes an 8-bit array of the size asked for, or a clear ImageError. No torch here.

PNG, JPEG, TIFF, BMP, GIF and WebP (`raster`), DICOM (`dicom`), NIfTI and Analyze (`nifti`) are read, told apart by what
they hold, not by their names; nothing else is tried, and other files are named for what they are (`unread`). What is
done on the way is always the same for the same path, and `open_recorded` says it in words: orientation, windows, which
frame or slice. A choice among frames, slices and windows stands behind the name, `study.dcm#frame=3` (see `choice`).
docs/images.md describes all of it.
"""

import gzip
import os
import zlib
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from shlex import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from discern_vqa.errors import ConfigError, ImageError
from discern_vqa.imaging import dicom, nifti, nifti_pair, raster
from discern_vqa.imaging.content import remarks
from discern_vqa.imaging.decoded import HINT_FETCH, DecodedImage, Limits, remembered, too_large
from discern_vqa.imaging.dicom_file import is_dicom
from discern_vqa.imaging.image_ref import read_choice
from discern_vqa.paths import is_regular_file, names_beside, what_it_is

MODES, FITS = ("rgb", "grey"), ("pad", "stretch", "crop")

MOST_PIXELS = 100_000_000
MOST_BYTES = 200_000_000


def load_image(path: Path, size: int, mode: str = "rgb", fit: str = "pad") -> NDArray[np.uint8]:
    """The image as an array (size, size, C) of 0-255, with C = 3 for "rgb" and 1 for "grey".

    Args:
        path: the image file, with choices behind its name where it holds more than one image.
        fit: "pad" keeps all of the image and its proportions, with black borders; "crop" keeps the proportions and
            cuts the longer side, around the centre; "stretch" keeps all of it and bends the proportions.

    Raises ImageError: the file is missing, no image, truncated, several pages, or larger than this program opens;
    ConfigError: there is no such mode or fit.
    """
    if mode not in MODES or fit not in FITS or size < 1:
        raise ConfigError(
            f"cannot load images with size={size}, mode={mode!r}, fit={fit!r}",
            hint=f"size is at least 1, mode one of {', '.join(MODES)}, fit one of {', '.join(FITS)}",
        )
    image = open_image(path)
    colours = "RGB" if mode == "rgb" else "L"
    if image.mode != colours:
        image = image.convert(colours)
    if fit == "stretch":
        fitted = image.resize((size, size), Image.Resampling.BICUBIC)
    elif fit == "crop":
        fitted = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    else:
        fitted = padded(image, size)
    array = np.asarray(fitted, dtype=np.uint8)
    return array if mode == "rgb" else array[..., None]


def padded(image: Image.Image, size: int) -> Image.Image:
    """The whole image in a black square of `size` pixels."""
    longer = max(image.size)
    width, height = (max(1, round(side * size / longer)) for side in image.size)
    square = Image.new(image.mode, (size, size))
    square.paste(image.resize((width, height), Image.Resampling.BICUBIC), ((size - width) // 2, (size - height) // 2))
    return square


def open_image(path: Path) -> Image.Image:
    """The whole image, upright, as "RGB" or "L" with 8 bits. Raises ImageError (see `load_image`)."""
    return remembered(Path(path), _decode).image


def open_recorded(path: Path) -> DecodedImage:
    """The same image as `open_image` gives, with the record of what was done, and warnings where a model would see
    nothing in it, or no image. Raises ImageError (see `load_image`)."""
    return remembered(Path(path), _decode_and_look, "recorded")


def _decode_and_look(path: Path) -> DecodedImage:
    decoded = remembered(path, _decode)
    return replace(decoded, warnings=(*decoded.warnings, *remarks(decoded.image)))


def _decode(path: Path) -> DecodedImage:
    file, choice = read_choice(path)
    limits = Limits(MOST_PIXELS, MOST_BYTES)
    start, packed = _start_of(file, limits)
    if (header := nifti_pair.header_of(file)) is not None:
        decoded = nifti.read(file, choice, limits, header)
    elif is_dicom(start):
        if packed:
            raise ImageError(
                f"{file} is a DICOM file inside a gzip file", hint=f"unpack it first: gunzip --keep {quote(str(file))}"
            )
        decoded = dicom.read(file, choice, limits)
    elif nifti_pair.is_nifti(start) or nifti_pair.is_analyze(start):
        decoded = nifti.read(file, choice, limits)
    else:
        decoded = raster.read(file, choice, limits, start, packed)
    if choice.mirror:
        mirrored = ImageOps.mirror(decoded.image)
        return replace(decoded, image=mirrored, steps=(*decoded.steps, "mirrored: left and right swapped"))
    return decoded


def _start_of(file: Path, limits: Limits) -> tuple[bytes, bool]:
    """The file's first bytes, unpacked where it is a gzip file, and whether it is one. Raises ImageError: not there,
    empty, too large."""
    if not is_regular_file(file):
        near = [] if os.path.lexists(file) else get_close_matches(file.name, names_beside(file), n=1)
        raise ImageError(
            f"the image {file} {what_it_is(file)}; expected a file",
            hint=f"did you mean {near[0]!r}?" if near else "give the path of an image file",
        )
    if (size := file.stat().st_size) > limits.bytes:
        raise too_large(file, f"{size / 1e6:.0f} MB", limits)
    try:
        with open(file, "rb") as opened:
            start = opened.read(nifti_pair.HEADER_BYTES)
            if start[:2] == b"\x1f\x8b":
                opened.seek(0)
                return gzip.GzipFile(fileobj=opened).read(nifti_pair.HEADER_BYTES), True
    except (OSError, EOFError, zlib.error) as error:
        raise ImageError(f"the image {file} cannot be read: {error}", hint=HINT_FETCH) from error
    if not start:
        raise ImageError(f"the image {file} is empty (0 bytes)", hint=HINT_FETCH)
    return start, False
