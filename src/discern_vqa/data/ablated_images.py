"""Image sources that hide what the images show: uniform grey, or shuffled pixels. For controls of a trained model.

Both wrap the run's own source and have the same interface (see `sources.ImageSource`): they return pixels where the
model reads pixels, and states of its frozen encoder where it reads states.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from discern_vqa.data.answering_sources import AnsweringStates
from discern_vqa.data.sources import Key, PixelSource, StateSource, stable_hash

Encoded = StateSource | AnsweringStates
Source = PixelSource | Encoded


class BlankImages:
    """A mid-grey image for every key."""

    views = 1

    def __init__(self, inner: Source) -> None:
        pixels = pixels_of(inner)
        self.image, self.target = _shown(inner, torch.full((1, 3, pixels.size, pixels.size), 0.5))

    def get(self, keys: Sequence[Key], rng: torch.Generator | None = None, view: int = 0) -> tuple[Tensor, Tensor]:
        count = len(keys)
        return self.image.expand(count, *self.image.shape[1:]), self.target.expand(count, *self.target.shape[1:])


class ShuffledImages:
    """The pixels of each image in a random order: the histogram is kept, every shape is lost.

    The order follows from the image's name and `seed`, so that an image is shuffled alike in every batch.
    """

    views = 1

    def __init__(self, inner: Source, seed: int = 0) -> None:
        self.inner, self.seed = inner, seed

    def get(self, keys: Sequence[Key], rng: torch.Generator | None = None, view: int = 0) -> tuple[Tensor, Tensor]:
        image, _ = pixels_of(self.inner).get(keys)
        for row, (key, _) in enumerate(keys):
            rng = torch.Generator().manual_seed(stable_hash(f"noise:{self.seed}:{key}"))
            order = torch.randperm(image[row, 0].numel(), generator=rng)
            image[row] = image[row].flatten(1)[:, order].view_as(image[row])  # the channels of a pixel stay together
        return _shown(self.inner, image)


def pixels_of(inner: Any) -> PixelSource:
    """The images themselves, of a source of pixels or of states."""
    return inner.pixels if isinstance(inner, Encoded) else inner


def _shown(inner: Source, image: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels (U, 3, size, size) -> what the model would get, and the image to reconstruct."""
    target = pixels_of(inner).target(image)
    if isinstance(inner, Encoded):
        with torch.inference_mode():
            image = inner.encode(image).float().clone()
    return image, target
