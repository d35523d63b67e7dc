"""NIfTI and Analyze: what a header says, through nibabel, and checked.

How a volume lies in the patient may be stated twice, by qform and sform. The sform is believed, as by nibabel, FSL and
SPM; where the two mean another side of the patient, the record warns, for questions about sides hang on it. An Analyze
file says nothing of sides: nibabel's reading of the format (the first voxel is on the patient's right) is taken, and
the record warns, unless SPM wrote a `.mat` file beside it.
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
    best = np.asarray(header.get_best_affine(), dtype=np.float64)
    known = bool(header["qform_code"] or header["sform_code"]) and _is_usable(best)
    spacing = _sizes(header["pixdim"][1:4])
    warnings = [*_disagreements(header)] if known else []
    if known:
        in_patient = _sizes(np.linalg.norm(best[:3, :3], axis=0))
        warnings += _unlike(spacing, in_patient)
        spacing = spacing if all(spacing) else in_patient
    if intent == _LABELS:
        warnings.append("the file says that its values are labels: it is a segmentation, not an image of the patient")
    least_start = 0 if is_pair else kind.template_dtype.itemsize
    return _volume(path, header, "NIfTI", values, shape, best if known else None, spacing, known, least_start, warnings)


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
    spacing = _sizes(header["pixdim"][1:4])
    known = _is_usable(affine)
    return _volume(path, header, "Analyze", values, shape, affine if known else None, spacing, known, 0, warnings)


def _volume(
    path: Path,
    header: Any,
    kind: str,
    values: Path,
    shape: list[int],
    affine: Affine | None,
    spacing: tuple[float, ...],
    known: bool,
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
        known=known,
        shown=(float(header["cal_min"]), float(header["cal_max"])),
        warnings=tuple(warnings),
    )


def _shape(path: Path, header: Any, intent: int) -> list[int]:
    """The sides in voxels. Raises ImageError: this is no volume, or one with several values in each voxel."""
    shape = [int(side) for side in header.get_data_shape()]
    if intent in _CIFTI:
        raise ImageError(
            f"{path} is a CIFTI file: values on the brain's surface, no image",
            hint=f"wb_command -cifti-separate {quote(str(path))} COLUMN -volume-all volume.nii.gz",
        )
    sides = " x ".join(map(str, shape))
    if len(shape) < 2 or min(shape) < 1:
        raise ImageError(f"{path} has {sides or 'no'} voxels, which is no volume", hint=HINT_FETCH)
    if any(side != 1 for side in shape[4:]):
        zeros = ", 0" * (len(shape) - 4)
        copy = path.with_name(f"{path.name.partition('.')[0]}_first.nii.gz")
        code = f"import nibabel; nibabel.save(nibabel.load({str(path)!r}).slicer[:, :, :, :{zeros}], {str(copy)!r})"
        raise ImageError(
            f"{path} has {sides} values, several in each voxel (a field of vectors or the like), which is no volume",
            hint=f"save the first of them: python -c {quote(code)}",
        )
    return shape


def _is_usable(affine: Affine) -> bool:
    return bool(np.isfinite(affine).all()) and abs(float(np.linalg.det(affine[:3, :3]))) > 1e-12


def _sizes(sides: NDArray[Any]) -> tuple[float, ...]:
    """Lengths without their sign; 0 where there is none."""
    return tuple(abs(float(side)) if np.isfinite(side) else 0.0 for side in sides)


def _unlike(spacing: tuple[float, ...], in_patient: tuple[float, ...]) -> list[str]:
    """A warning where `pixdim` and the affine give a voxel other proportions."""
    if not all(spacing):
        return []
    ratios = np.divide(spacing, in_patient)
    if float(ratios.max() / ratios.min()) - 1 <= _APART:
        return []
    stated, meant = (" x ".join(f"{side:.3g}" for side in sides) for sides in (spacing, in_patient))
    return [
        f"the header states the size of a voxel twice and differently: {stated} (pixdim, believed), {meant} (affine)"
    ]


def _disagreements(header: Any) -> list[str]:
    """A warning where qform and sform are both there and turn the volume differently; the sform is believed."""
    if not (header["qform_code"] and header["sform_code"]):
        return []
    try:
        qform, sform = (np.asarray(form, np.float64) for form in (header.get_qform(), header.get_sform()))
    except (ValueError, ArithmeticError, np.linalg.LinAlgError):
        return []  # a qform that is no rotation says nothing
    if not (_is_usable(qform) and _is_usable(sform)):
        return []
    believed, other = (form[:3, :3] / np.linalg.norm(form[:3, :3], axis=0) for form in (sform, qform))
    cosines = (believed * other).sum(axis=0)  # of the angle between the two statements, for each stored axis
    across = int(np.abs(believed[0]).argmax())
    if np.linalg.det(believed) * np.linalg.det(other) < 0 or cosines[across] < 0:
        return [
            "qform and sform disagree about which side of the patient is left: the sform is believed, so left and "
            "right may be swapped"
        ]
    if cosines.min() < _TURNED:
        return ["qform and sform disagree about how the volume lies in the patient: the sform is believed"]
    return []
