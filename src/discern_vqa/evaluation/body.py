"""How much of a heat map's weight lies outside the body, where an image shows the body before a black background. No
torch.

The body is the largest connected region that is not nearly black, with its holes filled: a table, a marker or letters
at the border are no part of it. An image that shows no background (many radiographs) has no outside.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from discern_vqa.evaluation.heatmaps import Map, Mask, canvas, on_picture

_BLACK = 0.06
"""Of the brightest grey: noise of a scanner's background is darker, the lungs of a CT in their usual window too; these
are holes that are filled."""
_LEAST, _MOST = 0.05, 0.9
"""A region that covers less of the image, or more, says nothing of a body and its background."""
_MARGIN = 3
"""Pixels that are counted to the body around it, since dark fat and skin are missed."""
MOSTLY = 0.5


def outside_body(picture: Image.Image, grid: Map) -> float | None:
    """The share of the weight outside the body, in [0, 1]; None where the image does not tell them apart."""
    width, height = canvas(*picture.size)
    inside = body(picture.convert("L").resize((width, height), Image.Resampling.BILINEAR))
    weights = on_picture(grid, width, height)
    total = float(weights.sum())
    if inside is None or total <= 0:
        return None
    return float(weights[~inside].sum()) / total


def body(grey: Image.Image) -> Mask | None:
    """(h, w) bool: where the body is; None where it is not told from a background."""
    values = np.asarray(grey, dtype=np.float64)
    bright = ndimage.binary_opening(values > _BLACK * max(1.0, float(values.max())), iterations=2)
    labels, count = ndimage.label(bright)
    if not count:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    largest = ndimage.binary_dilation(labels == 1 + int(sizes.argmax()), iterations=_MARGIN)
    filled: Mask = ndimage.binary_fill_holes(largest)
    return filled if _LEAST < float(filled.mean()) < _MOST else None


def warning(picture: Image.Image, grid: Map) -> str:
    """A sentence where most of the weight lies outside the body; "" elsewhere."""
    share = outside_body(picture, grid)
    if share is None or share <= MOSTLY:
        return ""
    return f"most of the weight, {100 * share:.0f} %, lies outside the body: the answer does not rest on what it shows"
