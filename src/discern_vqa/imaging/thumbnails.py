"""How alike two images are, judged by their 32 x 32 grey thumbnails. No torch here.

    grey       correlation of the grey values
    edges      correlation of the edges' directions: of each pixel's gradient, divided by its own length
    similarity   the mean of the two

Grey alone is misled by what many images share: the round field of an angiography or the black around a head weigh
more than what is inside. Edges alone are misled by a shift of half a pixel. `NEAR` was chosen on SLAKE, as the least
value at which 98 % of the pairs are neighbouring slices (docs/audit.md has the figures).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

NEAR = 0.91  # similarity from which two images are called near-identical: the same image, or neighbouring slices

SAME_GREY = 0.98
"""Grey correlation from which they are called so too, whatever the similarity: the measure that others have used."""

_FAINT = 4.0  # grey levels: edges weaker than this count less, so that noise has no direction
_FLAT = 0.5  # grey levels: a thumbnail with a lower standard deviation shows nothing, and is like no other
_SQUARE = 8
_BLOCK = 4096


def grey(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 32, 32) -> (n, 1024), of unit length: the product of two rows is the correlation of their greys."""
    values = thumbs.reshape(len(thumbs), -1).astype(np.float32)
    return _standard(values, least=_FLAT)


def edges(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 32, 32) -> (n, 2048), of unit length: the product of two rows is the correlation of their directions."""
    down, right = np.gradient(thumbs.astype(np.float32), axis=(1, 2))
    length = np.sqrt(down * down + right * right) + _FAINT
    both = np.concatenate([(right / length).reshape(len(thumbs), -1), (down / length).reshape(len(thumbs), -1)], axis=1)
    return _standard(both, least=1e-3)


def features(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 32, 32) -> (n, 3072), of unit length: the product of two rows is their similarity."""
    both = np.concatenate([grey(thumbs), edges(thumbs)], axis=1)
    both *= np.float32(0.5**0.5)
    return both


def shows_something(thumbs: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(n, 32, 32) -> (n,): False for an image of one even area, which is like no other."""
    blocks = [np.any(grey(thumbs[start : start + _BLOCK]), axis=1) for start in range(0, len(thumbs), _BLOCK)]
    return np.concatenate(blocks) if blocks else np.zeros(0, bool)


def perceptual_hash(thumbs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, 32, 32) -> (n, 8): 64 bits, which of the slowest 8 x 8 cosine waves are above their median.

    Shown beside a pair and not a rule of its own: of SLAKE's pairs that differ in at most 4 bits, 11 % are strangers.
    """
    waves = dctn(thumbs.astype(np.float32), axes=(1, 2))[:, :_SQUARE, :_SQUARE].reshape(len(thumbs), -1)
    waves[:, 0] = 0  # the mean grey says nothing
    return np.packbits(waves > np.median(waves[:, 1:], axis=1, keepdims=True), axis=1)


def hash_distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(n, 8), (n, 8) -> (n,): the bits in which the hashes differ, 0 to 64."""
    bits: NDArray[np.int64] = np.bitwise_count(one ^ other).sum(axis=-1).astype(np.int64)
    return bits


def _standard(values: NDArray[np.float32], least: float) -> NDArray[np.float32]:
    """Rows of mean 0 and length 1; a row whose standard deviation is below `least` becomes 0."""
    values = values - values.mean(axis=1, keepdims=True)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    shows = length >= least * values.shape[1] ** 0.5
    rows: NDArray[np.float32] = np.divide(values, length, out=np.zeros_like(values), where=shows)
    return rows
