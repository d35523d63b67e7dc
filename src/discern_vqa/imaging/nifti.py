"""NIfTI: one slice of a volume as a radiologist is shown it; the header by nibabel, the values in one pass.

A volume is turned to the patient by its own affine (rows of "to the right, to the front, up"), cut along an anatomical
axis, and shown in the radiological way: the patient's right is on the image's left, the front (axial) or the head
(coronal, sagittal) is up, and in a sagittal slice the face looks left. Pixels that are not square in the patient are
made square by enlarging the shorter side's.

    brain.nii.gz                          the middle axial slice
    brain.nii.gz#axis=coronal#slice=100   the 100th coronal slice, counted from the back
    bold.nii.gz#frame=7                   a 4-D file: its 7th volume (else the first)

Slices count from 1: axial from the feet, coronal from the back, sagittal from the left. The window is `#window=`, else
what the header gives (`cal_min`, `cal_max`), else the slice without its half per cent darkest and brightest values.

Traps: an affine that says nothing (the order of storage is taken, and said); scaling by slope and intercept; colour
files; a compressed file of a few bytes that claims gigabytes. Format: nifti.nimh.nih.gov, NIfTI-1 and NIfTI-2, single
files (.nii, .nii.gz); a pair of .hdr and .img is refused.
"""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discern_vqa.errors import ImageError
from discern_vqa.imaging.decoded import (
    HINT_FETCH,
    DecodedImage,
    Limits,
    explained,
    pick,
    require_extra,
    too_large,
    undecodable,
)
from discern_vqa.imaging.greys import Values, Window, to_bytes, usual_window, wanted_window, whole_window
from discern_vqa.imaging.image_ref import AXES, Choice, refuse

HEADER_BYTES = 540
"""Of a NIfTI-2 header; a NIfTI-1 header has 348."""

MOST_UNPACKED = 4 << 30
"""Bytes that are read through to reach a slice; a second or two for each gigabyte."""

_MOST_STRETCHED = 20.0
_ALONG = {"axial": 2, "coronal": 1, "sagittal": 0}
_RGB24, _RGBA32 = 128, 2304


@dataclass(frozen=True)
class Volume:
    """What the header says, checked.

    Args:
        shape: voxels along the three axes as stored, and the number of volumes.
        dtype: of a stored value.
        start: the byte at which the values start.
        slope, intercept: from stored values to real ones.
        turned: for each axis of the patient (left-right, back-front, feet-head) the stored axis, and whether it
            runs the other way.
        spacing: distance between voxels along the stored axes.
        known: False where the file does not say how it lies in the patient.
        shown: (`cal_min`, `cal_max`).
    """

    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    start: int
    slope: float
    intercept: float
    turned: tuple[tuple[int, bool], ...]
    spacing: tuple[float, float, float]
    known: bool
    shown: tuple[float, float]


def is_nifti(start: bytes) -> bool:
    """True for the first `HEADER_BYTES` of a NIfTI file, single or the header of a pair."""
    return start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] in (b"n+2\0", b"ni2\0")


