"""The image that is really sent: itself, a blank one, or its own pixels in another order. No torch here.

A model behind an address is shown what `data.ablated_images` shows a network: a mid-grey image, or the pixels of the
image permuted, the three channels of a pixel together. Both have the size of the image, so that the model spends the
same number of tokens on them.
"""

import base64
import hashlib
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from discern_vqa.imaging.images import open_image

REAL, BLANK, NOISE = "real", "blank", "noise"
_GREY = 128
_KEPT = 48
"""Images that are kept as they were sent: the questions about an image come one after the other. At most some 100 MB.
"""


@dataclass(frozen=True)
class Shown:
    """An image file and what is shown of it."""

    path: Path
    name: str  # the image's identity, from which the order of the pixels in `NOISE` follows
    what: str = REAL
    longest_side: int = 1024
    seed: int = 0

    def image(self) -> Image.Image:
        """ "RGB", 8 bits, upright. Raises ImageError."""
        return _image(self)

    def png(self) -> bytes:
        """The bytes that are sent. Raises ImageError."""
        return _png(self)

    def digest(self) -> str:
        """SHA-256 of these bytes. Raises ImageError."""
        return _digest(self)

    def data_uri(self) -> str:
        """As an endpoint takes it. Raises ImageError."""
        return f"data:image/png;base64,{base64.b64encode(self.png()).decode('ascii')}"


def _image(shown: Shown) -> Image.Image:
    image = open_image(shown.path).convert("RGB")
    if max(image.size) > shown.longest_side:
        scale = shown.longest_side / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    if shown.what == BLANK:
        return Image.new("RGB", image.size, (_GREY, _GREY, _GREY))
    if shown.what == NOISE:
        seed = hashlib.sha256(f"noise:{shown.seed}:{shown.name}".encode()).digest()[:8]
        pixels = np.asarray(image).reshape(-1, 3)
        order = np.random.default_rng(int.from_bytes(seed, "big")).permutation(len(pixels))
        return Image.fromarray(pixels[order].reshape(image.height, image.width, 3))
    return image


@lru_cache(maxsize=_KEPT)
def _png(shown: Shown) -> bytes:
    buffer = io.BytesIO()
    shown.image().save(buffer, "PNG", compress_level=1)  # the default takes four times as long for a tenth less
    return buffer.getvalue()


@lru_cache(maxsize=100_000)
def _digest(shown: Shown) -> str:
    return hashlib.sha256(_png(shown)).hexdigest()
