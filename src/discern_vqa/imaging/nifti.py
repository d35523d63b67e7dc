"""NIfTI: one slice of a volume as a radiologist is shown it; the header by nibabel, the values in one pass.

A volume is turned to the patient by its own affine (rows of "to the right, to the front, up"), cut along an anatomical
axis, and shown in the radiological way: the patient's right is on the image's left, the front (axial) or the head
(coronal, sagittal) is up, and in a sagittal slice the face looks left. Pixels that are not square in the patient are
made square by enlarging the shorter side's.

Slices count from 1: axial from the feet, coronal from the back, sagittal from the left; the middle axial one of the
first volume is shown unless the path says otherwise (`image_ref`). The window is `#window=`, else what the header gives
(`cal_min`, `cal_max`), else the slice without its half per cent darkest and brightest values.

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

HEADER_BYTES = 540  # of a NIfTI-2 header; a NIfTI-1 header has 348
MOST_UNPACKED = 4 << 30  # bytes that are read through to reach a slice; a second or two for each gigabyte
_MOST_STRETCHED = 20.0
_ALONG = {"axial": 2, "coronal": 1, "sagittal": 0}
_RGB24, _RGBA32 = 128, 2304


@dataclass(frozen=True)
class Volume:
    """What the header says, checked."""

    shape: tuple[int, ...]  # voxels along the three axes as stored, and the number of volumes
    dtype: np.dtype[Any]
    start: int  # the byte at which the values start
    slope: float
    intercept: float
    orientation: NDArray[np.float64]
    """nibabel's: for each stored axis the axis of the patient (left-right, back-front, feet-head), and 1 or -1."""
    spacing: tuple[float, ...]  # distance between voxels along the stored axes
    known: bool  # False where the file does not say how it lies in the patient
    shown: tuple[float, float]  # (`cal_min`, `cal_max`)

    def stored_axis(self, axis: int) -> int:
        """Which stored axis runs along an axis of the patient."""
        return int(np.flatnonzero(self.orientation[:, 0] == axis)[0])


def is_nifti(start: bytes) -> bool:
    """True for the first `HEADER_BYTES` of a NIfTI file, single or the header of a pair."""
    return start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] in (b"n+2\0", b"ni2\0")


