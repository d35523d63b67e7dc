"""The image that is really sent: itself, a blank one, or its own pixels in another order. No torch here.

A model behind an address is shown what `data.ablated_images` shows a network: a mid-grey image, or the pixels of the
image permuted, the three channels of a pixel together. Both have the size of the image, so that the model spends the
same number of tokens on them.
"""

import base64
import hashlib
import io
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from discern_vqa.files import atomic_write_text, from_json
from discern_vqa.imaging.fingerprints import content_digest
from discern_vqa.imaging.images import open_image

REAL, BLANK, NOISE = "real", "blank", "noise"
SENT = Path("outside") / "sent_images.json"
VERSION = 1
"""Of how images are made for sending."""
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
        return hashlib.sha256(self.png()).hexdigest()

    def source(self) -> str:
        """A digest of all that the bytes follow from, without opening the image: its file and what is chosen of it, and
        how it is shown."""
        name = self.name if self.what == NOISE else ""
        about = [content_digest(self.path).hex(), name, self.what, self.longest_side, self.seed, VERSION]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()

    def data_uri(self) -> str:
        """As an endpoint takes it. Raises ImageError."""
        return f"data:image/png;base64,{base64.b64encode(self.png()).decode('ascii')}"


def _image(shown: Shown) -> Image.Image:
    image = open_image(shown.path)
    if max(image.size) > shown.longest_side:
        scale = shown.longest_side / max(image.size)
        width, height = (max(1, round(side * scale)) for side in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    if shown.what == BLANK:
        return Image.new("RGB", image.size, (_GREY, _GREY, _GREY)).convert(image.mode)
    if shown.what == NOISE:
        seed = hashlib.sha256(f"noise:{shown.seed}:{shown.name}".encode()).digest()[:8]
        array = np.asarray(image)
        pixels = array.reshape(image.width * image.height, -1)
        order = np.random.default_rng(int.from_bytes(seed, "big")).permutation(len(pixels))
        return Image.fromarray(pixels[order].reshape(array.shape))
    return image


@lru_cache(maxsize=_KEPT)
def _png(shown: Shown) -> bytes:
    buffer = io.BytesIO()
    shown.image().save(buffer, "PNG", compress_level=1)  # the default takes four times as long for a tenth less
    return buffer.getvalue()


class SentImages:
    """The digests of images as they are sent, kept in a file: an interrupted evaluation goes on without making all of
    them anew."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._known: dict[str, str] = {}
        self._quick: dict[Shown, str] = {}
        self._is_new = False
        with suppress(OSError, ValueError):  # not there yet, or damaged: then it is made anew
            self._known = {str(key): str(value) for key, value in from_json(file.read_bytes()).items()}

    def digest(self, shown: Shown) -> str:
        """As `Shown.digest`. Raises ImageError."""
        if shown not in self._quick:
            source = shown.source()
            if source not in self._known:
                self._known[source] = shown.digest()
                self._is_new = True
            self._quick[shown] = self._known[source]
        return self._quick[shown]

    def save(self) -> None:
        """Writes the file where there is something new."""
        if self._is_new:
            atomic_write_text(self.file, json.dumps(self._known, indent=0))
            self._is_new = False
