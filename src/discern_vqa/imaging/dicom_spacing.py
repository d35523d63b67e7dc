"""DICOM: how large a pixel is across and down (PS3.3 10.7.1.3, C.7.6.3.1.7), wherever the file says it.

Pixel Spacing is measured in the patient or calibrated, Imager Pixel Spacing on the detector, Nominal Scanned Pixel
Spacing on a scanned film, Pixel Aspect Ratio has no unit; they are asked in this order. All four are pairs: down
first (the distance of two rows), then across. Enhanced files keep them in the functional groups, of the frame or
shared by all frames; these are asked before the top of the file.

Ultrasound is calibrated by region (PS3.3 C.8.5.5): a region's Physical Delta X and Y count, before Pixel Aspect Ratio,
where both are lengths and the region covers the whole frame. What holds in a part of the frame alone says nothing of
the rest.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

KEYWORDS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")
_NAMES = ("Pixel Spacing", "Imager Pixel Spacing", "Nominal Scanned Pixel Spacing", "Pixel Aspect Ratio")

ULTRASOUND = "SequenceOfUltrasoundRegions"
_CENTIMETRES = 3  # of Physical Units X and Y Direction
_COVERED = 0.95
"""A region covers the frame from this share of its width and its height on: some writers leave out the last line."""

_APART = 0.05
"""Shares by which two statements about one ratio may differ: rounding to whole numbers costs up to that much."""


@dataclass(frozen=True)
class PixelShape:
    """across, down: size of a pixel, in mm or without a unit; name: where the file says so."""

    across: float
    down: float
    name: str

    @property
    def ratio(self) -> float:
        """Height over width."""
        return self.down / self.across


def pixel_shape(dataset: "Dataset", index: int, columns: int, rows: int) -> tuple[PixelShape | None, tuple[str, ...]]:
    """The shape of the pixels of frame `index` (from 0), None where the file says nothing usable; and a warning where
    it says two different things. columns, rows: of the frame."""
    shapes = list(_stated(dataset, index, columns, rows))
    if not shapes:
        return None, ()
    first = shapes[0]
    other = next((shape for shape in shapes[1:] if abs(shape.ratio / first.ratio - 1) > _APART), None)
    if other is None:
        return first, ()
    return first, (
        f"the file states the shape of its pixels twice and differently: {first.name} has {first.across:.3g} x "
        f"{first.down:.3g} (across x down), {other.name} {other.across:.3g} x {other.down:.3g}; the first is believed",
    )


def _stated(dataset: "Dataset", index: int, columns: int, rows: int) -> Iterator[PixelShape]:
    places = list(_places(dataset, index))
    for keyword, name in zip(KEYWORDS, _NAMES, strict=True):
        if keyword == "PixelAspectRatio" and (deltas := _of_ultrasound(dataset, columns, rows)) is not None:
            yield PixelShape(*deltas, "the ultrasound region")
        for place in places:
            if (pair := _pair(place, keyword)) is not None:
                yield PixelShape(pair[1], pair[0], name)
                break


def _places(dataset: "Dataset", index: int) -> Iterator["Dataset"]:
    """The frame's functional groups, the shared ones, the top of the file."""
    for keyword, item in (("PerFrameFunctionalGroupsSequence", index), ("SharedFunctionalGroupsSequence", 0)):
        groups = dataset.get(keyword)
        if groups and item < len(groups):
            for element in groups[item]:
                if element.VR == "SQ" and element.value:
                    yield element.value[0]
    yield dataset


def _pair(place: "Dataset", keyword: str) -> tuple[float, float] | None:
    """(down, across); None where the element is missing, empty, or no two positive numbers."""
    try:
        down, across = (float(value) for value in place.get(keyword) or ())
    except (TypeError, ValueError, ArithmeticError):
        return None  # a picture is no worse for a spacing that cannot be read
    return (down, across) if all(0 < value < math.inf for value in (down, across)) else None


def _of_ultrasound(dataset: "Dataset", columns: int, rows: int) -> tuple[float, float] | None:
    """(across, down) in mm, of the first region that covers the frame and measures lengths; None: there is none."""
    for region in dataset.get(ULTRASOUND) or ():
        try:
            left, right, top, bottom = (
                int(region[f"RegionLocation{end}"].value) for end in ("MinX0", "MaxX1", "MinY0", "MaxY1")
            )
            units = [int(region[f"PhysicalUnits{axis}Direction"].value) for axis in "XY"]
            across, down = (10 * abs(float(region[f"PhysicalDelta{axis}"].value)) for axis in "XY")
        except (LookupError, TypeError, ValueError, ArithmeticError):
            continue  # a picture is no worse for a region that cannot be read
        covers = right - left + 1 >= _COVERED * columns and bottom - top + 1 >= _COVERED * rows
        if covers and units == [_CENTIMETRES] * 2 and all(0 < side < math.inf for side in (across, down)):
            return across, down
    return None
