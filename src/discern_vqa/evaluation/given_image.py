"""An image that a Python program has in memory, as the file that the rest of the program opens. No torch.

A file, since every image goes one way: opened, turned upright, made 8 bits, described in words. Pixels are written
without loss into a folder that goes when the question is answered; the bytes of a file stay in memory.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from discern_vqa.dicomweb.memory_file import memory_file
from discern_vqa.errors import DataError, ImageError

Given = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
"""A path; the bytes of an image file of any kind that is read; an image of Pillow; or an array (H, W), (H, W, 3) or
(H, W, 4) of uint8, or (H, W) of bool or uint16."""
GIVEN = (str, os.PathLike, bytes, Image.Image, np.ndarray)
"""The same, for `isinstance`."""
_ARRAYS = "an array (H, W), (H, W, 3) or (H, W, 4) of uint8, or (H, W) of bool or uint16"


@contextmanager
def as_file(image: Given) -> Iterator[Path]:
    """The file of an image, which is there inside the block. What is wrong with bytes is said of "the image", and not
    of the file's passing name.

    Raises ImageError: it is none of `Given`, or an array of other numbers or another shape.
    """
    if isinstance(image, str | os.PathLike):
        yield Path(image)
        return
    if isinstance(image, bytes):
        with memory_file(image) as file:
            try:
                yield file
            except DataError as error:
                told = str(error).replace(f"the image {file}", str(file))
                hint = "" if str(file) in error.hint else error.hint
                raise type(error)(told.replace(str(file), f"the image ({len(image):,} bytes)"), hint=hint) from error
        return
    opened = _opened(image)
    with tempfile.TemporaryDirectory(prefix="discern-") as folder:
        file = Path(folder) / "image.png"
        opened.save(file, "PNG", compress_level=0)  # it is read once, and soon gone
        yield file


def frozen(image: Given) -> Given:
    """The image as it is now: what a program changes later, or draws into anew, does not change it. A path stays a
    path. Raises ImageError as `as_file`."""
    return image if isinstance(image, str | os.PathLike | bytes) else _opened(image).copy()


def _opened(image: object) -> Image.Image:
    if isinstance(image, Image.Image):
        if 0 in image.size:
            raise ImageError(f"the image has {image.width} x {image.height} pixels", hint="give an image with pixels")
        try:
            upright = ImageOps.exif_transpose(image)
            return upright if upright.mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16") else _converted(upright)
        except (OSError, ValueError, SyntaxError, EOFError) as error:  # Pillow decodes when it is first asked
            raise ImageError(
                f"the image of Pillow (mode {image.mode!r}) cannot be read: {error}",
                hint="ask while its file is open, or give the path of the file",
            ) from error
    if not isinstance(image, np.ndarray):
        raise ImageError(
            f"the image is given as {type(image).__name__}; expected a path, the bytes of an image file, "
            f"an image of Pillow, or {_ARRAYS}",
            hint="model.ask(Path('scan.png'), 'Is there a mass?'); of a tensor: tensor.cpu().numpy()",
        )
    shape, kind = image.shape, image.dtype
    is_grey = image.ndim == 2 and kind in (np.uint8, np.uint16, np.bool_)
    is_colour = image.ndim == 3 and shape[-1] in (3, 4) and kind == np.uint8
    if not (is_grey or is_colour) or 0 in shape:
        raise ImageError(
            f"the image is an array of {kind} and shape {shape}; expected {_ARRAYS}",
            hint="scale it to 0..255 and convert it: (255 * array).round().astype('uint8')",
        )
    return Image.fromarray(np.ascontiguousarray(image))


def _converted(image: Image.Image) -> Image.Image:
    if image.mode in ("F", "I"):
        raise ImageError(
            f"the image has the mode {image.mode!r}, whose range of values is not known",
            hint="scale it to 0..255 and convert it: Image.fromarray(array.round().astype('uint8'))",
        )
    if image.mode.startswith("I;16"):  # in other orders of bytes; Pillow would cut its values off at 255
        return Image.fromarray(np.asarray(image).astype(np.uint16))
    return image.convert("LA" if image.mode == "La" else "RGB")
