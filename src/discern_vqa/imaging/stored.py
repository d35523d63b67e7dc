"""One frame as a viewer needs it: the values as they were measured, in 16 bits, with the usual window and the spacing.

A viewer changes window and level itself, so it gets the values before any window: `slope * code + intercept` is what
the file measures (Hounsfield units). Ordinary images and colour come as they are shown. docs/serve.md has the formula.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from discern_vqa.imaging import dicom, nifti
from discern_vqa.imaging.decoded import Limits, explained
from discern_vqa.imaging.dicom_place import edges, place_of
from discern_vqa.imaging.greys import Values, Window
from discern_vqa.imaging.image_ref import read_choice
from discern_vqa.imaging.images import MOST_BYTES, MOST_PIXELS, open_image, open_recorded
from discern_vqa.imaging.nifti_header import read_header

_MOST = (1 << 16) - 1
_NIFTI_EDGES = {"axial": ("L", "P"), "coronal": ("L", "F"), "sagittal": ("P", "F")}
"""Of a slice as it is shown: the sides of the patient that rows and columns run towards (see `nifti`)."""


class StoredFrame(NamedTuple):
    """values: (rows, columns) uint16 codes, or (rows, columns, 3) uint8 of colour."""

    values: NDArray[np.uint16] | NDArray[np.uint8]
    slope: float = 1.0
    intercept: float = 0.0
    window: Window | None = None  # in what is measured; None for colour
    inverted: bool = False  # the least value is white
    spacing: tuple[float, float] | None = None  # mm from row to row, and from column to column
    aspect: float = 1.0  # height of a pixel divided by its width
    sides: dict[str, str] | None = None  # edge -> side of the patient


class Contents(NamedTuple):
    """What a file holds. frames: how many there are; axes: of a volume, the slices along each axis of the patient."""

    kind: str  # as `DecodedImage.kind`
    frames: int
    usual: int  # from 1
    axes: dict[str, int]


def contents(path: Path) -> Contents:
    """Looks into an image file. Raises ImageError."""
    pages = _pages(path)
    if pages > 1:
        return Contents(open_recorded(path.with_name(f"{path.name}#frame=1")).kind, pages, 1, {})
    opened = open_recorded(path)
    if opened.kind in ("NIfTI", "Analyze"):
        with explained(path, "the header of this NIfTI file"):
            axes = nifti.counts(read_header(path))
        return Contents(opened.kind, axes["axial"], axes["axial"] // 2 + 1, axes)
    frames = int(opened.facts.get("frames", 1))
    return Contents(opened.kind, frames, (frames + 1) // 2, {})


def stored_frame(path: Path) -> StoredFrame:
    """The frame that a path with its choices means. Raises ImageError."""
    kind = open_recorded(path).kind
    if kind == "DICOM":
        return _of_dicom(path)
    if kind in ("NIfTI", "Analyze"):
        return _of_nifti(path)
    return _as_shown(path)


def codes(stored: NDArray[Any], transform: Callable[[Values], Values]) -> tuple[NDArray[np.uint16], float, float]:
    """Stored values of any kind as (codes, slope, intercept), so that slope * code + intercept is `transform` of them.

    Exact for integers within 16 bits whose transform is a straight line; of others 65,536 steps from the least to the
    greatest. What is no number gets the least.
    """
    if stored.dtype.kind in "iub" and stored.size:
        least, greatest = int(stored.min()), int(stored.max())
        if greatest - least <= _MOST:
            table = transform(np.arange(least, greatest + 1, dtype=np.float64))
            slope = float(table[1] - table[0]) if len(table) > 1 else 1.0
            places = (stored.astype(np.int64) - least).astype(np.uint16)
            if slope > 0 and np.allclose(table, table[0] + slope * np.arange(len(table)), rtol=0, atol=1e-6 * slope):
                return places, slope, float(table[0])
            quantised, slope, intercept = _quantised(table)
            return quantised[places], slope, intercept
    return _quantised(transform(stored.astype(np.float64)))


def _quantised(values: Values) -> tuple[NDArray[np.uint16], float, float]:
    finite = np.isfinite(values)
    numbers = values[finite]
    least, greatest = (float(numbers.min()), float(numbers.max())) if numbers.size else (0.0, 0.0)
    whole = greatest - least <= _MOST and bool((numbers == np.rint(numbers)).all())
    slope = 1.0 if whole or not greatest > least else (greatest / _MOST - least / _MOST)
    shares = np.clip((np.where(finite, values, least) - least) / slope, 0, _MOST)
    return np.rint(shares).astype(np.uint16), slope, least


def _of_dicom(path: Path) -> StoredFrame:
    grey = dicom.stored_grey(*read_choice(path), Limits(MOST_PIXELS, MOST_BYTES))
    sides = place_of(read_choice(path)[0]).sides
    if grey is None:
        return _as_shown(path)._replace(sides=sides)
    values, slope, intercept = codes(grey.stored, grey.scale.rescale)
    shape, aspect, spacing = grey.shape, 1.0, None
    if shape is not None:
        aspect = shape.ratio
        if shape.name == "Pixel Spacing":  # others are measured on the detector or the film, or have no unit
            spacing = (shape.down, shape.across)
    return StoredFrame(values, slope, intercept, grey.scale.window, grey.inverted, spacing, aspect, sides)


def _of_nifti(path: Path) -> StoredFrame:
    file, choice = read_choice(path)
    part = nifti.chosen(file, choice, Limits(MOST_PIXELS, MOST_BYTES))
    sides = edges(*_NIFTI_EDGES[part.axis]) if part.volume.known else None
    if part.stored.dtype.names:
        return _as_shown(path)._replace(sides=sides)
    stored = nifti.native(part.stored)
    values, slope, intercept = codes(stored, nifti.measured(part.volume))
    window = nifti.window_of(file, stored, part.volume, choice)
    is_stated = part.down > 0 and part.across > 0
    spacing = (part.down, part.across) if is_stated and part.volume.known else None
    aspect = part.down / part.across if is_stated else 1.0
    return StoredFrame(values, slope, intercept, window, False, spacing, aspect, sides)


def _as_shown(path: Path) -> StoredFrame:
    image = open_image(path)
    values = np.asarray(image, np.uint8)
    if values.ndim == 3:
        if (values != values[..., :1]).any():
            return StoredFrame(values)
        values = values[..., 0]  # greys that are stored as colours: a viewer can window them
    return StoredFrame(values.astype(np.uint16), window=Window(0.0, 255.0, "8 bits"))


def _pages(path: Path) -> int:
    """How many pages a TIFF has, which must name one to be opened; 1 of every other file."""
    from PIL import Image

    try:
        with open(path, "rb") as file:
            if file.read(2) not in (b"II", b"MM"):
                return 1
            file.seek(0)
            with Image.open(file, formats=("TIFF",)) as image:
                return int(getattr(image, "n_frames", 1))
    except Exception:  # a damaged file: opening it says what is wrong
        return 1
