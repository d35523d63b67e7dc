"""JPEG Lossless frames of 2048 x 2048 points with 16 bits: how long the decoder of DICOM files takes for one.

    python benchmarks/lossless_jpeg.py [--size 2048] [--repeats 5] [--other FILE]

`--other` names a module with a function `decode(encoded)`, to be timed on the same streams in the same run.
"""

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import imagecodecs
import numpy as np

from discern_vqa.imaging import dicom_codecs


def scene(size: int) -> np.ndarray:
    """Smooth greys of 16 bits with noise in the lower ones, as a detector gives them."""
    y, x = np.mgrid[:size, :size] / size
    field = 30000 + 20000 * np.sin(9 * x) * np.cos(7 * y) + np.random.default_rng(0).normal(0, 60, (size, size))
    return field.astype(np.uint16)


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The median processor time of a call."""
    taken = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def main() -> None:
    """Prints a line for each of the predictors 1 and 6."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--other", type=Path)
    given = parser.parse_args()
    values = scene(given.size)
    runner = SimpleNamespace(
        rows=given.size, columns=given.size, samples_per_pixel=1, transfer_syntax="", set_option=lambda *_: None
    )
    for predictor in (1, 6):
        encoded = imagecodecs.jpeg8_encode(values, lossless=True, bitspersample=16, predictor=predictor)
        pixels = np.frombuffer(dicom_codecs.decode_frame(encoded, runner), np.uint16)
        assert np.array_equal(pixels, values.ravel())
        here = seconds(lambda stream=encoded: dicom_codecs.decode_frame(stream, runner), given.repeats)
        line = f"predictor {predictor}: {len(encoded):,} bytes, {here:.3f} s"
        if given.other:
            spec = importlib.util.spec_from_file_location("other", given.other)
            other = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(other)
            assert np.array_equal(other.decode(encoded).ravel(), values.ravel())
            there = seconds(lambda stream=encoded, module=other: module.decode(stream), 1)
            line += f"; {given.other.name} {there:.2f} s, {there / here:.0f} times as long"
        print(line)


if __name__ == "__main__":
    main()
