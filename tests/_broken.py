"""Broken image files by the thousand: seeds of every kind, mutations that know their formats, and what opening gives.

    python tests/_broken.py KIND,KIND,... COUNT SEED FOLDER     a JSON line a kind: outcomes, slowest case, most memory

It runs as a process of its own, so that a crash, a hang or a flood of memory is seen and not suffered.
"""

import collections
import faulthandler
import io
import json
import random
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _medical import dicom, nifti, scene, sequence
from _mutations import mutated
from PIL import Image

from discern_vqa.errors import ImageError
from discern_vqa.imaging.images import load_image

HANGS_AFTER_S = 120


def seeds(kind: str) -> list[bytes]:
    """Whole files of one kind, each opened without complaint."""
    return SEEDS[kind]()


def _saved(picture: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def _pngs() -> list[bytes]:
    grey, deep = Image.fromarray(scene(top=255)), Image.fromarray(scene(top=65535))
    colour = Image.merge("RGB", [grey] * 3)
    palette = grey.convert("P")
    pictures = (grey, deep, colour, palette, colour.convert("RGBA"), grey.convert("1"))
    return [*(_saved(picture, "PNG") for picture in pictures), _saved(palette, "PNG", transparency=3)]


def _jpegs() -> list[bytes]:
    colour = Image.merge("RGB", [Image.fromarray(scene(top=255, seed=seed)) for seed in range(3)])
    exif = colour.getexif()
    exif[0x0112] = 6
    return [
        _saved(colour, "JPEG"),
        _saved(colour.convert("L"), "JPEG"),
        _saved(colour.convert("CMYK"), "JPEG"),
        _saved(colour, "JPEG", progressive=True, exif=exif),
    ]


def _tiffs() -> list[bytes]:
    grey, deep = Image.fromarray(scene(top=255)), Image.fromarray(scene(top=65535))
    colour, real = Image.merge("RGB", [grey] * 3), Image.fromarray(scene().astype(np.float32))
    pictures = (grey, deep, colour, real, grey.convert("1"), colour.convert("CMYK"))
    made = [_saved(picture, "TIFF") for picture in pictures]
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "jpeg"):
        made.append(_saved(colour, "TIFF", compression=compression))
    return [*made, _saved(deep, "TIFF", compression="tiff_lzw"), _saved(grey, "TIFF", big_tiff=True)]


def _bmps() -> list[bytes]:
    grey = Image.fromarray(scene(top=255))
    return [_saved(grey.convert(mode), "BMP") for mode in ("L", "RGB", "1", "P", "RGBA")]


def _others() -> list[bytes]:
    grey = Image.fromarray(scene(top=255))
    frames = [Image.fromarray(scene(top=255, seed=seed)) for seed in range(3)]
    return [
        _saved(grey, "GIF"),
        _saved(grey, "GIF", save_all=True, append_images=frames),
        _saved(grey.convert("RGB"), "WEBP"),
        _saved(grey.convert("RGBA"), "WEBP", lossless=True),
    ]


def _plain_dicoms() -> list[bytes]:
    deep, small = scene(), scene(top=255)
    table = {"LUTDescriptor": [4096, 0, 16], "LUTData": (np.arange(4096) * 16).astype("<u2").tobytes()}
    window = {"WindowCenter": 2000, "WindowWidth": 1000}
    groups = {
        "SharedFunctionalGroupsSequence": sequence({"FrameVOILUTSequence": [window]}),
        "PerFrameFunctionalGroupsSequence": sequence(
            *({"PixelValueTransformationSequence": [{"RescaleSlope": 1, "RescaleIntercept": n}]} for n in range(3))
        ),
    }
    palette = {"PhotometricInterpretation": "PALETTE COLOR"}
    segments = np.array([0, 1, 0, 1, 255, 65535], "<u2").tobytes()
    for colour in ("Red", "Green", "Blue"):
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette[f"Segmented{colour}PaletteColorLookupTableData"] = segments
    signed = deep.astype(np.int16) - 1000
    return [
        *(dicom(deep, syntax, BitsStored=12, HighBit=11, **window) for syntax in ("implicit", "explicit", "big")),
        dicom(deep, "implicit", VOILUTSequence=sequence(table), RescaleSlope=1, RescaleIntercept=0),
        dicom(deep, "explicit", ModalityLUTSequence=sequence(table), PhotometricInterpretation="MONOCHROME1"),
        dicom(np.stack([deep] * 3), "explicit", **groups),
        dicom(small, "explicit", **palette),
        dicom(np.stack([small] * 3, -1), "explicit"),
        dicom(signed, "explicit", PixelPaddingValue=-1000, WindowCenter=[1, 2], WindowWidth=[3, 0]),
    ]


