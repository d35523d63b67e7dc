"""Text that is burned into an image: names and dates that no dropping of tags takes out. A heuristic, not a promise.

Letters are small, thin, sharp strokes of one brightness that stand in a row on one base line. So: what a small
opening takes away (the white, and the black, top hat) is thresholded, its connected pieces of a letter's size are kept,
and neighbours of like height on one base line are joined; four or five of them that fill a line like letters do are
called text. docs/images.md has the measured hit rate and false alarm rate (`benchmarks/burned_in_text.py`). Single side
markers (L, R) and arrows are not looked for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

SIDES = (1024, 448)
"""Longest side of the copies that are looked at: small letters are found in the first, large ones in the second."""

STROKE = 7  # pixels: strokes thinner than this are taken away by the opening
CONTRAST = 70  # of 255: how far a stroke stands out from what is around it
FEWEST, FEWEST_INSIDE = 4, 5
"""Letters in a row that are called text: near the image's edge, where text stands, and inside, where bowel and bone
make rows of four now and then."""
EDGE = 0.2  # share of width and height that counts as near the edge


@dataclass(frozen=True)
class Line:
    """A row of letters: its place in pixels of the whole image, and how many pieces it is made of."""

    left: int
    top: int
    right: int
    bottom: int
    letters: int


def text_lines(image: Image.Image) -> list[Line]:
    """Rows of letters in an image, the longest first; empty where none is found."""
    grey = image.convert("L")
    lines = []
    for number, side in enumerate(SIDES):
        scale = max(grey.size) / side
        if scale <= 1 and number:
            continue  # it was looked at as it is
        size = max(1, round(grey.width / scale)), max(1, round(grey.height / scale))
        copy = grey.resize(size, Image.Resampling.BOX) if scale > 1 else grey
        values, factor = np.asarray(copy), max(1.0, scale)
        for turned in (values, 255 - values):
            for row in _rows(_pieces(turned)):
                corners = np.concatenate([row[:, :2].min(axis=0), row[:, 2:].max(axis=0)])
                left, top, right, bottom = (int(at * factor) for at in corners.tolist())
                if len(row) >= FEWEST_INSIDE or _near_edge((left + right) / 2, (top + bottom) / 2, grey.size):
                    lines.append(Line(left, top, right, bottom, len(row)))
    return sorted(lines, key=lambda line: -line.letters)


def _near_edge(across: float, down: float, size: tuple[int, int]) -> bool:
    return any(at < EDGE * side or at > (1 - EDGE) * side for at, side in zip((across, down), size, strict=True))


def _pieces(values: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(pieces, 4) boxes (left, top, right, bottom) of the letter-sized strokes that are brighter than around them."""
    hat = values - ndimage.grey_opening(values, size=(STROKE, STROKE))
    labels, count = ndimage.label(hat > CONTRAST, structure=np.ones((3, 3)))
    if not count:
        return np.empty((0, 4), dtype=np.int64)
    area = np.bincount(labels.ravel())[1:]
    slices = ndimage.find_objects(labels)
    boxes: NDArray[np.int64] = np.array([(x.start, y.start, x.stop, y.stop) for y, x in slices], dtype=np.int64)
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    fill = area / (width * height)
    is_letter = (height >= 5) & (height <= 48) & (width <= 2.2 * height) & (area >= 6) & (fill > 0.15)
    letters: NDArray[np.int64] = boxes[is_letter]
    return letters


def _rows(boxes: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Pieces joined to rows (letters, 4): like heights, one base line, gaps no wider than a letter."""
    order = boxes[np.argsort(boxes[:, 0], kind="stable")]
    rows: list[list[NDArray[np.int64]]] = []
    for box in order:
        best = None
        for row in rows:
            last = row[-1]
            height = max(last[3] - last[1], box[3] - box[1])
            gap = box[0] - last[2]
            if -2 <= gap <= 1.2 * height and _alike(last, box) and (best is None or gap < best[0]):
                best = (gap, row)
        if best is None:
            rows.append([box])
        else:
            best[1].append(box)
    return [row for row in map(np.array, rows) if _is_text(row)]


def _alike(one: NDArray[np.int64], other: NDArray[np.int64]) -> bool:
    heights = one[3] - one[1], other[3] - other[1]
    low, high = min(heights), max(heights)
    on_line = abs(one[3] - other[3]) <= max(1.5, 0.2 * high)
    return bool(on_line and high <= 1.8 * low + 1)


def _is_text(row: NDArray[np.int64]) -> bool:
    if len(row) < FEWEST:
        return False
    height, width = row[:, 3] - row[:, 1], row[:, 2] - row[:, 0]
    typical = float(np.median(height))
    if float(np.median(np.abs(row[:, 3] - np.median(row[:, 3])))) > 1:
        return False
    length = row[-1, 2] - row[0, 0]
    return bool(length >= 1.8 * typical and 0.35 <= width.sum() / length <= 1.1)
