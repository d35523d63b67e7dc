"""DICOM: one frame of a file as an image, by pydicom. Only pixels and a few technical facts leave this file.

The road of a frame, in the standard's own order (PS3.3 C.11, PS3.4 N.2): the header (`dicom_file`, which reads nothing
about the patient), decode (`dicom_frames`), modality rescale or LUT, VOI LUT or window (`dicom_greys`), MONOCHROME1
turned so that it looks like every other image; colour is RGB already, or goes through its palette; pixels that are not
square made square (`dicom_spacing`). Overlays are not drawn. Enhanced files keep rescale, windows and spacing for each
frame apart; those of the chosen frame are used.

Traps, all met: 12 bits stored in 16 with rubbish above; YBR frames that are RGB after decoding; a compressed frame
whose own size differs from the header's; windows of width 0; text such as "1A" for a number of frames; a deflated file
of a few bytes that unpacks to gigabytes (refused before); millions of sequence items (refused before).
"""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discern_vqa.errors import ImageError
from discern_vqa.imaging import colour_profile, dicom_frames, dicom_greys
from discern_vqa.imaging.decoded import DecodedImage, Limits, explained, pick, require_extra
from discern_vqa.imaging.dicom_file import Header, header, word
from discern_vqa.imaging.dicom_spacing import PixelShape, pixel_shape
from discern_vqa.imaging.greys import Window, holes, to_bytes
from discern_vqa.imaging.image_ref import Choice, refuse
from discern_vqa.imaging.square import square_pixels

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset


def read(path: Path, choice: Choice, limits: Limits) -> DecodedImage:
    """A frame of a DICOM file. Raises ImageError: no image in it, cut off, of a kind that cannot be decoded."""
    refuse(path, choice, ("frame", "window", "mirror"), "a DICOM file")
    require_extra(path, "DICOM", "pydicom", "dicom")
    logging.getLogger("pydicom").addHandler(logging.NullHandler())  # the error is raised; it need not be printed too
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's remarks on odd files: what matters stops below, with a reason
        return _frame(path, header(path, limits), choice, limits)


def usual_frame(frames: int) -> int:
    """The frame that is shown where none is chosen, from 1: the middle one."""
    return (frames + 1) // 2


def _frame(path: Path, opened: Header, choice: Choice, limits: Limits) -> DecodedImage:
    dataset = opened.dataset
    with explained(path, "the header of this DICOM file"):
        about = dicom_frames.describe(path, dataset, limits)
        modality = word(dataset, "Modality")
        index, which = pick(path, choice.frame, about.frames, usual_frame(about.frames), "frames")
        shape, stated_twice = pixel_shape(dataset, index, about.columns, about.rows)
    with explained(path, "the pixels of this DICOM file"):
        stored = dicom_frames.decode(path, dataset, about, index)
    shown, steps, warned = _shown(path, stored, dataset, about, index, choice, modality)
    image, squared = Image.fromarray(shown), ""
    if shape is not None:
        image, squared = square_pixels(image, shape.across, shape.down)
        squared += f", as {shape.name} says" * bool(squared)
    facts: dict[str, str | int | float] = {
        "columns": about.columns,
        "rows": about.rows,
        "frames": about.frames,
        "bits": about.bits_stored,
        "photometric": about.photometric,
        "transfer_syntax": about.syntax,
    }
    if modality:
        facts["modality"] = modality
    decoded = f"decoded from {about.syntax}" + ", told from its bytes, since the file does not say" * opened.guessed
    warned = (*_said_of_it(dataset, modality), *warned, *stated_twice)
    return DecodedImage(image, "DICOM", tuple(filter(None, (decoded, which, *steps, squared))), facts, warned)


class StoredGrey(NamedTuple):
    """A grey frame before any window: (rows, columns) stored values, what they measure, how they are shown."""

    stored: NDArray[np.generic]
    scale: dicom_greys.Scale
    inverted: bool  # MONOCHROME1
    shape: PixelShape | None


def stored_grey(path: Path, choice: Choice, limits: Limits) -> StoredGrey | None:
    """The stored values of a frame; None of one in colour. Raises ImageError, as `read`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = header(path, limits).dataset
        with explained(path, "the header of this DICOM file"):
            about = dicom_frames.describe(path, dataset, limits)
            index, _ = pick(path, choice.frame, about.frames, usual_frame(about.frames), "frames")
            shape, _ = pixel_shape(dataset, index, about.columns, about.rows)
        if about.samples > 1 or about.photometric == "PALETTE COLOR":
            return None
        with explained(path, "the pixels of this DICOM file"):
            stored = dicom_frames.decode(path, dataset, about, index)
        with explained(path, "the grey scale of this DICOM file"):
            modality = word(dataset, "Modality")
            seen = dicom_greys.look(path, stored, dataset, about, index, choice.window, modality)
            scale = dicom_greys.scale_of(seen)
    return StoredGrey(stored, scale, about.photometric == "MONOCHROME1", shape)


class _Shown(NamedTuple):
    """A frame of 8 bits, (rows, columns) or (rows, columns, 3), what was done to it, and warnings."""

    values: NDArray[np.uint8]
    steps: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def _shown(
    path: Path,
    stored: NDArray[np.generic],
    dataset: "FileDataset",
    about: dicom_frames.About,
    index: int,
    choice: Choice,
    modality: str,
) -> _Shown:
    """The stored values of a frame as a screen shows them."""
    if stored.ndim == 3:
        if choice.window is not None:
            raise ImageError(f"{path} is in colour; it has no window to choose", hint="leave #window=... away")
        return _Shown(_full_range(stored, about.bits_stored), ("colour as stored",), _profile(dataset))
    if about.photometric == "PALETTE COLOR":
        with explained(path, "the palette of this DICOM file"):
            coloured = dicom_greys.through_palette(stored, dataset)
        return _Shown(coloured, ("its palette made plain colours",), _profile(dataset))
    with explained(path, "the grey scale of this DICOM file"):
        seen = dicom_greys.look(path, stored, dataset, about, index, choice.window, modality)
        grey = dicom_greys.show(stored, seen)
    if about.photometric != "MONOCHROME1":
        return _Shown(grey.values, (grey.how, holes(stored)), grey.warnings)
    turned = 255 - grey.values
    if stored.dtype.kind == "f":
        turned[~np.isfinite(stored)] = 0  # what is no measurement is black here too
    return _Shown(turned, (grey.how, "white and black swapped (MONOCHROME1)", holes(stored)), grey.warnings)


def _profile(dataset: "FileDataset") -> tuple[str, ...]:
    remark = colour_profile.remark(bytes(dataset.get("ICCProfile") or b""), "RGB")
    return (remark,) if remark else ()


def _said_of_it(dataset: "FileDataset", modality: str) -> Iterator[str]:
    """What the header warns of."""
    if word(dataset, "BurnedInAnnotation") == "YES":
        yield "the file says that text is burned into the image: it may name the patient"
    if modality == "SEG":
        yield "the file says that it is a segmentation: labels, not an image of the patient"


def _full_range(stored: NDArray[np.generic], bits: int) -> NDArray[np.uint8]:
    """Colours of any depth as 8 bits; all of the stored range, never stretched."""
    if stored.dtype == np.uint8 and bits == 8:
        return np.ascontiguousarray(stored, dtype=np.uint8)
    return to_bytes(stored, Window(0, float(2**bits - 1), "all of its range"))