def read(path: Path, choice: Choice, limits: Limits, packed: bool = False) -> DecodedImage:
    """A slice of a NIfTI file; `packed`: a gzip file. Raises ImageError: cut off, too large, or values that are no
    image."""
    refuse(path, choice, ("axis", "slice", "frame", "window", "mirror"), "a NIfTI file")
    require_extra(path, "NIfTI", "nibabel", "nifti")
    with open(path, "rb") as file:
        stream: IO[bytes] = gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[assignment]
        with explained(path, "the header of this NIfTI file"):
            volume = _volume(path, stream)
        axis = choice.axis or AXES[0]
        along, backwards = volume.turned[_ALONG[axis]]
        count = volume.shape[along]
        number, which = pick(path, choice.slice, count, count // 2 + 1, f"{axis} slices", "slice")
        time, when = pick(path, choice.frame, volume.shape[3], 1, "volumes")
        _require_reachable(path, volume, along, time, packed, limits)
        index = count - 1 - number if backwards else number
        try:
            stored = _slice(path, stream, volume, along, index, time)
        except (OSError, EOFError, zlib.error) as error:
            raise undecodable(path, error) from error
    across = [volume.turned[other] for other in range(3) if other != _ALONG[axis]]
    stored = _turned(stored, across)
    shown, how = _colours(stored) if stored.dtype.names else _greys(path, stored, volume, choice)
    picture, squared = _square_points(Image.fromarray(shown), [volume.spacing[stored] for stored, _ in across])
    lies = "" if volume.known else "the file does not say how it lies in the patient: the order of storage is shown"
    side = lies or "the patient's right on the left" * (axis != "sagittal")
    steps = (f"{axis} {which or 'slice 1 of 1'}", when, side, how)
    facts: dict[str, str | int | float] = {
        "points": " x ".join(str(side) for side in volume.shape[:3]),
        "volumes": volume.shape[3],
        "spacing": " x ".join(f"{side:.3g}" for side in volume.spacing),
        "values": str(volume.dtype),
    }
    return DecodedImage(picture, "NIfTI", tuple(filter(None, (*steps, squared))), facts, (lies,) if lies else ())


def _volume(path: Path, stream: IO[bytes]) -> Volume:
    """The header, through nibabel, and checked. Leaves the stream behind it."""
    from nibabel import orientations
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    start = stream.read(HEADER_BYTES)
    second = start[4:8] in (b"n+2\0", b"ni2\0")
    if start[4:7] == b"ni2" or start[344:347] == b"ni1":
        raise ImageError(f"{path} is the header of a pair of files", hint="save the pair as one .nii or .nii.gz file")
    kind = Nifti2Header if second else Nifti1Header
    header: Any = kind(start[: 540 if second else 348], check=False)  # type: ignore[no-untyped-call]
    shape = [int(side) for side in header.get_data_shape()]
    if len(shape) < 2 or min(shape) < 1 or any(side != 1 for side in shape[4:]):
        raise ImageError(f"{path} has {' x '.join(map(str, shape))} voxels, which is no volume", hint=HINT_FETCH)
    shape = (shape + [1, 1])[:4]
    dtype = np.dtype(header.get_data_dtype())
    if dtype.kind not in "iuf" and int(header["datatype"]) not in (_RGB24, _RGBA32) or dtype.itemsize > 8:
        raise ImageError(f"{path} holds values of the kind {dtype}, which is no image", hint="save real numbers")
    slope, intercept = header.get_slope_inter()
    affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    known = bool(int(header["qform_code"]) or int(header["sform_code"]))
    known = known and bool(np.isfinite(affine).all()) and abs(float(np.linalg.det(affine[:3, :3]))) > 1e-12
    lie: Any = orientations.io_orientation
    turned = _order(lie(affine)) if known else ((0, False), (1, False), (2, False))
    spacing = [abs(float(side)) for side in header["pixdim"][1:4]]
    return Volume(
        shape=(shape[0], shape[1], shape[2], shape[3]),
        dtype=dtype,
        start=max(int(header.get_data_offset()), len(header.structarr.tobytes())),
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        turned=turned,
        spacing=(spacing[0], spacing[1], spacing[2]),
        known=known,
        shown=(float(header["cal_min"]), float(header["cal_max"])),
    )


def _order(orientation: NDArray[np.float64]) -> tuple[tuple[int, bool], ...]:
    """nibabel's (stored axis -> axis of the patient, direction), the other way round."""
    mapped = [(stored, row) for stored, row in enumerate(orientation) if np.isfinite(row).all()]
    found = {int(row[0]): (stored, bool(row[1] < 0)) for stored, row in mapped}
    if sorted(found) != [0, 1, 2]:
        raise ValueError("an affine that maps two axes onto one")
    return tuple(found[axis] for axis in range(3))


def _require_reachable(path: Path, volume: Volume, along: int, time: int, packed: bool, limits: Limits) -> None:
    """The slice may be shown, what lies before it may be read through, and a plain file is as long as it says."""
    sides = [side for axis, side in enumerate(volume.shape[:3]) if axis != along]
    if sides[0] * sides[1] > limits.pixels or volume.shape[0] * volume.shape[1] > limits.pixels:
        raise too_large(path, f"slices of {sides[0]} x {sides[1]} pixels", limits)
    end = volume.start + math.prod(volume.shape[:3]) * volume.dtype.itemsize * (time + 1)
    if end > MOST_UNPACKED:
        raise too_large(path, f"{end / 1e9:.1f} GB to read through", limits)
    if not packed and end > path.stat().st_size:
        raise undecodable(path, f"it ends at byte {path.stat().st_size:,} and needs {end:,}")


def _slice(path: Path, stream: IO[bytes], volume: Volume, along: int, index: int, time: int) -> NDArray[Any]:
    """The stored values of one slice, its two axes in the order of storage. One stored layer is held at a time."""
    width, height, depth, _ = volume.shape
    layer = width * height * volume.dtype.itemsize

    def at(number: int) -> NDArray[Any]:
        content = stream.read(layer)
        if len(content) < layer:
            raise EOFError("the file ends before the slice")
        return np.frombuffer(content, volume.dtype).reshape((width, height), order="F")

    stream.seek(volume.start + layer * depth * time)
    if along == 2:
        stream.seek(layer * index, 1)
        return at(index)
    return np.stack([at(number)[index] if along == 0 else at(number)[:, index] for number in range(depth)], axis=-1)


def _turned(stored: NDArray[Any], across: list[tuple[int, bool]]) -> NDArray[Any]:
    """Two stored axes -> rows from the top, columns from the left, as described at the top of this file."""
    (first, first_back), (second, second_back) = across
    if first > second:
        stored = stored.T
    canonical = stored[:: -1 if first_back else 1, :: -1 if second_back else 1]
    return np.ascontiguousarray(canonical.T[::-1, ::-1])


def _colours(stored: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    channels = [np.asarray(stored[name], dtype=np.uint8) for name in (stored.dtype.names or ())[:3]]
    return np.stack(channels, axis=-1), "colour as stored"


def _greys(path: Path, stored: NDArray[Any], volume: Volume, choice: Choice) -> tuple[NDArray[np.uint8], str]:
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)

    def real(values: Values) -> Values:
        return np.nan_to_num(values * volume.slope + volume.intercept)

    if choice.window == "full":
        window = whole_window(np.nan_to_num(stored, posinf=0, neginf=0), real)
    elif choice.window is not None:
        named = wanted_window(choice.window, str(path))
        if named is None:
            raise ImageError(f"{path}: a NIfTI file brings no windows by number", hint="#window=CENTRE:WIDTH or full")
        window = named
    elif volume.shown[1] > volume.shown[0] and all(map(math.isfinite, volume.shown)):
        window = Window(*volume.shown, f"shown from {volume.shown[0]:g} to {volume.shown[1]:g} as its header asks")
    else:
        window = usual_window(stored, real)
    scaled = "" if (volume.slope, volume.intercept) == (1, 0) else "scaled, "
    return to_bytes(stored, lambda values: window(real(values))), f"{scaled}{window.why}"


def _square_points(picture: Image.Image, spacing: list[float]) -> tuple[Image.Image, str]:
    """The image with as many points to the millimetre down as across; unchanged where the spacing is absurd."""
    across, down = spacing
    if not (math.isfinite(across) and math.isfinite(down) and across > 0 and down > 0):
        return picture, ""
    ratio = down / across
    if abs(ratio - 1) < 0.01 or not 1 / _MOST_STRETCHED < ratio < _MOST_STRETCHED:
        return picture, ""
    width, height = picture.size
    size = (width, round(height * ratio)) if ratio > 1 else (round(width / ratio), height)
    if size[0] * size[1] > 4 * 10**7:
        return picture, ""
    return picture.resize(size, Image.Resampling.BICUBIC), f"pixels of {across:.3g} x {down:.3g} made square"
