"""Image sources that show something else than was asked for: nothing, or noise. For controls of a trained model.

Both stand before the run's own source and answer the same call (see `sources.ImageSource`), so that the model behind
them cannot tell the difference: pixels where it reads pixels, states of its frozen encoder where it reads states.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from discern_vqa.data.sources import Key, PixelSource, StateSource, stable_hash

Source = PixelSource | StateSource


class Blank:
    """Mid-grey, whatever is asked for."""

    views = 1

    def __init__(self, inner: Source) -> None:
        pixels = _pixels(inner)
        self.image, self.picture = _shown(inner, torch.full((1, 3, pixels.size, pixels.size), 0.5))

    def get(self, keys: Sequence[Key], rng: torch.Generator | None = None, view: int = 0) -> tuple[Tensor, Tensor]:
        """See ImageSource."""
        count = len(keys)
        return self.image.expand(count, *self.image.shape[1:]), self.picture.expand(count, *self.picture.shape[1:])


class Noise:
    """Each image's own points in another order: the same greys, each as often as before, and no shape.

    The order follows from the image's name and `seed`, so an image has the same noise in every batch.
    """

    views = 1

    def __init__(self, inner: Source, seed: int = 0) -> None:
        self.inner, self.seed = inner, seed

    def get(self, keys: Sequence[Key], rng: torch.Generator | None = None, view: int = 0) -> tuple[Tensor, Tensor]:
        """See ImageSource."""
        image, _ = _pixels(self.inner).get(keys)
        for row, (key, _) in enumerate(keys):
            own = torch.Generator().manual_seed(stable_hash(f"noise:{self.seed}:{key}"))
            order = torch.randperm(image[row, 0].numel(), generator=own)
            image[row] = image[row].flatten(1)[:, order].view_as(image[row])  # a point's colours stay together
        return _shown(self.inner, image)


def _pixels(inner: Source) -> PixelSource:
    return inner.pixels if isinstance(inner, StateSource) else inner


def _shown(inner: Source, image: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels (U, 3, size, size) -> what the model would get, and the picture to reconstruct."""
    picture = _pixels(inner).picture(image)
    if isinstance(inner, StateSource):
        with torch.inference_mode():
            image = inner.encode(image).float().clone()
    return image, picture
