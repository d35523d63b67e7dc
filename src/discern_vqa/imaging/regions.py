"""Where something lies in an image: the organs and findings that a data set marks, as boxes and masks. No torch here.

A reader whose data set marks regions has `regions(root, image) -> list[Region]`, with `image` as in `Sample.image`.
A sample's own `mask` is something else: the one finding that its answer rests on.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from discern_vqa.errors import DataError
from discern_vqa.imaging.images import open_image

Box = tuple[float, float, float, float]
"""x, y, width, height in pixels of the image as stored; x and y count from its upper left corner."""


@dataclass(frozen=True, kw_only=True)
class Region:
    """Everything in one image that carries one label."""

    label: str  # as the data set has it ("Left Kidney")
    is_finding: bool  # a lesion or another finding, not an organ
    boxes: tuple[Box, ...] = ()  # one for each part of it; none where only the mask shows it
    mask: Path | None = None  # a PNG of the image's size; None where only boxes show the region
    value: int = 0  # the grey value of `mask` that is this region; 0: every pixel that is not black

    def pixels(self, width: int, height: int) -> NDArray[np.bool_]:
        """True where the region is, (height, width): its mask, or its boxes filled where there is no mask.

        Raises DataError when the mask is not of that size, and ImageError when it cannot be opened.
        """
        if self.mask is None:
            inside = np.zeros((height, width), dtype=bool)
            for x, y, wide, high in self.boxes:
                left, top = max(0, round(x)), max(0, round(y))
                inside[top : max(top, round(y + high)), left : max(left, round(x + wide))] = True
            return inside
        values = label_map(self.mask)
        if values.shape != (height, width):
            size = f"{values.shape[1]} x {values.shape[0]}"
            raise DataError(
                f"the mask {self.mask} has {size} pixels, its image {width} x {height}", hint="fetch the mask again"
            )
        return values == self.value if self.value else values > 0


def label_map(path: Path) -> NDArray[np.uint8]:
    """The grey values of a mask, (height, width). Raises ImageError when it cannot be opened."""
    return np.asarray(open_image(path).convert("RGB"), dtype=np.uint8)[..., 0]
