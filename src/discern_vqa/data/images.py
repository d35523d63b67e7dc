"""One door for pixels: a file becomes an 8-bit array of the size asked for, or a clear ImageError. No torch here.

PNG, JPEG, TIFF, BMP, GIF and WebP are read; nothing else is tried (no PostScript, no fonts). What is repaired on the
way, always the same way: the camera's orientation is applied, 16-bit and floating-point greys are stretched from
their own least and greatest value to 0-255 (12-bit data in a 16-bit file would be black otherwise), palettes, CMYK
and 1-bit pictures become plain colours, and transparent points show black.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from discern_vqa.errors import ConfigError, ImageError

MODES, FITS = ("rgb", "grey"), ("pad", "stretch", "crop")

MOST_POINTS = 100_000_000
MOST_BYTES = 200_000_000
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
_HINT_FETCH = "the file may be cut off or damaged: fetch it again"


def load_image(path: Path, size: int, mode: str = "rgb", fit: str = "pad") -> NDArray[np.uint8]:
    """The image as an array (size, size, C) of 0-255, with C = 3 for "rgb" and 1 for "grey".

    Args:
        path: the image file.
        size: side of the square, in points.
        mode: "rgb" or "grey".
        fit: "pad" keeps all of the image and its proportions, with black borders; "crop" keeps the proportions and
            cuts the longer side, around the centre; "stretch" keeps all of it and bends the proportions.

    Raises:
        ImageError: the file is missing, no image, truncated, several pages, or larger than this program opens.
        ConfigError: there is no such mode or fit.
    """
    if mode not in MODES or fit not in FITS or size < 1:
        raise ConfigError(
            f"cannot load images with size={size}, mode={mode!r}, fit={fit!r}",
            hint=f"size is at least 1, mode one of {', '.join(MODES)}, fit one of {', '.join(FITS)}",
        )
    picture = open_image(path).convert("RGB" if mode == "rgb" else "L")
    square = (size, size)
    if fit == "stretch":
        fitted = picture.resize(square, Image.Resampling.BICUBIC)
    elif fit == "crop":
        fitted = ImageOps.fit(picture, square, Image.Resampling.BICUBIC)
    else:
        fitted = _padded(picture, size)
    array = np.asarray(fitted, dtype=np.uint8)
    return array if mode == "rgb" else array[..., None]


def _padded(picture: Image.Image, size: int) -> Image.Image:
    longer = max(picture.size)
    width, height = (max(1, round(side * size / longer)) for side in picture.size)
    square = Image.new(picture.mode, (size, size))
    square.paste(picture.resize((width, height), Image.Resampling.BICUBIC), ((size - width) // 2, (size - height) // 2))
    return square


def open_image(path: Path) -> Image.Image:
    """The whole image, upright, as "RGB" or "L" with 8 bits. Raises ImageError (see `load_image`)."""
    path = Path(path)
    _require_file(path)
    with _explained(path), _opened(path) as picture:
        width, height = picture.size
        if width * height > MOST_POINTS:
            raise _too_large(path, f"{width} x {height} points")
        pages = getattr(picture, "n_frames", 1)
        if pages > 1 and picture.format == "TIFF":
            raise ImageError(f"{path} holds {pages} pages; expected one image", hint="save each page as its own file")
        picture.load()
        return _eight_bits(ImageOps.exif_transpose(picture))


def _opened(path: Path) -> Image.Image:
    with warnings.catch_warnings():  # Pillow warns from 89 million points on; our own limit answers for that
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(path, formats=FORMATS)


def _eight_bits(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):
        return _stretched(picture)
    if picture.mode in ("1", "L"):
        return picture.convert("L")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        black = Image.new("RGBA", picture.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, picture).convert("RGB")
    return picture.convert("RGB")


def _stretched(picture: Image.Image) -> Image.Image:
    """Greys of more than 8 bits: the least value becomes 0 and the greatest 255; a flat picture becomes black."""
    values = np.nan_to_num(np.asarray(picture, dtype=np.float64), posinf=0, neginf=0)
    least, greatest = values.min(), values.max()
    scale = 255 / (greatest - least) if greatest > least else 0.0
    return Image.fromarray(np.rint((values - least) * scale).astype(np.uint8))


def _require_file(path: Path) -> None:
    if not path.is_file():
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, beside, n=1)
        what = "is a folder" if path.is_dir() else "is not there"
        raise ImageError(
            f"the image {path} {what}; expected a file",
            hint=f"did you mean {near[0]!r}?" if near and not path.is_dir() else "give the path of an image file",
        )
    if (size := path.stat().st_size) > MOST_BYTES:
        raise _too_large(path, f"{size / 1e6:.0f} MB")


def _too_large(path: Path, size: str) -> ImageError:
    return ImageError(
        f"the image {path} has {size}; at most {MOST_POINTS / 1e6:.0f} million points and "
        f"{MOST_BYTES / 1e6:.0f} MB are opened",
        hint="save a smaller copy",
    )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What Pillow's decoders raise on damaged files, said in one voice."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path, "more points than Pillow opens") from error
    except UnidentifiedImageError as error:
        raise _no_image(path) from error
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, struct.error, zlib.error) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"the image {path} cannot be decoded: {reason}", hint=_HINT_FETCH) from error


def _no_image(path: Path) -> ImageError:
    with open(path, "rb") as file:
        start = file.read(132)
    if not start:
        return ImageError(f"the image {path} is empty (0 bytes)", hint=_HINT_FETCH)
    if start[128:] == b"DICM":
        return ImageError(f"{path} is a DICOM file; expected PNG, JPEG, TIFF or BMP", hint="convert it to PNG first")
    return ImageError(f"{path} is no image that can be read; expected PNG, JPEG, TIFF or BMP", hint=_HINT_FETCH)
