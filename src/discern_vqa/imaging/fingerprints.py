"""What is remembered of an image file, to compare it with others: digests, its size, two small grey images. No torch.

    content   SHA-256 of the file (and of what is chosen of it): equal for copies of the file
    pixels    SHA-256 of the decoded pixels: equal for copies in another lossless format, grey or grey as colour
    thumbs    32 x 32 greys of the whole image, and of what is inside its frame (even borders cut away)

Only one image at a time is held in a process. Files are decoded by several processes when there is enough to do;
what they find goes into a cache as they go (`fingerprint_cache`), so that a search which was stopped goes on where
it was. `thumbnails` says how alike two fingerprints are, and `near_pairs` finds the pairs that are.
"""

import hashlib
import multiprocessing
import os
import signal
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discern_vqa.errors import DiscernError, ImageError
from discern_vqa.imaging.fingerprint_cache import Cache, Print
from discern_vqa.imaging.image_ref import split_choice
from discern_vqa.imaging.images import open_recorded
from discern_vqa.imaging.nifti_pair import partner

SIDE = 32
VIEWS = ("whole", "inner")

_BLACK = bytes(len(VIEWS) * SIDE * SIDE)  # the thumbnails of what cannot be opened
_ENOUGH = 256  # fewer new files than this are decoded here: two processes take as long to start
_CHUNK = 32
_STRIP = 64  # rows hashed at a time, so that a large image is not in memory twice
_FRAME_SIDE = 256  # the frame is looked for in an image reduced to this
_EVEN = 16  # grey levels: a row whose middle nine tenths differ by no more belongs to a frame (JPEG leaves waves in it)
_LEAST_INSIDE = 0.25  # of a side; if less were left inside the frame, the image is taken whole


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of n files, in the order of the paths; empty, 0 or black where one could not be decoded."""

    content: list[bytes]  # digest of each file; b"" where there is none to read
    pixels: list[bytes]  # digest of what was decoded
    sizes: NDArray[np.int32]  # (n, 2) width and height in pixels
    thumbs: NDArray[np.uint8]  # (n, 2, 32, 32) 8-bit greys, of the views `VIEWS`
    reasons: list[str]  # why a file could not be opened; "" where it could
    warnings: list[tuple[str, ...]]  # what a person should look at (see `decoded.DecodedImage`)

    def __len__(self) -> int:
        return len(self.content)


def fingerprints(
    paths: Sequence[Path],
    *,
    workers: int = 1,
    cache: Path | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Fingerprints:
    """The fingerprints of image files; those that cannot be opened carry the reason.

    Args:
        workers: processes that decode. More than one starts new interpreters: in a script of your own, call this
            under `if __name__ == "__main__":`.
        cache: file of the cache; None keeps nothing.
        progress: called with (done, total) as it goes.

    Raises DiscernError: the cache cannot be written, or a process was killed (usually for want of memory).
    """
    with Cache(cache) as known:
        prints = {index: stored for index, path in enumerate(paths) if (stored := known.get(path)) is not None}
        new = [index for index in range(len(paths)) if index not in prints]
        if prints:
            progress(len(prints), len(paths))
        chunks = [new[start : start + _CHUNK] for start in range(0, len(new), _CHUNK)]
        for chunk, decoded in zip(chunks, _decoded(paths, chunks, workers), strict=True):
            for index, decoded_print in zip(chunk, decoded, strict=True):
                prints[index] = decoded_print
                progress(len(prints), len(paths))
            # What cannot be opened today may be tomorrow, with another decoder installed.
            known.put({paths[index]: prints[index] for index in chunk if not prints[index].reason})
    ordered = [prints[index] for index in range(len(paths))]
    thumbs = bytearray().join(stored.thumbs for stored in ordered)
    return Fingerprints(
        content=[stored.content for stored in ordered],
        pixels=[stored.pixels for stored in ordered],
        sizes=np.array([stored.size for stored in ordered], np.int32).reshape(-1, 2),
        thumbs=np.frombuffer(thumbs, np.uint8).reshape(-1, len(VIEWS), SIDE, SIDE),
        reasons=[stored.reason for stored in ordered],
        warnings=[stored.warnings for stored in ordered],
    )


def workers_here() -> int:
    """How many processes this machine's cores can feed."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _decoded(paths: Sequence[Path], chunks: list[list[int]], workers: int) -> Iterator[list[Print]]:
    tasks: Iterable[list[Path]] = ([paths[index] for index in chunk] for chunk in chunks)
    if workers <= 1 or sum(map(len, chunks)) < _ENOUGH:
        yield from map(_fingerprints_of, tasks)
        return
    # "spawn": the caller may have threads (torch, BLAS), which a forked child would inherit in any state.
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=_leave_interrupts)
    try:
        yield from pool.map(_fingerprints_of, tasks)
    except BrokenProcessPool as error:
        raise DiscernError(
            "a process that decoded images was killed, most likely for want of memory",
            hint="run the same command again: what was read is kept (smaller copies of huge images help)",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the one that gave the work answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _fingerprints_of(paths: list[Path]) -> list[Print]:
    return [fingerprint(path) for path in paths]


def content_digest(path: Path) -> bytes:
    """SHA-256 of an image file, and of what is chosen of it; b"" of one that cannot be read: opening it says why."""
    try:
        return _content(path)
    except OSError:
        return b""


def _content(path: Path) -> bytes:
    """Two frames of a file are two images. Raises OSError."""
    file, choice = split_choice(path)
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe or a device may have no end
        raise OSError(f"{file} is no regular file")
    content = _file_digest(file, status.st_size, status.st_mtime_ns)
    if (other := partner(file)) is not None:  # two volumes of one series may have the same header
        status = other.stat()
        content = hashlib.sha256(content + _file_digest(other, status.st_size, status.st_mtime_ns)).digest()
    return hashlib.sha256(content + choice.encode()).digest() if choice else content


@lru_cache(maxsize=1024)  # the slices of a volume come one after the other
def _file_digest(file: Path, size: int, changed: int) -> bytes:
    """`size` and `changed` tell a file that was replaced while this program ran."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def fingerprint(path: Path) -> Print:
    """The fingerprint of one file; `reason` says why where it cannot be opened."""
    try:
        content = _content(path)
    except OSError as error:
        return Print(b"", b"", (0, 0), _BLACK, f"the image {path} cannot be read: {error.strerror}")
    try:
        opened = open_recorded(path)
    except ImageError as error:
        return Print(content, b"", (0, 0), _BLACK, str(error))
    image = opened.image
    if image.mode != "L":
        red, green, blue = image.split()
        if red.tobytes() == green.tobytes() == blue.tobytes():
            image = red
    grey = image.convert("L")
    thumbs = _small(grey) + _small(grey.crop(inner_box(grey)))
    return Print(content, _pixel_digest(image), image.size, thumbs, warnings=opened.warnings)


def _pixel_digest(image: Image.Image) -> bytes:
    width, height = image.size
    digest = hashlib.sha256(f"{image.mode} {width} {height}".encode())
    for top in range(0, height, _STRIP):
        digest.update(image.crop((0, top, width, min(height, top + _STRIP))).tobytes())
    return digest.digest()


def _small(image: Image.Image) -> bytes:
    """Area means: the same whatever the resolution that the image comes in."""
    return image.resize((SIDE, SIDE), Image.Resampling.BOX).tobytes()


def inner_box(grey: Image.Image) -> tuple[int, int, int, int]:
    """(left, upper, right, lower) of what is inside the frames of even rows and columns; the whole where none are."""
    scale = min(1.0, _FRAME_SIDE / max(grey.size))
    width, height = (max(1, round(side * scale)) for side in grey.size)
    values = np.asarray(grey.resize((width, height), Image.Resampling.BOX), np.int16)
    left, upper, right, lower, outer = 0, 0, width, height, None
    while outer != (left, upper, right, lower):  # within a film's black edge there may be another frame
        outer = (left, upper, right, lower)
        inside = values[upper:lower, left:right]
        columns, rows = _uneven(inside.T), _uneven(inside)
        if min(len(columns) / width, len(rows) / height) < _LEAST_INSIDE:
            return (0, 0, *grey.size)
        left, right = left + int(columns[0]), left + int(columns[-1]) + 1
        upper, lower = upper + int(rows[0]), upper + int(rows[-1]) + 1
    across, down = grey.width / width, grey.height / height
    return round(left * across), round(upper * down), round(right * across), round(lower * down)


def _uneven(lines: NDArray[np.int16]) -> NDArray[np.intp]:
    """Which lines are no part of a frame. A tag or a letter in it, a tenth of a line long, does not make it uneven."""
    end = round(0.05 * (lines.shape[1] - 1))
    ranked = np.partition(lines, (end, -1 - end), axis=1)
    return np.flatnonzero(ranked[:, -1 - end] - ranked[:, end] > _EVEN)
