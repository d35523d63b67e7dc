"""NIfTI and Analyze: what a header says, through nibabel, and checked.

How a volume lies in the patient may be stated twice, by qform and sform. The sform is believed, as by nibabel, FSL and
SPM; where the two give a direction of the patient differently, the record names it, for questions about sides hang on
left and right. An Analyze file says nothing of sides: nibabel's reading of the format (the first voxel is on the
patient's right) is taken, and the record warns, unless SPM wrote a `.mat` file beside it.

The size of a voxel is read from the same statement as its position: with a qform `pixdim` is part of it (method 2 of
nifti1.h), with an sform the columns of the matrix are the steps from voxel to voxel, in which `pixdim` plays no part
(method 3). `pixdim` counts by itself where the file does not say how it lies in the patient (method 1).
"""

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discern_vqa.errors import ImageError
from discern_vqa.imaging.decoded import HINT_FETCH
from discern_vqa.imaging.nifti_pair import HEADER_BYTES, is_analyze, is_header_of_pair, partner, unpacked

Affine = NDArray[np.float64]

_RGB24, _RGBA32 = 128, 2304
_LABELS = 1002  # intent code: the values are labels
_CIFTI = range(3000, 3100)  # intent codes of CIFTI-2
_CIFTI_DENSE = {3001: "COLUMN", 3002: "COLUMN", 3006: "COLUMN", 3007: "COLUMN", 3009: "ROW", 3010: "COLUMN"}
"""Those with a value for each place of the brain, which may lie in a volume, and along which side of the table."""
_DIRECTIONS = ("left and right", "front and back", "head and feet")  # of the patient, in the order of the axes
_MOST_MAT_BYTES = 1 << 16  # SPM's `.mat` holds one or two matrices of 4 x 4 for each volume
_TURNED = 0.5  # cosine of 60 degrees: no registration of a head turns it so far
_APART = 0.1  # shares by which two statements about the proportions of a voxel may differ


@dataclass(frozen=True)
class Volume:
    """What the header says, checked."""

    kind: str  # "NIfTI" or "Analyze"
    values: Path  # the file in which the values lie
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
    warnings: tuple[str, ...] = ()

    def stored_axis(self, axis: int) -> int:
        """Which stored axis runs along an axis of the patient."""
        return int(np.flatnonzero(self.orientation[:, 0] == axis)[0])


def read_header(path: Path) -> Volume:
    """The header of a `.nii` file or a pair's `.hdr`. Raises ImageError: no volume in it, or its values are missing;
    and whatever nibabel raises on a damaged one."""
    with unpacked(path) as stream:
        start = stream.read(HEADER_BYTES)
    values = path
    if is_header_of_pair(start):
        values = _values_of(path)
    return _analyze(path, values, start) if is_analyze(start) else _nifti(path, values, start)


def _values_of(path: Path) -> Path:
    values = partner(path)
    if values is None:
        stem = path.name.removesuffix(".gz").removesuffix(".hdr")
        raise ImageError(
            f"{path} is the header of a pair of files, and the file of its values is not there",
            hint=f"put {stem}.img (or {stem}.img.gz) beside it",
        )
    return values


