"""What the readers of image files share: the record they hand over, and one voice for what they refuse."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from discern_vqa.errors import ImageError

HINT_FETCH = "the file may be cut off or damaged: fetch it again"


@dataclass(frozen=True)
class Limits:
    """How much a file may hold: pixels of an image, bytes of a file."""

    pixels: int
    bytes: int


@dataclass(frozen=True)
class DecodedImage:
    """An image as a model sees it (before it is fitted to a square), with what was done to get there.

    facts: bits, frames, transfer syntax, modality and the like. Nothing that says who the patient is, where or when: no
    name, number, date, place, device or free text of the file gets here.
    """

    image: Image.Image  # "RGB" or "L", 8 bits, upright
    kind: str  # "PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "DICOM" or "NIfTI"
    steps: tuple[str, ...] = ()  # what was done, in words and in order
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()  # what a person should look at before the image is passed on


# What `decoded_once` keeps; None outside of it.
_decoded: ContextVar[dict[tuple[Path, str], DecodedImage] | None] = ContextVar("_decoded", default=None)


@contextmanager
def decoded_once() -> Iterator[None]:
    """Inside the block every image file is decoded once, however often it is opened.

    For commands about one image, which describe, answer, judge and draw it. Nobody may change such an image in place.
    """
    token = _decoded.set({})
    try:
        yield
    finally:
        _decoded.reset(token)


def remembered(path: Path, decode: Callable[[Path], DecodedImage], what: str = "decoded") -> DecodedImage:
    """`decode(path)`; inside of `decoded_once` at most once for each path and each `what`, the name of what is made."""
    known = _decoded.get()
    if known is None:
        return decode(path)
    key = path, what
    if key not in known:
        known[key] = decode(path)
    return known[key]


def too_large(path: Path, size: str, limits: Limits) -> ImageError:
    """The error for more than `limits`; `size` says what there is."""
    return ImageError(
        f"the image {path} has {size}; at most {limits.pixels / 1e6:.0f} million pixels and "
        f"{limits.bytes / 1e6:.0f} MB are opened",
        hint="save a smaller copy",
    )


def undecodable(path: Path, error: BaseException | str) -> ImageError:
    """The error for a file that a decoder gave up on."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ImageError(f"the image {path} cannot be decoded: {reason[:300]}", hint=HINT_FETCH)


def require_extra(path: Path, what: str, module: str, extra: str) -> None:
    """Raises ImageError when the optional package that reads this kind of file is not installed."""
    if importlib.util.find_spec(module) is None:
        raise ImageError(
            f"{path} is a {what} file, and {module}, which reads it, is not installed",
            hint=f"pip install 'discern-vqa[{extra}]'",
        )


def pick(path: Path, chosen: int | None, count: int, usual: int, name: str, key: str = "frame") -> tuple[int, str]:
    """Which of `count` frames (slices, pages) is shown, from 0, and the sentence about it. Raises ImageError: there is
    no such one.

    chosen: what the path says, from 1; None: nothing, and number `usual` (from 1) is taken. name: what is counted, in
    the plural; key: the choice's key; both for the messages.
    """
    number = usual if chosen is None else chosen
    if number > count:
        raise ImageError(f"{path} has {count} {name}; there is no number {number}", hint=f"#{key}=1 to #{key}={count}")
    if count == 1:
        return 0, ""
    asked = "" if chosen is not None else f" (the usual one: #{key}=N behind the name chooses another)"
    return number - 1, f"{key} {number} of {count}{asked}"


@contextmanager
def explained(path: Path, what: str) -> Iterator[None]:
    """Whatever a third party's reader raises inside, as an ImageError with its reason.

    For calls of that reader alone. On damaged files they raise nearly every kind of exception there is, so the kinds
    are not listed; an error of ours passes unchanged.
    """
    try:
        yield
    except ImageError:
        raise
    except RecursionError as error:
        raise undecodable(path, f"{what} nested too deeply") from error
    except MemoryError as error:
        raise undecodable(path, f"{what} that asks for more memory than there is") from error
    except Exception as error:
        raise undecodable(path, f"{what}: {error or type(error).__name__}") from error
