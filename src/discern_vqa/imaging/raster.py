"""PNG, JPEG, TIFF, BMP, GIF and WebP, by Pillow; nothing else is tried (no PostScript, no fonts)."""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from discern_vqa.errors import ImageError
from discern_vqa.imaging.decoded import HINT_FETCH, DecodedImage, Limits, pick, too_large, undecodable
from discern_vqa.imaging.image_ref import Choice, refuse

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
_NAMED = "PNG, JPEG, TIFF, BMP, GIF, WebP, DICOM or NIfTI"

_ORIENTATION, _PHOTOMETRIC, _WHITE_IS_ZERO = 0x0112, 262, 0
_STRIP = 1 << 20  # pixels converted at a time, so that a large image is never held three times


def read(path: Path, choice: Choice, limits: Limits) -> DecodedImage:
    """The image, upright and with 8 bits. Raises ImageError: no image, cut off, several pages, too large."""
    with _explained(path, limits), Image.open(path, formats=FORMATS) as image:
        kind = str(image.format)
        refuse(path, choice, ("frame", "mirror"), f"a {kind} file")
        _require_size(image, path, limits)
        columns, rows = image.size
        page = _turn_to(image, path, choice, limits)
        facts: dict[str, str | int | float] = {"columns": columns, "rows": rows, "mode": image.mode}
        turned = image.getexif().get(_ORIENTATION, 1) != 1
        white_is_zero = kind == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO  # type: ignore[attr-defined]
        image.load()
        plain, how = _eight_bits(image, white_is_zero)
        if turned:
            ImageOps.exif_transpose(plain, in_place=True)
        plain.info = {}  # comments, dates and places of the file stay behind
        steps = (page, how, "turned upright as its camera noted" * turned)
        return DecodedImage(plain, kind, tuple(filter(None, steps)), facts)


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
    if image.mode in ("L", "RGB") and not image.has_transparency_data:
        return image, ""
    if image.mode == "1":
        return image.convert("L"), "1 bit a pixel made 8"
    if image.has_transparency_data:
        return _over_black(image), "what is transparent shown black"
    colours = {"P": "its palette", "CMYK": "CMYK", "YCbCr": "YCbCr", "LAB": "Lab"}.get(image.mode, image.mode)
    return image.convert("RGB"), f"{colours} made plain colours"


def _over_black(image: Image.Image) -> Image.Image:
    shown = Image.new("RGB", image.size)
    for box in _strips(image.size):
        part = image.crop(box).convert("RGBA")
        black = Image.new("RGBA", part.size, (0, 0, 0, 255))
        shown.paste(Image.alpha_composite(black, part).convert("RGB"), box[:2])
    return shown


def _stretched(image: Image.Image, white_is_zero: bool) -> tuple[Image.Image, str]:
    """Greys of more than 8 bits: the least value becomes 0 and the greatest 255; a flat image becomes black."""
    ends = [(part.min(), part.max()) for part in (_values(image, box) for box in _strips(image.size))]
    least, greatest = min(low for low, _ in ends), max(high for _, high in ends)
    scale = 255 / (greatest - least) if greatest > least else 0.0
    shown = Image.new("L", image.size)
    for box in _strips(image.size):
        grey = np.rint((_values(image, box) - least) * scale).astype(np.uint8)
        shown.paste(Image.fromarray(255 - grey if white_is_zero and scale else grey), box[:2])
    turned = ", and white and black swapped, since its 0 is white" if white_is_zero else ""
    return shown, f"greys from {least:g} to {greatest:g} stretched to 8 bits{turned}"


def _values(image: Image.Image, box: tuple[int, int, int, int]) -> NDArray[np.float64]:
    return np.nan_to_num(np.asarray(image.crop(box), dtype=np.float64), posinf=0, neginf=0)


def _strips(size: tuple[int, int]) -> Iterator[tuple[int, int, int, int]]:
    width, height = size
    rows = max(1, _STRIP // max(1, width))
    for top in range(0, height, rows):
        yield 0, top, width, min(height, top + rows)


@contextmanager
def _explained(path: Path, limits: Limits) -> Iterator[None]:
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
        raise ImageError(f"{path} is no image that can be read; expected {_NAMED}", hint=HINT_FETCH) from error
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, LookupError, struct.error, zlib.error) as error:
        raise undecodable(path, error) from error
