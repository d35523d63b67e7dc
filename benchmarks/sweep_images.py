"""Compares the pixels of every image file under some folders with those of pydicom, nibabel and Pillow.

    python benchmarks/sweep_images.py FOLDER... [--json FILE]

Every file is offered to our reader (`discern_vqa.imaging.images.open_recorded`) and to the package that reads its kind;
which kind a file is of, the packages say. Both sides do the same steps, each with its own code:

    DICOM             pydicom: the middle frame by `pixel_array`, `apply_color_lut`, `apply_modality_lut` and
                      `apply_voi_lut`, as shares of the output range; without a window all of the range (8 bits) or the
                      values between the percentiles 0.5 and 99.5; MONOCHROME1 inverted
    NIfTI, Analyze    nibabel: `as_closest_canonical`, the middle axial slice of the first volume, from `cal_min` to
                      `cal_max` or between the percentiles 0.5 and 99.5 of its finite values, the others black
    ordinary image    Pillow: `exif_transpose`, alpha composed over black, mode "RGB" or "L"; greys of more bits
                      stretched from the least to the greatest finite value

Where a file's pixels are not square, theirs are enlarged by Pillow (bicubic; nearest for maps of labels).

Outcomes: "equal" is the same size and no value further apart than `TOLERANCE`, 1 of 255 (both sides round); "differ" is
everything else that both read; "read only by us", "read only by them", and "refused by both" with our reason. pydicom's
functions do not look into functional groups, index tables of 8 bits with 8 bits and read palettes of big-endian files
as little-endian: such files come out as "differ", and one has to look who is right.
"""

import argparse
import importlib.metadata
import json
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from PIL import Image, ImageOps
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, pixel_array

from discern_vqa.errors import ImageError
from discern_vqa.imaging.content import looks_like_labels
from discern_vqa.imaging.images import open_recorded
from discern_vqa.imaging.raster import FORMATS

TOLERANCE = 1
"""Grey levels of 255: both sides round, at different places."""

PACKAGES = ("discern-vqa", "pydicom", "nibabel", "pillow", "imagecodecs", "pylibjpeg-openjpeg", "numpy")
_OTHER = {".py", ".pyc", ".so", ".txt", ".md", ".json", ".yaml", ".yml", ".toml", ".html", ".css", ".js", ".pyi", ".h"}
_MOST_PIXELS = 4 * 10**7


def main() -> int:
    """Sweeps the folders and prints counts and the files that differ. Exit code 1 where files differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--json", type=Path, help="write the figures here; files are named from their folder on")
    given = parser.parse_args()
    rows = [row for folder in given.folders for row in sweep(folder)]
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row["kind"], Counter())[row["outcome"]] += 1
    for kind, outcomes in sorted(counts.items()):
        print(f"{kind}: {', '.join(f'{count} {outcome}' for outcome, count in outcomes.most_common())}")
    for outcome in ("differ", "read only by them", "read only by us"):
        listed = [row for row in rows if row["outcome"] == outcome]
        print(f"\n{outcome}: {len(listed)}")
        for row in listed:
            print(f"  {row['file']}: {row['why']}")
    reasons = Counter(row["why"] for row in rows if row["outcome"] == "refused by both")
    print(f"\nrefused by both: {reasons.total()}")
    for why, count in reasons.most_common():
        print(f"  {count} x {why}")
    if given.json:
        result = {
            "date": datetime.now(UTC).date().isoformat(),
            "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
            "tolerance": TOLERANCE,
            "counts": {kind: dict(outcomes) for kind, outcomes in sorted(counts.items())},
            "files": [row for row in rows if row["outcome"] != "equal"],
        }
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return int(any(row["outcome"] == "differ" for row in rows))


def sweep(folder: Path) -> Iterator[dict[str, str]]:
    """One row for each file of a folder that is an image for us or for a package, or looks like one by its name."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix.lower() in _OTHER:
            continue
        ours, why = by_us(path)
        kind, theirs = by_them(path)
        if kind == "other":
            continue
        name = str(path.relative_to(folder.parent))
        if ours is None:
            outcome = "read only by them" if theirs is not None else "refused by both"
        elif theirs is None:
            outcome = "read only by us"
        else:
            why = difference(ours, theirs)
            outcome = "differ" if why else "equal"
        yield {"file": name, "kind": kind, "outcome": outcome, "why": why}


