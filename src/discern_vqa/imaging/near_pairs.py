"""Near-identical images among many: all pairs, exactly, in blocks, within little memory. No torch here.

A pair is near-identical when its `similarity` reaches `NEAR` in one of the two views (whole, inside its frame), or its
grey correlation as a whole reaches `SAME_GREY` (see `imaging.thumbnails`).

The search compares every pair and misses none. With P the first axes of the set's principal components, and r(x) the
length of what they leave of a unit vector x, Cauchy and Schwarz give

    x . y  <=  Px . Py + r(x) r(y)

The right side is a product of rows of 65 numbers instead of 3,072. Where it stays below the threshold, so does the
similarity; the few pairs that remain are computed in full. Blocks of 2,048 images are compared at a time.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from discern_vqa.imaging.thumbnails import NEAR, SAME_GREY, features, grey

Floats = NDArray[np.float32]
Features = Callable[[NDArray[np.uint8]], Floats]

_BLOCK = 2048
_PRODUCTS = 4096  # pairs multiplied out at a time
_AXES: dict[Features, int] = {features: 64, grey: 32}
_SAMPLE = 600  # images from which the axes are taken; they decide the speed, never what is found
_SLACK = 1e-4  # above the rounding of 32-bit products


@dataclass(frozen=True)
class Pairs:
    """n pairs: the places of their images, the similarity of their better view, their grey correlation as a whole."""

    one: NDArray[np.int64]
    other: NDArray[np.int64]
    likeness: Floats
    grey: Floats

    def __len__(self) -> int:
        return len(self.one)

    def chosen(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Pairs":
        """Some of the pairs, by a mask (n,) or by their numbers."""
        return Pairs(self.one[rows], self.other[rows], self.likeness[rows], self.grey[rows])


def near_pairs(
    thumbs: NDArray[np.uint8],
    others: NDArray[np.uint8] | None = None,
    *,
    above: float = NEAR,
    same_grey: float = SAME_GREY,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Pairs]:
    """The near-identical pairs, block by block, in a fixed order.

    thumbs (n, views, 32, 32), as in `Fingerprints`. others (m, views, 32, 32): pairs of one of each set; None: pairs
    within `thumbs`, each once, one < other. above: least similarity, in any view. same_grey: least grey correlation of
    the first view; 2 switches this rule off. progress: called with (done, total) blocks.
    """
    sides = [thumbs] if others is None else [thumbs, others]
    if not all(map(len, sides)):
        return
    rules = [(features, view, above) for view in range(thumbs.shape[1])] + [(grey, 0, same_grey)]
    bounds = [_bounds(sides, compute, view) for compute, view, _ in rules]
    blocks = [
        (top, left)
        for top in range(0, len(sides[0]), _BLOCK)
        for left in range(top if others is None else 0, len(sides[-1]), _BLOCK)
    ]
    for done, (top, left) in enumerate(blocks, start=1):
        one, other = _candidates(bounds, [least for _, _, least in rules], top, left, within=others is None)
        if len(one):
            pairs = in_full(sides[0], sides[-1], one, other)
            keep = (pairs.likeness >= above) | (pairs.grey >= same_grey)
            if keep.any():
                yield pairs.chosen(keep)
        progress(done, len(blocks))


def near_vectors(
    vectors: Floats, others: Floats | None, above: float, block: int = _BLOCK
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]:
    """The same for rows of unit length, such as an encoder's: (one, other, cosine) of the pairs, block by block."""
    right = vectors if others is None else others
    for top in range(0, len(vectors), block):
        for left in range(top if others is None else 0, len(right), block):
            cosine = vectors[top : top + block] @ right[left : left + block].T
            one, other = np.nonzero(cosine >= above)
            keep = np.full(len(one), True) if others is not None else one + top < other + left
            one, other = one[keep], other[keep]
            if len(one):
                yield one + top, other + left, cosine[one, other]


def _bounds(sides: list[NDArray[np.uint8]], compute: Features, view: int) -> list[Floats]:
    """(n, axes + 1) of each side: the product of two rows is at least the product of their features."""
    step = max(1, sum(map(len, sides)) // _SAMPLE)
    sample = np.concatenate([compute(side[::step, view]) for side in sides])
    # The leading eigenvectors of the columns' product, from the smaller product of the rows.
    leading = np.linalg.eigh(sample @ sample.T)[1][:, -_AXES[compute] :]
    axes = np.ascontiguousarray(np.linalg.qr(sample.T @ leading)[0])
    return [_projected(side[:, view], compute, axes) for side in sides]


def _projected(thumbs: NDArray[np.uint8], compute: Features, axes: Floats) -> Floats:
    out = np.empty((len(thumbs), axes.shape[1] + 1), np.float32)
    for start in range(0, len(thumbs), _BLOCK):
        full = compute(thumbs[start : start + _BLOCK])
        inside = full @ axes
        rest = np.einsum("nd,nd->n", full, full) - np.einsum("nd,nd->n", inside, inside)
        out[start : start + _BLOCK, :-1] = inside
        out[start : start + _BLOCK, -1] = np.sqrt(np.maximum(rest, 0) + _SLACK)
    return out


def _candidates(
    bounds: list[list[Floats]], least: list[float], top: int, left: int, within: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of the pairs of a block that some rule's bound does not rule out."""
    rows, columns = slice(top, top + _BLOCK), slice(left, left + _BLOCK)
    possible = np.zeros((len(bounds[0][0][rows]), len(bounds[0][-1][columns])), bool)
    for sides, threshold in zip(bounds, least, strict=True):
        if threshold <= 1:
            possible |= sides[0][rows] @ sides[-1][columns].T >= threshold - _SLACK
    one, other = np.nonzero(np.triu(possible, 1) if within and top == left else possible)
    return one + top, other + left


def in_full(
    thumbs: NDArray[np.uint8], others: NDArray[np.uint8], one: NDArray[np.int64], other: NDArray[np.int64]
) -> Pairs:
    """The given pairs of an image of `thumbs` and one of `others`, whatever their similarity."""
    best = np.full(len(one), -1, np.float32)
    for view in range(thumbs.shape[1]):
        np.maximum(best, _products([thumbs, others], one, other, features, view), out=best)
    return Pairs(one, other, best, _products([thumbs, others], one, other, grey, 0))


def _products(
    sides: list[NDArray[np.uint8]], one: NDArray[np.int64], other: NDArray[np.int64], compute: Features, view: int
) -> Floats:
    """The product of the features of each pair, (pairs,)."""
    rows, row_of = np.unique(one, return_inverse=True)
    columns, column_of = np.unique(other, return_inverse=True)
    left, right = compute(sides[0][rows, view]), compute(sides[-1][columns, view])
    if len(one) > len(rows) * len(columns) // 16:  # many: multiplying all is quicker than gathering
        return (left @ right.T)[row_of, column_of]
    out = np.empty(len(one), np.float32)
    for start in range(0, len(one), _PRODUCTS):
        part = slice(start, start + _PRODUCTS)
        out[part] = np.einsum("nd,nd->n", left[row_of[part]], right[column_of[part]])
    return out
