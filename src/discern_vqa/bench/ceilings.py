"""What the machine does at most: matrix products, copies, and opening of images, by the plainest loops there are.

The best of several rounds counts: it is nearest to what the machine can do while other work comes and goes.
"""

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from PIL import Image

from discern_vqa.nn.precision import bfloat16_in_hardware

SHAPES = {
    "phantom": (1_440, 128, 512),
    "lite": (4_736, 192, 768),
    "base": (4_064, 512, 2_048),
    "square": (2_048, 2_048, 2_048),
}
"""rows, inner, columns: the first layer of RecNet's feed-forward networks at the batches of three recipes, and a
square."""
COPIED = 2**25
"""float32 numbers copied: more than any cache holds."""
SIDE = 512
"""Of the image that is opened, in pixels: a radiograph as VQA-RAD has them."""
ROUNDS, SECONDS = 7, 2.0
"""So many rounds of each, or as many as fit into the seconds."""


@dataclass(frozen=True)
class Ceilings:
    """Highest speeds, per second."""

    products: dict[str, float]  # precision and shape -> operations
    copied: float  # bytes read and written
    jpeg: float  # images opened by Pillow
    dicom: float | None  # by pydicom; None where it is not installed

    @classmethod
    def measured(cls) -> "Ceilings":
        """Of this machine, on its GPU if it has one."""
        products = {}
        for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
            # Where bfloat16 is only imitated, a larger product takes minutes.
            shapes = SHAPES if dtype == torch.float32 or bfloat16_in_hardware() else {"phantom": SHAPES["phantom"]}
            for name, shape in shapes.items():
                products[f"{precision} {name}"] = _product(*shape, dtype)
        return cls(products, _copy(), _opened(jpeg_image(), _open_jpeg), _dicom_rate())

    def product(self, precision: str = "fp32") -> float:
        """Operations per second of the best product, whatever its shape."""
        return max(speed for name, speed in self.products.items() if name.startswith(precision))

    def named(self, name: str) -> float:
        """The ceiling of a stage."""
        speeds = {"fp32 products": self.product(), "JPEG images": self.jpeg, "DICOM files": self.dicom or 0.0}
        return speeds[name]

    def as_json(self) -> dict[str, dict[str, Any]]:
        """name -> per_second, unit."""
        rows = {}
        for name, speed in self.products.items():
            precision, shape = name.split()
            size = " x ".join(f"{side:,}" for side in SHAPES[shape])
            rows[f"{precision} product {size}"] = {"per_second": round(speed / 1e9, 2), "unit": "GFLOP"}
        rows["memory copied (read and written)"] = {"per_second": round(self.copied / 1e9, 2), "unit": "GB"}
        rows[f"JPEG images of {SIDE} pixels, by Pillow"] = {"per_second": round(self.jpeg, 1), "unit": "images"}
        if self.dicom is not None:
            rows[f"DICOM files of {SIDE} pixels, by pydicom"] = {"per_second": round(self.dicom, 1), "unit": "files"}
        return rows


def best_of(run: Callable[[], object], seconds: float = SECONDS) -> float:
    """Seconds of the fastest of up to `ROUNDS` rounds, after one to warm up."""
    return min(rounds_of(run, seconds))


def rounds_of(run: Callable[[], object], seconds: float = SECONDS) -> list[float]:
    """Seconds of each of up to `ROUNDS` rounds that fit into `seconds`, at least two, after one to warm up."""
    run()
    _settle()
    taken: list[float] = []
    while len(taken) < 2 or (len(taken) < ROUNDS and sum(taken) < seconds):
        started = time.perf_counter()
        run()
        _settle()
        taken.append(time.perf_counter() - started)
    return taken


def jpeg_image() -> bytes:
    """A soft-edged grey disc with noise, as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(image().astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def dicom_file() -> bytes:
    """The same image as an uncompressed DICOM file of 16 bits. Needs pydicom."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    data, meta = Dataset(), FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.PhotometricInterpretation = "OT", "MONOCHROME2"
    data.Rows = data.Columns = SIDE
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelData = (16 * image()).astype("<u2").tobytes()
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def image() -> np.ndarray:
    """(SIDE, SIDE) grey values from 0 to 255."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / (SIDE / 2) - 1
    disc = 200 / (1 + np.exp(20 * (np.hypot(rows, columns) - 0.7)))
    return np.clip(disc + np.random.default_rng(0).normal(20, 8, disc.shape), 0, 255)


def has_pydicom() -> bool:
    return find_spec("pydicom") is not None


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _product(rows: int, inner: int, columns: int, dtype: torch.dtype) -> float:
    left = torch.randn(rows, inner, device=device(), dtype=dtype)
    right = torch.randn(inner, columns, device=device(), dtype=dtype)
    return 2.0 * rows * inner * columns / best_of(lambda: left @ right)


def _copy() -> float:
    source, target = torch.ones(COPIED, device=device()), torch.zeros(COPIED, device=device())
    return 2.0 * 4 * COPIED / best_of(lambda: target.copy_(source))


def _opened(content: bytes, open_one: Callable[[bytes], object], times: int = 20) -> float:
    return times / best_of(lambda: [open_one(content) for _ in range(times)])


def _open_jpeg(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def _dicom_rate() -> float | None:
    if not has_pydicom():
        return None
    import pydicom

    return _opened(dicom_file(), lambda content: pydicom.dcmread(io.BytesIO(content)).pixel_array)


def _settle() -> None:
    """On a GPU the work that was handed over is waited for."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
