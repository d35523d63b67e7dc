"""DICOM: where a file's frames belong: which series, in which order, and which side of the patient each edge shows.

The order is that of the slices' distances along the normal of their plane (PS3.3 C.7.6.2.1.1), where the file states
position and orientation, else the instance number. The edges follow from the direction cosines of rows and columns, or
from Patient Orientation, which radiographs state as letters (C.7.6.1.1.1). No name, number or date is read.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

EDGES = ("left", "right", "top", "bottom")
_READ = [
    *"SeriesInstanceUID InstanceNumber ImagePositionPatient ImageOrientationPatient PatientOrientation".split(),
    *"SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence".split(),
]
_OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
_TOWARDS = (("L", "R"), ("P", "A"), ("H", "F"))  # the positive and the negative end of each axis (LPS)


@dataclass(frozen=True)
class Place:
    """series: "" where the file does not say; order: by which the files of a series are sorted; sides: edge -> letter
    of the patient's side (R, L, A, P, H, F), None where the file does not say."""

    series: str
    order: tuple[float, float]
    sides: dict[str, str] | None


def place_of(path: Path) -> Place:
    """What a DICOM file says of its place; what cannot be read is not stated."""
    import pydicom

    try:
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=_READ)
    except Exception:  # pydicom raises nearly every kind on damaged files; opening the image says what is wrong
        return Place("", (0.0, 0.0), None)
    number = _numbers(dataset, "InstanceNumber", 1)
    where, directions = (
        _of_groups(dataset, "ImagePositionPatient", 3),
        _of_groups(dataset, "ImageOrientationPatient", 6),
    )
    height = 0.0
    if where and directions:
        height = float(np.dot(np.cross(directions[:3], directions[3:]), where))
    series = str(dataset.get("SeriesInstanceUID") or "")
    return Place(series, (height, number[0] if number else 0.0), _sides(dataset, directions))


def edges(rightwards: str, downwards: str) -> dict[str, str] | None:
    """The letter at each edge, from the sides of the patient that rows and columns run towards; None where one of them
    is no side."""
    across, down = rightwards[:1], downwards[:1]
    if across not in _OPPOSITE or down not in _OPPOSITE:
        return None
    return dict(zip(EDGES, (_OPPOSITE[across], across, _OPPOSITE[down], down), strict=True))


def _sides(dataset: "Dataset", directions: list[float]) -> dict[str, str] | None:
    if directions:
        return edges(_towards(directions[:3]), _towards(directions[3:]))
    try:
        letters = [str(part) for part in dataset.get("PatientOrientation") or ()]
    except (TypeError, ValueError):
        return None
    if len(letters) != 2 or not all(re.fullmatch("[ALPRHF]{1,3}", part) for part in letters):
        return None
    return edges(*letters)


def _towards(cosines: list[float]) -> str:
    """The side of the patient that a direction leads to most; "" where it leads to none."""
    axis = int(np.argmax(np.abs(cosines)))
    if abs(cosines[axis]) < 0.5:
        return ""
    return _TOWARDS[axis][0 if cosines[axis] > 0 else 1]


def _of_groups(dataset: "Dataset", keyword: str, count: int) -> list[float]:
    """The numbers of an element at the top of the file, or in the functional groups shared by all frames or of the
    first."""
    if numbers := _numbers(dataset, keyword, count):
        return numbers
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for inner in ("PlaneOrientationSequence", "PlanePositionSequence"):
            try:
                numbers = _numbers(dataset[groups][0][inner][0], keyword, count)
            except (LookupError, TypeError, AttributeError, ValueError):
                continue
            if numbers:
                return numbers
    return []


def _numbers(dataset: "Dataset", keyword: str, count: int) -> list[float]:
    """The numbers of an element; empty where it is missing or has other values."""
    try:
        value = dataset.get(keyword)
        numbers = [float(part) for part in (value if count > 1 else [value])]
    except Exception:  # a value that its own type does not allow: the element then says nothing
        return []
    return numbers if len(numbers) == count and np.isfinite(numbers).all() else []
