"""NIfTI: one slice of a volume as a radiologist is shown it; the header by nibabel, the values in one pass.

A volume is turned to the patient by its own affine (rows of "to the right, to the front, up"), cut along an anatomical
axis, and shown in the radiological way: the patient's right is on the image's left, the front (axial) or the head
(coronal, sagittal) is up, and in a sagittal slice the face looks left. Pixels that are not square in the patient are
made square by enlarging the shorter side's.

Slices count from 1: axial from the feet, coronal from the back, sagittal from the left; the middle axial one of the
first volume is shown unless the path says otherwise (`image_ref`). The window is `#window=`, else what the header gives
(`cal_min`, `cal_max`), else the slice without its half per cent darkest and brightest values.

Traps: an affine that says nothing (the order of storage is taken, and said), or that is stated twice and differently
(`nifti_header`); scaling by slope and intercept; NaN and infinity, which are black and left out of the window; colour
files; a compressed file of a few bytes that claims gigabytes. Formats: nifti.nimh.nih.gov, NIfTI-1 and NIfTI-2, and
Analyze 7.5, as single files (.nii, .nii.gz) and as pairs of .hdr and .img (`nifti_pair`).
"""

import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discern_vqa.errors import ImageError
from discern_vqa.imaging.decoded import DecodedImage, Limits, explained, pick, require_extra, too_large, undecodable
from discern_vqa.imaging.greys import Values, Window, holes, to_bytes, usual_window, wanted_window, whole_window
from discern_vqa.imaging.image_ref import AXES, Choice, refuse
from discern_vqa.imaging.nifti_header import Volume, read_header
from discern_vqa.imaging.nifti_pair import is_packed, unpacked
from discern_vqa.imaging.square import square_pixels

MOST_UNPACKED = 4 << 30  # bytes that are read through to reach a slice; a second or two for each gigabyte
_ALONG = {"axial": 2, "coronal": 1, "sagittal": 0}


class Slice(NamedTuple):
    """The stored values of a slice, upright, and where it comes from; `which` and `when` say so in words."""

    stored: NDArray[Any]
    volume: Volume
    axis: str
    across: float  # distance between two columns, in the unit of the header
    down: float
    which: str
    when: str