def read(path: Path, choice: Choice, limits: Limits, packed: bool = False) -> DecodedImage:
    """A slice of a NIfTI file; `packed`: a gzip file. Raises ImageError: cut off, too large, or values that are no
    image."""
    refuse(path, choice, ("axis", "slice", "frame", "window", "mirror"), "a NIfTI file")
    require_extra(path, "NIfTI", "nibabel", "nifti")
    axis = choice.axis or AXES[0]
    with open(path, "rb") as file:
        stream: IO[bytes] = gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[assignment]
        with explained(path, "the header of this NIfTI file"):
            volume = _volume(path, stream)
        along = volume.stored_axis(_ALONG[axis])
        count = volume.shape[along]
        number, which = pick(path, choice.slice, count, count // 2 + 1, f"{axis} slices", "slice")
        time, when = pick(path, choice.frame, volume.shape[3], 1, "volumes")
        _require_reachable(path, volume, along, time, packed, limits)
        index = count - 1 - number if volume.orientation[along, 1] < 0 else number
        try:
            stored = _slice(stream, volume, along, index, time)
        except (OSError, EOFError, zlib.error) as error:
            raise undecodable(path, error) from error
    stored = _upright(stored, volume, along)
    shown, how = _colours(stored) if stored.dtype.names else _greys(path, stored, volume, choice)
    across, down = (volume.spacing[volume.stored_axis(other)] for other in range(3) if other != _ALONG[axis])
    image, squared = _square_pixels(Image.fromarray(shown), across, down)
    unknown = "" if volume.known else "the file does not say how it lies in the patient: the order of storage is shown"
    side = unknown or "the patient's right on the left" * (axis != "sagittal")
    steps = (f"{axis} {which or 'slice 1 of 1'}", when, side, how, squared)
    facts: dict[str, str | int | float] = {
        "points": " x ".join(str(side) for side in volume.shape[:3]),
        "volumes": volume.shape[3],
        "spacing": " x ".join(f"{side:.3g}" for side in volume.spacing),
        "values": str(volume.dtype),
    }
    return DecodedImage(image, "NIfTI", tuple(filter(None, steps)), facts, (unknown,) if unknown else ())


def _volume(path: Path, stream: IO[bytes]) -> Volume:
    """The header, through nibabel, and checked. Leaves the stream behind it."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header
    from nibabel.orientations import io_orientation

    start = stream.read(HEADER_BYTES)
    if start[4:7] == b"ni2" or start[344:347] == b"ni1":
        raise ImageError(f"{path} is the header of a pair of files", hint="save the pair as one .nii or .nii.gz file")
    kind: Any = Nifti2Header if start[4:7] == b"n+2" else Nifti1Header
    header: Any = kind(start[: kind.template_dtype.itemsize], check=False)
    shape = [int(side) for side in header.get_data_shape()]
    if len(shape) < 2 or min(shape) < 1 or any(side != 1 for side in shape[4:]):
        raise ImageError(f"{path} has {' x '.join(map(str, shape))} voxels, which is no volume", hint=HINT_FETCH)
    dtype = np.dtype(header.get_data_dtype())
    if dtype.kind not in "iuf" and int(header["datatype"]) not in (_RGB24, _RGBA32) or dtype.itemsize > 8:
        raise ImageError(f"{path} holds values of the kind {dtype}, which is no image", hint="save real numbers")
    slope, intercept = header.get_slope_inter()
    affine = np.asarray(header.get_best_affine(), dtype=np.float64)
    known = bool(header["qform_code"] or header["sform_code"]) and bool(np.isfinite(affine).all())
    known = known and abs(float(np.linalg.det(affine[:3, :3]))) > 1e-12
    orientation: NDArray[np.float64] = io_orientation(affine if known else np.eye(4))  # type: ignore[no-untyped-call]
    if sorted(orientation[:, 0]) != [0, 1, 2]:
        raise ValueError("an affine that maps two axes onto one")
    return Volume(
        shape=tuple((shape + [1, 1])[:4]),
        dtype=dtype,
        start=max(int(header.get_data_offset()), kind.template_dtype.itemsize),
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        orientation=orientation,
        spacing=tuple(abs(float(side)) for side in header["pixdim"][1:4]),
        known=known,
        shown=(float(header["cal_min"]), float(header["cal_max"])),
    )


def _require_reachable(path: Path, volume: Volume, along: int, time: int, packed: bool, limits: Limits) -> None:
    """The slice may be shown, what lies before it may be read through, and a plain file is as long as it says."""
    sides = [side for axis, side in enumerate(volume.shape[:3]) if axis != along]
    if max(math.prod(sides), math.prod(volume.shape[:2])) > limits.pixels:
        raise too_large(path, f"slices of {sides[0]} x {sides[1]} pixels", limits)
    end = volume.start + math.prod(volume.shape[:3]) * volume.dtype.itemsize * (time + 1)
    if end > MOST_UNPACKED:
        raise too_large(path, f"{end / 1e9:.1f} GB to read through", limits)
    if not packed and end > path.stat().st_size:
        raise undecodable(path, f"it ends at byte {path.stat().st_size:,} and needs {end:,}")


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


def _square_pixels(image: Image.Image, across: float, down: float) -> tuple[Image.Image, str]:
    """The image with as many pixels to the millimetre down as across; unchanged where the spacing is absurd."""
    ratio = down / across if across > 0 and math.isfinite(down) else math.nan
    if not 1 / _MOST_STRETCHED < ratio < _MOST_STRETCHED or abs(ratio - 1) < 0.01:
        return image, ""
    width, height = image.size
    size = (width, round(height * ratio)) if ratio > 1 else (round(width / ratio), height)
    if math.prod(size) > 4 * 10**7:
        return image, ""
    return image.resize(size, Image.Resampling.BICUBIC), f"pixels of {across:.3g} x {down:.3g} made square"
