"""What a decoded image shows at all: images of one even area, and maps of labels that were taken for images.

A heuristic, so its words are "looks like". A map of labels (a segmentation, a mask) has few values, and its pixels
mostly equal their neighbours; an image of a patient has noise. A mask that was saved as JPEG or resized has many
values, which lie close to two. docs/images.md has the measured rates.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

EVEN = 3  # of 255: an image whose values differ by no more is one even area; JPEG leaves as much in a flat one
TWO_TONES = "it has two tones and hardly anything between them: it looks like a mask or like text, not like an image"
NOTHING = "there is nothing to see: the whole image is one even area"
MOST_LABELS = 64
LEAST_EVEN = 0.6
"""Share of the pixels beside the background that equal their right, and their lower, neighbour, from which areas are
called even. A drawn ramp of greys is even in one of the two directions only."""

_NEAR, _APART = 8, 64  # of 255: what belongs to a tone, and how far the second tone is from the first
_LEAST_TONED = 0.97
"""Share of the pixels that have one of two tones, from which an image is called two-toned."""
_LEAST_SECOND = 0.6
"""Share of the pixels that have not the first tone and must have the second: a small image on black has not."""

_LEAST_PIXELS = 256  # fewer say nothing
_MOST_LOOKED_AT = 1 << 18
_BLOCK = 8  # rows
_SAMPLE = 4096  # pixels


def remarks(image: Image.Image) -> tuple[str, ...]:
    """Sentences about an image ("RGB" or "L") in which a model can see nothing; none for others."""
    rows = _rows(image)
    labels = _labels(rows)
    if labels:
        return (
            f"it looks like a map of labels (a segmentation or mask), not like an image: {labels} values in even areas",
        )
    if image.width * image.height < _LEAST_PIXELS:
        return ()
    if is_even(rows):
        return (NOTHING,)
    return (TWO_TONES,) if _is_two_toned(rows) else ()


def _is_two_toned(rows: NDArray[np.uint8]) -> bool:
    """True where nearly all pixels are close to one of two values, as in a mask after JPEG or a resizing."""
    brightest = rows if rows.ndim == 2 else rows.max(axis=2)
    shares = np.bincount(brightest.ravel(), minlength=256) / brightest.size
    near = np.convolve(shares, np.ones(2 * _NEAR + 1), "same")
    first = int(near.argmax())
    second = max(near[: max(0, first - _APART)].max(initial=0.0), near[first + _APART + 1 :].max(initial=0.0))
    return bool(near[first] + second >= _LEAST_TONED and second >= _LEAST_SECOND * (1 - near[first]))


def is_even(values: NDArray[np.uint8]) -> bool:
    """True where no channel of (rows, columns[, 3]) has values further apart than `EVEN`."""
    channels = np.moveaxis(values, 2, 0) if values.ndim == 3 else values[None]
    # Nearly every image shows something in its first rows of a few: told at once.
    return all(int(part.max()) - int(part.min()) <= EVEN for rows in (_BLOCK, 1) for part in channels[:, ::rows])


def looks_like_labels(image: Image.Image) -> bool:
    """True for an image ("RGB" or "L") of few values in even areas."""
    return _labels(_rows(image)) > 0


def _rows(image: Image.Image) -> NDArray[np.uint8]:
    """The image's values; of a large one whole blocks of rows from all over it, so that neighbours stay neighbours."""
    values: NDArray[np.uint8] = np.asarray(image)
    step = values.shape[0] * values.shape[1] // _MOST_LOOKED_AT
    if step < 2:
        return values
    some: NDArray[np.uint8] = values[np.arange(len(values)) // _BLOCK % step == 0]
    return some


def _labels(rows: NDArray[np.uint8]) -> int:
    """How many values a map of labels has; 0 where this is none."""
    count = rows.shape[0] * rows.shape[1]
    if count < _LEAST_PIXELS:
        return 0
    few = rows.reshape(count, -1)[:: -(-count // _SAMPLE)]
    if len(np.unique(_codes(few))) > MOST_LABELS:
        return 0  # an image of a patient, nearly always: told at once
    codes = _codes(rows.reshape(*rows.shape[:2], -1))
    values, counts = np.unique(codes, return_counts=True)
    if not 2 <= len(values) <= MOST_LABELS:
        return 0
    inside = codes != values[counts.argmax()]
    for first, second, part in (
        (codes[:, :-1], codes[:, 1:], inside[:, :-1]),
        (codes[:-1], codes[1:], inside[:-1]),
    ):
        equal = (first == second)[part]
        if not equal.size or float(equal.mean()) < LEAST_EVEN:
            return 0
    return len(values)


def _codes(values: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(..., channels) -> (...): one number for each colour."""
    codes = values[..., 0].astype(np.int32)
    for channel in range(1, values.shape[-1]):
        codes = codes << 8 | values[..., channel]
    return codes