def by_us(path: Path) -> tuple[np.ndarray | None, str]:
    """Our image and its steps, or None and our reason without the path."""
    try:
        opened = open_recorded(path)
    except ImageError as error:
        reason = str(error).replace(str(path), "FILE").replace(str(path.with_suffix("")), "FILE")
        return None, re.sub(r"\d+", "N", reason)[:160]
    return np.asarray(opened.image), "; ".join(opened.steps)


def by_them(path: Path) -> tuple[str, np.ndarray | None]:
    """The kind of a file, "other" for none, and the image as its package's own functions make it."""
    readers: tuple[tuple[str, Callable[[Path], bool], Callable[[Path], np.ndarray]], ...] = (
        ("DICOM", _is_dicom, by_pydicom),
        ("NIfTI, Analyze", _is_volume, by_nibabel),
        ("ordinary image", _is_ordinary, by_pillow),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind, belongs, read in readers:
            if not belongs(path):
                continue
            try:
                return kind, read(path)
            except Exception:  # a package's refusal: any exception that it likes
                return kind, None
    return "other", None


def difference(ours: np.ndarray, theirs: np.ndarray) -> str:
    """What sets two images apart; "" where nothing does. Grey and colour are compared as colour."""
    ours, theirs = (np.stack([values] * 3, -1) if values.ndim == 2 else values for values in (ours, theirs))
    if ours.shape != theirs.shape:
        return f"{ours.shape[1]} x {ours.shape[0]} pixels, theirs {theirs.shape[1]} x {theirs.shape[0]}"
    apart = np.abs(ours.astype(np.int16) - np.rint(theirs).astype(np.int16))
    if apart.max() <= TOLERANCE:
        return ""
    return f"{(apart > TOLERANCE).mean():.2%} of the values, at most {apart.max()} apart"


def _is_dicom(path: Path) -> bool:
    try:
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=["Rows"])
    except Exception:
        return False
    return "Rows" in dataset or path.read_bytes()[128:132] == b"DICM"


