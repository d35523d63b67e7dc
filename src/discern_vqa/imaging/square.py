"""Pixels that are not square in the patient are made square, for DICOM and NIfTI alike."""

import math

from PIL import Image

from discern_vqa.imaging.content import looks_like_labels

_MOST_STRETCHED = 20.0
"""A pixel more than so many times as long as wide is taken for a mistake of the file."""

_LEAST_STRETCHED = 0.01
"""Below one per cent nobody sees it, and measured spacings differ in their last digits."""

_MOST_PIXELS = 4 * 10**7


def square_pixels(image: Image.Image, across: float, down: float) -> tuple[Image.Image, str]:
    """The image with as many pixels to the millimetre down as across, and what was done; unchanged, and "", where
    pixels are square or the spacing is absurd.

    The shorter side is enlarged, so that nothing is lost. A map of labels keeps its values: there is nothing between
    two labels.

    Args:
        across: distance between the centres of two columns, in any unit.
        down: the same for rows, in the same unit.
    """
    ratio = down / across if across > 0 and math.isfinite(across) and math.isfinite(down) else math.nan
    if not 1 / _MOST_STRETCHED < ratio < _MOST_STRETCHED or abs(ratio - 1) < _LEAST_STRETCHED:
        return image, ""
    width, height = image.size
    size = (width, round(height * ratio)) if ratio > 1 else (round(width / ratio), height)
    if math.prod(size) > _MOST_PIXELS:
        return image, ""
    method = Image.Resampling.NEAREST if looks_like_labels(image) else Image.Resampling.BICUBIC
    return image.resize(size, method), f"pixels of {across:.3g} x {down:.3g} made square"
