"""What a heat map is worth, as plain arrays: does it hit the evidence, how much of it lies there, how the answer
changes with what it calls important. No torch here; docs/explanations.md says each in words.

A map comes as (h, w) over the square that a model looks at: the image with borders that make its sides equal.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt
from scipy.stats import rankdata

Map = NDArray[np.float64]
Mask = NDArray[np.bool_]

TOLERANCE = 0.03
"""Of the image's longer side. The pointing game's own 15 pixels are 3 % of the photographs it was made for."""
CANVAS = 256  # larger images are judged at this longer side
STEPS = 20  # of a curve
KEPT = 24  # side of the maps that are kept in files


def canvas(width: int, height: int) -> tuple[int, int]:
    """(width, height) at which an image of this size is judged."""
    scale = min(1.0, CANVAS / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def on_picture(grid: Map, width: int, height: int, how: Image.Resampling = Image.Resampling.BILINEAR) -> Map:
    """The map over the image alone, (height, width): enlarged, as a rule bilinearly, the square's borders cut off."""
    side = max(width, height)
    whole = resized(grid, side, side, how)
    left, top = (side - width) // 2, (side - height) // 2
    return whole[top : top + height, left : left + width]


def resized(grid: Map | Mask, width: int, height: int, how: Image.Resampling = Image.Resampling.BILINEAR) -> Map:
    """(h, w) -> (height, width); bilinear averages where it shrinks."""
    image = Image.fromarray(np.asarray(grid, dtype=np.float32)).resize((width, height), how)
    return np.asarray(image, dtype=np.float64)


def kept(grid: Map) -> Map:
    """For files: at most 24 cells a side, scaled to [0, 1]."""
    return scaled(resized(grid, KEPT, KEPT) if max(grid.shape) > KEPT else grid)


def scaled(grid: Map) -> Map:
    """The map from 0 to 1; a flat map is all 0."""
    low, high = float(grid.min()), float(grid.max())
    return (grid - low) / (high - low) if high > low else np.zeros_like(grid)


def shrunk(mask: Mask, width: int, height: int) -> Mask:
    """A mask at another size: where half of a pixel is covered; any part of it where nothing else would be left."""
    if mask.shape == (height, width):
        return mask
    share = resized(mask, width, height, Image.Resampling.BOX)
    inside: Mask = share >= 0.5
    return inside if inside.any() else share > 0


def within_reach(mask: Mask) -> Mask:
    """The mask and what is within the tolerance of it: where pointing counts as a hit."""
    if not mask.any():
        return mask
    reached: Mask = distance_transform_edt(~mask) <= TOLERANCE * max(mask.shape)
    return reached


def points_into(values: Map, reach: Mask) -> bool:
    """Whether the map's greatest value lies in `reach` (of `within_reach`). A flat map hits nothing: no hit."""
    return bool(values.max() > values.min() and reach.flat[values.argmax()])


def energy(values: Map, mask: Mask) -> float:
    """The share of the map's weight that lies in the mask; 0 of an empty map. Weights are not negative."""
    values = values.clip(min=0)
    total = float(values.sum())
    return float(values[mask].sum()) / total if total > 0 else 0.0


def area(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """The area under curves (..., STEPS + 1) whose values are evenly spaced over [0, 1]: the mean height."""
    return np.asarray(np.trapezoid(curve, dx=1 / (curve.shape[-1] - 1), axis=-1))


def rank_correlation(one: Map, other: Map) -> float:
    """Spearman's, over the places of two maps of one shape; 0 where one of them is flat."""
    a, b = rankdata(one), rankdata(other)
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