def by_pydicom(path: Path) -> np.ndarray:
    """The middle frame of a DICOM file, 0-255."""
    dataset = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        plain = pydicom.uid.ExplicitVRLittleEndian if little else pydicom.uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian if implicit else plain
    frames = int(dataset.get("NumberOfFrames") or 1)
    stored = pixel_array(dataset, index=(frames + 1) // 2 - 1)
    bits, signed = int(dataset.get("BitsStored") or dataset.BitsAllocated), bool(dataset.get("PixelRepresentation"))
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        coloured = apply_color_lut(stored, dataset)[..., :3]
        shown = coloured / np.iinfo(coloured.dtype).max * 255
    elif stored.ndim == 3:
        shown = stored / (2.0**bits - 1) * 255
    else:
        measured = apply_modality_lut(stored, dataset)
        lowest, highest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        if dataset.get("WindowCenter") is not None or dataset.get("VOILUTSequence"):
            ends = apply_modality_lut(np.array([lowest, highest], dtype=np.float64), dataset)
            shares = (apply_voi_lut(measured, dataset) - ends[0]) / (ends[1] - ends[0])
        elif bits <= 8 and not signed:
            shares = measured / (2.0**bits - 1)
        else:
            padding = dataset.get("PixelPaddingValue")
            shares = _between_percentiles(measured, measured[stored != padding] if padding is not None else measured)
        shown = (1 - shares if dataset.PhotometricInterpretation == "MONOCHROME1" else shares) * 255
    spacing = dataset.get("PixelSpacing") or dataset.get("ImagerPixelSpacing")
    spacing = spacing or dataset.get("NominalScannedPixelSpacing") or dataset.get("PixelAspectRatio") or (1, 1)
    return _square(np.rint(shown).astype(np.uint8), float(spacing[0]) / float(spacing[1]))


def _is_volume(path: Path) -> bool:
    try:
        image = nibabel.load(path)
    except Exception:
        return False
    return isinstance(image, nibabel.Nifti1Pair | nibabel.AnalyzeImage) and not isinstance(image, nibabel.Cifti2Image)


def by_nibabel(path: Path) -> np.ndarray:
    """The middle axial slice of a volume in the radiological way, 0-255."""
    image = nibabel.load(path)
    header = image.header
    if "sform_code" in header and not (header["sform_code"] or header["qform_code"]):
        image = type(image)(np.asarray(image.dataobj), np.eye(4), header)
    shape = image.shape
    if len(shape) < 3:
        image = type(image)(np.asarray(image.dataobj).reshape((*shape, 1, 1)[:3]), image.affine, header)
    canonical = nibabel.as_closest_canonical(image)
    volume = canonical.dataobj
    depth = canonical.shape[2]
    flat = np.asarray(volume[:, :, depth // 2] if canonical.ndim == 3 else volume[:, :, depth // 2, 0])
    flat = flat.squeeze()[::-1, ::-1].T if flat.ndim != 2 else flat[::-1, ::-1].T
    sizes = nibabel.affines.voxel_sizes(canonical.affine)
    if flat.dtype.names:
        return _square(np.stack([flat[name] for name in flat.dtype.names[:3]], -1), sizes[1] / sizes[0])
    seen = np.isfinite(flat)
    low, high = float(header["cal_min"]), float(header["cal_max"])
    if high > low:
        shares = np.clip((flat - low) / (high - low), 0, 1)
    else:
        shares = _between_percentiles(np.where(seen, flat, 0), flat[seen])
    return _square(np.rint(np.where(seen, shares, 0) * 255).astype(np.uint8), sizes[1] / sizes[0])


def _is_ordinary(path: Path) -> bool:
    try:
        with open(path, "rb") as file, Image.open(file, formats=FORMATS):
            return True
    except Exception:
        return False


def by_pillow(path: Path) -> np.ndarray:
    """An ordinary image, upright, over black, 0-255. A TIFF of several pages is refused, as ours is."""
    with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
        if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
            raise ValueError("several pages")
        is_inverted = image.format == "TIFF" and image.tag_v2.get(262) == 0
        image.load()
        upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith(("I", "F")):
        values = np.asarray(upright, np.float64)
        seen = np.isfinite(values) & (values != upright.info.get("transparency"))
        least, greatest = (values[seen].min(), values[seen].max()) if seen.any() else (0, 0)
        shares = np.where(seen, values - least, 0) / (greatest - least) if greatest > least else np.zeros(values.shape)
        return np.where(seen, 1 - shares if is_inverted and greatest > least else shares, 0) * 255
    if upright.has_transparency_data:
        clear = upright.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", clear.size, "black"), clear).convert("RGB"))
    return np.asarray(upright.convert("L" if upright.mode in ("1", "L") else "RGB"))


def _between_percentiles(values: np.ndarray, looked_at: np.ndarray) -> np.ndarray:
    low, high = np.percentile(looked_at, [0.5, 99.5]) if looked_at.size else (0, 0)
    if not high > low:
        low, high = (looked_at.min(), looked_at.max()) if looked_at.size else (0, 0)
    if not high > low:
        return (values > low).astype(np.float64)
    return np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)


def _square(values: np.ndarray, ratio: float) -> np.ndarray:
    """`ratio`: height over width of a pixel."""
    if not 1 / 20 < ratio < 20 or abs(ratio - 1) < 0.01:
        return values
    image = Image.fromarray(values)
    width, height = image.size
    size = (width, round(height * ratio)) if ratio > 1 else (round(width / ratio), height)
    if size[0] * size[1] > _MOST_PIXELS:
        return values
    return np.asarray(
        image.resize(size, Image.Resampling.NEAREST if looks_like_labels(image) else Image.Resampling.BICUBIC)
    )


if __name__ == "__main__":
    sys.exit(main())