def _packed_dicoms(syntax: str) -> Callable[[], list[bytes]]:
    def made() -> list[bytes]:
        grey = scene(top=255 if syntax == "jpeg" else 4095)
        small = scene(top=255)
        return [
            dicom(grey, syntax),
            dicom(np.stack([small] * 3, -1), syntax),
            dicom(np.stack([grey, grey[::-1]]), syntax),
        ]

    return made


def _niftis(packed: bool) -> Callable[[], list[bytes]]:
    def made() -> list[bytes]:
        volume = np.stack([scene(seed=seed) for seed in range(6)], -1).astype(np.int16)
        affine = np.diag([-1.0, 2, 3, 1])
        coloured = np.zeros(volume.shape, dtype=[(name, "u1") for name in "RGB"])
        return [
            nifti(volume, affine, packed=packed),
            nifti(volume.astype(np.float32), affine, packed=packed, slope=2, intercept=-1),
            nifti(np.stack([volume] * 2, -1), affine, packed=packed, second=True),
            nifti(coloured, affine, packed=packed),
        ]

    return made


_PACKED = ("rle", "jpeg", "extended", "j2k", "lossless", "jpegls", "jpegls_lossy", "deflated")
SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "png": _pngs,
    "jpeg": _jpegs,
    "tiff": _tiffs,
    "bmp": _bmps,
    "gif_webp": _others,
    "dicom": _plain_dicoms,
    **{f"dicom_{syntax}": _packed_dicoms(syntax) for syntax in _PACKED},
    "nifti": _niftis(False),
    "nifti_gz": _niftis(True),
}
CHOICES = {
    "dicom": ("", "#frame=2", "#window=lung", "#window=full", "#window=1", "#window=2"),
    "nifti": ("", "#axis=coronal", "#axis=sagittal#slice=3", "#frame=2", "#window=40:400", "#window=full"),
}


def run(kind: str, count: int, seed: int, folder: Path) -> dict[str, object]:
    """Opens `count` broken files of one kind. What is wrong (another error than ours) is listed with its number."""
    files = seeds(kind)
    outcomes: collections.Counter[str] = collections.Counter()
    wrong, slowest = [], 0.0
    path = folder / f"{kind}.img"
    for number in range(count):
        draw = random.Random(f"{kind}:{seed}:{number}")
        path.write_bytes(mutated(draw.choice(files), kind, draw, files))
        chosen = path.with_name(path.name + draw.choice(CHOICES.get(kind.split("_")[0], ("",))))
        faulthandler.dump_traceback_later(HANGS_AFTER_S, exit=True)
        started = time.process_time()
        try:
            load_image(chosen, 16)
            outcomes["opened"] += 1
        except ImageError as error:
            outcomes["refused" if path.name in str(error) and error.hint else "unnamed"] += 1
        except BaseException as error:  # the very thing that is looked for
            wrong.append(f"{kind}:{seed}:{number} {chosen.name}: {type(error).__name__}: {error}"[:300])
            outcomes["wrong"] += 1
        slowest = max(slowest, time.process_time() - started)
        faulthandler.cancel_dump_traceback_later()
    return {
        "kind": kind,
        "count": count,
        "outcomes": dict(outcomes),
        "wrong": wrong[:20],
        "slowest_s": round(slowest, 2),
        "most_gib": round(peak_memory(), 3),
    }


def peak_memory() -> float:
    """Most memory this process has held, in GiB. Linux's own figure of a process begins anew with its program, while
    `ru_maxrss` begins with what the process that started it held."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform != "darwin" else 2**30)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name in sys.argv[1].split(","):
        print(json.dumps(run(name, int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))), flush=True)