def chosen(path: Path, choice: Choice, limits: Limits, header: Path | None = None) -> Slice:
    """The slice that is meant. Raises ImageError, as `read`."""
    refuse(path, choice, ("axis", "slice", "frame", "window", "mirror"), "a NIfTI file")
    require_extra(path, "NIfTI", "nibabel", "nifti")
    axis = choice.axis or AXES[0]
    with explained(path, "the header of this NIfTI file"):
        volume = read_header(header or path)
    along = volume.stored_axis(_ALONG[axis])
    count = volume.shape[along]
    number, which = pick(path, choice.slice, count, count // 2 + 1, f"{axis} slices", "slice")
    time, when = pick(path, choice.frame, volume.shape[3], 1, "volumes")
    _require_reachable(volume, along, time, limits)
    index = count - 1 - number if volume.orientation[along, 1] < 0 else number
    try:
        with unpacked(volume.values) as stream:
            stored = _slice(stream, volume, along, index, time)
    except (OSError, EOFError, zlib.error) as error:
        raise undecodable(path, error) from error
    across, down = (volume.spacing[volume.stored_axis(other)] for other in range(3) if other != _ALONG[axis])
    return Slice(_upright(stored, volume, along), volume, axis, across, down, which, when)


def counts(volume: Volume) -> dict[str, int]:
    """How many slices there are along each axis of the patient."""
    return {axis: volume.shape[volume.stored_axis(_ALONG[axis])] for axis in AXES}


def read(path: Path, choice: Choice, limits: Limits, header: Path | None = None) -> DecodedImage:
    """A slice of a NIfTI or Analyze file; `header`: of a pair whose values are `path`. Raises ImageError: cut off, too
    large, or values that are no image."""
    stored, volume, axis, across, down, which, when = chosen(path, choice, limits, header)
    shown, how = _colours(stored) if stored.dtype.names else _greys(path, stored, volume, choice)
    image, squared = square_pixels(Image.fromarray(shown), across, down)
    unknown = "" if volume.known else "the file does not say how it lies in the patient: the order of storage is shown"
    side = unknown or "the patient's right on the left" * (axis != "sagittal")
    empty = "" if stored.dtype.names else holes(stored)
    steps = (f"{axis} {which or 'slice 1 of 1'}", when, side, how, empty, squared)
    facts: dict[str, str | int | float] = {
        "points": " x ".join(str(side) for side in volume.shape[:3]),
        "volumes": volume.shape[3],
        "spacing": " x ".join(f"{side:.3g}" for side in volume.spacing),
        "values": str(volume.dtype),
    }
    warned = (*filter(None, (unknown,)), *volume.warnings)
    return DecodedImage(image, volume.kind, tuple(filter(None, steps)), facts, warned)


def _require_reachable(volume: Volume, along: int, time: int, limits: Limits) -> None:
    """The slice may be shown, what lies before it may be read through, and a plain file is as long as it says."""
    path = volume.values
    if (size := path.stat().st_size) > limits.bytes:
        raise too_large(path, f"{size / 1e6:.0f} MB", limits)
    sides = [side for axis, side in enumerate(volume.shape[:3]) if axis != along]
    if max(math.prod(sides), math.prod(volume.shape[:2])) > limits.pixels:
        raise too_large(path, f"slices of {sides[0]} x {sides[1]} pixels", limits)
    end = volume.start + math.prod(volume.shape[:3]) * volume.dtype.itemsize * (time + 1)
    if end > MOST_UNPACKED:
        raise too_large(path, f"{end / 1e9:.1f} GB to read through", limits)
    if end > size and not is_packed(path):
        raise undecodable(path, f"it ends at byte {size:,} and needs {end:,}")


def _slice(stream: IO[bytes], volume: Volume, along: int, index: int, time: int) -> NDArray[Any]:
    """The stored values of one slice, its two axes in the order of storage. One stored layer is held at a time."""
    width, height, depth, _ = volume.shape
    layer = width * height * volume.dtype.itemsize

    def next_layer() -> NDArray[Any]:
        content = stream.read(layer)
        if len(content) < layer:
            raise EOFError("the file ends before the slice")
        return np.frombuffer(content, volume.dtype).reshape((width, height), order="F")

    stream.seek(volume.start + layer * (depth * time + (index if along == 2 else 0)))
    if along == 2:
        return next_layer()
    place = (index,) if along == 0 else (slice(None), index)
    return np.stack([next_layer()[place] for _ in range(depth)], axis=-1)


def _upright(stored: NDArray[Any], volume: Volume, along: int) -> NDArray[Any]:
    """Two stored axes -> rows from the top, columns from the left, as described at the top of this file."""
    from nibabel.orientations import apply_orientation

    axis = int(volume.orientation[along, 0])
    thin = np.expand_dims(stored, along)
    canonical: NDArray[Any] = apply_orientation(thin, volume.orientation)  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(canonical.squeeze(axis).T[::-1, ::-1])


def _colours(stored: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    channels = [np.asarray(stored[name], dtype=np.uint8) for name in (stored.dtype.names or ())[:3]]
    return np.stack(channels, axis=-1), "colour as stored"


def native(stored: NDArray[Any]) -> NDArray[Any]:
    """The values in the byte order of this machine."""
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def measured(volume: Volume) -> Callable[[Values], Values]:
    """From stored values to what they measure, by the header's slope and intercept."""
    return lambda values: np.nan_to_num(values * volume.slope + volume.intercept)


def window_of(path: Path, stored: NDArray[Any], volume: Volume, choice: Choice) -> Window:
    """The window that is shown of a slice. Raises ImageError: there is no such window."""
    real = measured(volume)
    if choice.window == "full":
        window = whole_window(stored, real)
    elif choice.window is not None:
        named = wanted_window(choice.window, str(path))
        if named is None:
            raise ImageError(f"{path}: a NIfTI file brings no windows by number", hint="#window=CENTRE:WIDTH or full")
        window = named
    elif volume.shown[1] > volume.shown[0] and all(map(math.isfinite, volume.shown)):
        window = Window(*volume.shown, f"shown from {volume.shown[0]:g} to {volume.shown[1]:g} as its header asks")
    else:
        window = usual_window(stored, real)
    return window


def _greys(path: Path, stored: NDArray[Any], volume: Volume, choice: Choice) -> tuple[NDArray[np.uint8], str]:
    stored, real = native(stored), measured(volume)
    window = window_of(path, stored, volume, choice)
    scaled = "" if (volume.slope, volume.intercept) == (1, 0) else "scaled, "
    return to_bytes(stored, lambda values: window(real(values))), f"{scaled}{window.why}"