def _nifti(path: Path, values: Path, start: bytes) -> Volume:
    from nibabel.nifti1 import Nifti1Header, Nifti1PairHeader
    from nibabel.nifti2 import Nifti2Header, Nifti2PairHeader

    is_second, is_pair = start[4:6] == b"n+" or start[4:6] == b"ni", values != path
    kinds: Any = ((Nifti1Header, Nifti1PairHeader), (Nifti2Header, Nifti2PairHeader))
    kind = kinds[is_second][is_pair]
    header = kind(start[: kind.template_dtype.itemsize], check=False)
    intent = int(header["intent_code"])
    shape = _shape(path, header, intent)
    header["pixdim"][1:4] = np.abs(header["pixdim"][1:4])  # as nibabel does on loading: lengths have no sign
    qform, sform = _stated(header)
    best = qform if sform is None else sform
    spacing, warnings = _sizes(header["pixdim"][1:4]), list[str]()
    if best is not None:
        in_patient = _sizes(np.linalg.norm(best[:3, :3], axis=0))
        warnings += _unlike(spacing, in_patient)
        spacing = in_patient
    if qform is not None and sform is not None:
        warnings += _disagreements(qform, sform)
    elif qform is not None and header["sform_code"]:
        warnings.append("the sform of the file is no position that a volume can have: the qform is believed")
    if intent == _LABELS:
        warnings.append("the file says that its values are labels: it is a segmentation, not an image of the patient")
    least_start = 0 if is_pair else kind.template_dtype.itemsize
    return _volume(path, header, "NIfTI", values, shape, best, spacing, least_start, warnings)


def _analyze(path: Path, values: Path, start: bytes) -> Volume:
    from nibabel.spm2analyze import Spm2AnalyzeHeader, Spm2AnalyzeImage

    header: Any = Spm2AnalyzeHeader(start[:348], check=False)  # type: ignore[no-untyped-call]
    shape = _shape(path, header, 0)
    mat = path.with_name(path.name.removesuffix(".gz")[:-4] + ".mat")
    if mat.is_file() and mat.stat().st_size <= _MOST_MAT_BYTES:
        affine = np.asarray(Spm2AnalyzeImage.from_filename(path).affine, dtype=np.float64)
        warnings = []
    else:
        affine = np.asarray(header.get_base_affine(), dtype=np.float64)
        warnings = [
            "it is an Analyze file, which does not say left from right: its first column is taken for the patient's "
            "right side, so left and right may be swapped"
        ]
    best = affine if _is_usable(affine) else None
    spacing = _sizes(header["pixdim"][1:4] if best is None else np.linalg.norm(best[:3, :3], axis=0))
    return _volume(path, header, "Analyze", values, shape, best, spacing, 0, warnings)


def _volume(
    path: Path,
    header: Any,
    kind: str,
    values: Path,
    shape: list[int],
    affine: Affine | None,
    spacing: tuple[float, ...],
    least_start: int,
    warnings: list[str],
) -> Volume:
    from nibabel.orientations import io_orientation

    dtype = np.dtype(header.get_data_dtype())
    if dtype.kind not in "iuf" and int(header["datatype"]) not in (_RGB24, _RGBA32) or dtype.itemsize > 8:
        raise ImageError(f"{path} holds values of the kind {dtype}, which is no image", hint="save real numbers")
    slope, intercept = header.get_slope_inter()
    orientation: NDArray[np.float64] = io_orientation(np.eye(4) if affine is None else affine)  # type: ignore[no-untyped-call]
    if sorted(orientation[:, 0]) != [0, 1, 2]:
        raise ValueError("an affine that maps two axes onto one")
    return Volume(
        kind=kind,
        values=values,
        shape=tuple((shape + [1, 1])[:4]),
        dtype=dtype,
        start=max(int(header.get_data_offset()), least_start),
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        orientation=orientation,
        spacing=spacing,
        known=affine is not None,
        shown=(float(header["cal_min"]), float(header["cal_max"])),
        warnings=tuple(warnings),
    )


def _shape(path: Path, header: Any, intent: int) -> list[int]:
    """The sides in voxels. Raises ImageError: this is no volume, or one with several values in each voxel."""
    shape = [int(side) for side in header.get_data_shape()]
    if intent in _CIFTI:
        raise _cifti(path, intent)
    sides = " x ".join(map(str, shape))
    if not shape or min(shape) < 1:
        raise ImageError(f"{path} has {sides or 'no'} voxels, which is no volume", hint=HINT_FETCH)
    if sum(side > 1 for side in shape[:3]) < 2:
        raise ImageError(
            f"{path} holds {sides} values, a row of numbers (a curve or a table), which is no volume",
            hint="give the volume from which these values were taken",
        )
    if any(side != 1 for side in shape[4:]):
        zeros = ", 0" * (len(shape) - 4)
        copy = path.with_name(f"{path.name.partition('.')[0]}_first.nii.gz")
        code = f"import nibabel; nibabel.save(nibabel.load({str(path)!r}).slicer[:, :, :, :{zeros}], {str(copy)!r})"
        raise ImageError(
            f"{path} has {sides} values, several in each voxel (a field of vectors or the like), which is no volume",
            hint=f"save the first of them: python -c {quote(code)}",
        )
    return shape


