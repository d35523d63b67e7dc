"""PNG, JPEG, TIFF, BMP, GIF and WebP, by Pillow; nothing else is tried (no PostScript, no fonts)."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from discern_vqa.errors import ImageError
from discern_vqa.imaging import colour_profile
from discern_vqa.imaging.decoded import DecodedImage, Limits, pick, too_large, undecodable
from discern_vqa.imaging.greys import holes_in_words
from discern_vqa.imaging.image_ref import Choice, refuse
from discern_vqa.imaging.unread import refusal, unread_jpeg, unread_tiff

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")

_ORIENTATION, _PHOTOMETRIC, _WHITE_IS_ZERO = 0x0112, 262, 0
_STRIP = 1 << 20  # pixels converted at a time, so that a large image is never held three times

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns an image upright, by the orientation that EXIF or XMP notes (EXIF 2.3, 4.6.4)."""


def read(path: Path, choice: Choice, limits: Limits, start: bytes = b"", packed: bool = False) -> DecodedImage:
    """The image, upright and with 8 bits. Raises ImageError: no image, cut off, several pages, too large.

    start, packed: the file's first bytes, unpacked where it is a gzip file, to name what is no image.
    """
    # Not by its path: Pillow would map an uncompressed TIFF into memory, with width and height swapped (and all pixels
    # in disorder) where an orientation is noted.
    with _explained(path, limits, start, packed), open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
        kind = str(image.format)
        refuse(path, choice, ("frame", "mirror"), f"a {kind} file")
        _require_size(image, path, limits)
        columns, rows = image.size
        page = _turn_to(image, path, choice, limits)
        facts: dict[str, str | int | float] = {"columns": columns, "rows": rows, "mode": image.mode}
        noted = image.getexif().get(_ORIENTATION, 1)
        white_is_zero = kind == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO  # type: ignore[attr-defined]
        image.load()
        plain, how = _eight_bits(image, white_is_zero)
        # Pillow turns a TIFF while it loads it; other files are turned here. The note is taken from the image as it
        # was opened: a copy in another mode has lost its metadata.
        if kind != "TIFF" and noted in _TURNS:
            plain = plain.transpose(_TURNS[noted])
        profile = colour_profile.remark(image.info.get("icc_profile") or b"", image.mode)
        plain.info = {}  # comments, dates and places of the file stay behind
        steps = (page, how, "turned upright as its camera noted" * (noted in _TURNS))
        return DecodedImage(plain, kind, tuple(filter(None, steps)), facts, (profile,) if profile else ())


def _require_size(image: Image.Image, path: Path, limits: Limits) -> None:
    width, height = image.size
    if width * height > limits.pixels:
        raise too_large(path, f"{width} x {height} pixels", limits)


def _turn_to(image: Image.Image, path: Path, choice: Choice, limits: Limits) -> str:
    """The chosen frame; a TIFF of several pages must name one, an animation shows its first."""
    count = getattr(image, "n_frames", 1)
    if count > 1 and image.format == "TIFF" and choice.frame is None:
        raise ImageError(
            f"{path} holds {count} pages; expected one image",
            hint=f"name a page: {path.name}#frame=1 to #frame={count}",
        )
    index, which = pick(path, choice.frame, count, 1, "pages")
    if index:
        image.seek(index)
        _require_size(image, path, limits)
    return which


def _eight_bits(image: Image.Image, white_is_zero: bool) -> tuple[Image.Image, str]:
    """ "L" or "RGB", and what that took. The image itself where nothing is to be done."""
    if image.mode.startswith(("I", "F")):
        return _stretched(image, white_is_zero)
    if image.has_transparency_data:
        shown, is_clear = _over_black(image)
        if is_clear:
            return shown, "what is transparent shown black"
        return shown, "" if image.mode in ("L", "RGB", "LA", "RGBA") else f"{_in_words(image.mode)} made plain colours"
    if image.mode in ("L", "RGB"):
        return image, ""
    if image.mode == "1":
        return image.convert("L"), "1 bit a pixel made 8"
    return image.convert("RGB"), f"{_in_words(image.mode)} made plain colours"


def _in_words(mode: str) -> str:
    return {"P": "its palette", "PA": "its palette", "LAB": "Lab", "1": "1 bit a pixel"}.get(mode, mode)


def _over_black(image: Image.Image) -> tuple[Image.Image, bool]:
    """The image as "RGB", composed over black, and whether any pixel of it is transparent."""
    shown, is_clear = Image.new("RGB", image.size), False
    for box in _strips(image.size):
        part = image.crop(box).convert("RGBA")
        black = Image.new("RGBA", part.size, (0, 0, 0, 255))
        shown.paste(Image.alpha_composite(black, part).convert("RGB"), box[:2])
        is_clear = is_clear or part.getchannel("A").getextrema()[0] != 255
    return shown, is_clear


def _stretched(image: Image.Image, white_is_zero: bool) -> tuple[Image.Image, str]:
    """Greys of more than 8 bits: the least value becomes 0 and the greatest 255; a flat image becomes black.

    What is no number (NaN, infinite) or transparent is black, and left out of the stretching.
    """
    clear = image.info.get("transparency")  # one grey value of a PNG of 16 bits
    numbers = (values[seen] for values, seen in _parts(image, clear))
    ends = [(part.min(), part.max()) for part in numbers if part.size] or [(0.0, 0.0)]
    least, greatest = min(low for low, _ in ends), max(high for _, high in ends)
    scale = 255 / (greatest - least) if greatest > least else 0.0
    shown, is_clear, empty = Image.new("L", image.size), False, 0
    for box, (values, seen) in zip(_strips(image.size), _parts(image, clear), strict=True):
        grey = np.rint((np.where(seen, values, least) - least) * scale).astype(np.uint8)
        shown.paste(Image.fromarray((255 - grey if white_is_zero and scale else grey) * seen), box[:2])
        is_clear = is_clear or clear is not None and not seen.all()
        empty += int(values.size - np.isfinite(values).sum())
    turned = ", and white and black swapped, since its 0 is white" if white_is_zero else ""
    hidden = ", what is transparent shown black" * is_clear
    how = f"greys from {least:g} to {greatest:g} stretched to 8 bits{turned}{hidden}"
    return shown, "; ".join(filter(None, (how, holes_in_words(empty, image.width * image.height))))


def _parts(image: Image.Image, clear: object) -> Iterator[tuple[NDArray[np.float64], NDArray[np.bool_]]]:
    """Strip by strip: the values, and which of them are seen."""
    for box in _strips(image.size):
        values = np.asarray(image.crop(box), dtype=np.float64)
        seen = np.isfinite(values)
        yield values, seen & (values != clear) if isinstance(clear, int) else seen


def _strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    width, height = size
    rows = max(1, _STRIP // max(1, width))
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)


@contextmanager
def _explained(path: Path, limits: Limits, start: bytes, packed: bool) -> Iterator[None]:
    """What Pillow's decoders raise on damaged files, said in one voice."""
    try:
        with warnings.catch_warnings():
            # Pillow warns from 89 million pixels on; our own limit answers for that.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise too_large(path, "more pixels than Pillow opens", limits) from error
    except UnidentifiedImageError as error:
        raise unread_jpeg(path) or unread_tiff(path) or refusal(path, start, packed) from error
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, struct.error, zlib.error) as error:
        raise unread_jpeg(path) or undecodable(path, error) from error