def _cifti(path: Path, intent: int) -> ImageError:
    """The error for a CIFTI file, whose values lie on the brain's surface and, of dense ones, also in a volume."""
    side = _CIFTI_DENSE.get(intent)
    if side is None:
        what, hint = "values of parcels or surfaces of the brain", "give the volume (.nii.gz) they were computed from"
    else:
        what = "values on the brain's surface and in its deep parts"
        volume = path.with_name(f"{path.name.partition('.')[0]}_volume.nii.gz")
        command = f"wb_command -cifti-separate {quote(str(path))} {side} -volume-all {quote(str(volume))}"
        hint = f"{command} saves its deep parts as a volume, if it has any (Connectome Workbench)"
    return ImageError(f"{path} is a CIFTI file: {what}, no image", hint=hint)


def _stated(header: Any) -> tuple[Affine | None, Affine | None]:
    """(qform, sform) of those that the file states and that a volume can have; None for others."""
    forms = list[Affine | None]()
    for code, form in (("qform_code", header.get_qform), ("sform_code", header.get_sform)):
        try:
            affine = np.asarray(form(), np.float64) if header[code] else None
        except (ValueError, ArithmeticError, np.linalg.LinAlgError):
            affine = None  # a qform that is no rotation says nothing
        forms.append(affine if affine is not None and _is_usable(affine) else None)
    return forms[0], forms[1]


def _is_usable(affine: Affine) -> bool:
    return bool(np.isfinite(affine).all()) and abs(float(np.linalg.det(affine[:3, :3]))) > 1e-12


def _sizes(sides: NDArray[Any]) -> tuple[float, ...]:
    """Lengths without their sign; 0 where there is none."""
    return tuple(abs(float(side)) if np.isfinite(side) else 0.0 for side in sides)


def _unlike(spacing: tuple[float, ...], in_patient: tuple[float, ...]) -> list[str]:
    """A warning where `pixdim` and the affine give a voxel other sizes."""
    if not all(spacing) or max(abs(np.log(np.divide(spacing, in_patient)))) <= np.log1p(_APART):
        return []
    stated, meant = (" x ".join(f"{side:.3g}" for side in sides) for sides in (spacing, in_patient))
    return [
        f"the header states the size of a voxel twice and differently: {stated} (pixdim), {meant} (sform, believed)"
    ]


def _disagreements(qform: Affine, sform: Affine) -> list[str]:
    """A warning where the two turn the volume differently, with the directions of the patient that are concerned."""
    first, second = (form[:3, :3] / np.linalg.norm(form[:3, :3], axis=0) for form in (qform, sform))
    turn = second @ np.linalg.inv(first)  # from a direction by the qform to the same stored direction by the sform
    cosines = np.diag(turn)
    opposite = [name for name, cosine in zip(_DIRECTIONS, cosines, strict=True) if cosine < -_TURNED]
    is_mirrored, is_turned = np.linalg.det(turn) < 0, bool((np.abs(cosines) < _TURNED).any())
    if not opposite and not is_turned:
        return []
    may_swap = cosines[0] < _TURNED or is_mirrored and is_turned
    about = " and about ".join(opposite) if opposite and not is_turned else "how the volume lies in the patient"
    swapped = ", so left and right may be swapped" * bool(may_swap)
    return [f"qform and sform disagree about {about}: the sform is believed{swapped}"]
