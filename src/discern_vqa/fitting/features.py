"""Global features of images by a frozen encoder, for baselines that see: computed once for each image."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from discern_vqa.data.sample import Sample
from discern_vqa.data.sources import PixelSource
from discern_vqa.nn.encoders import EncoderConfig, ImageEncoder, image_encoder

PREFIX = "encoder."
WIDTH = 64
"""Of the projection that every encoder has; only `tiny`'s is used here."""
Vectors = NDArray[np.float32]


class Features:
    """(n, c) features of samples' images. An image without a name is mid-grey: the control that shows nothing."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self.encoder = encoder.eval()
        self._pixels = PixelSource(encoder.size, 1, True, False)
        self._known: dict[str, Vectors] = {}

    @classmethod
    def pretrained(cls, config: EncoderConfig, weights: Path | None, seed: int) -> "Features":
        """An encoder with its own weights; `tiny` has none, and is drawn from the seed."""
        torch.manual_seed(seed)
        return cls(image_encoder(config, WIDTH, weights))

    @classmethod
    def kept(cls, config: EncoderConfig, folder: Path, arrays: Mapping[str, NDArray[Any]]) -> "Features":
        """The encoder of a run folder: architecture from `folder`/encoders/image, weights from the run's arrays."""
        architecture = folder / "encoders" / "image"
        encoder = image_encoder(config, WIDTH, architecture if architecture.is_dir() else None)
        weights = {name: torch.from_numpy(array.copy()) for name, array in arrays.items() if name.startswith(PREFIX)}
        encoder.load_state_dict({name.removeprefix(PREFIX): tensor for name, tensor in weights.items()})
        return cls(encoder)

    def know(self, names: Sequence[str], features: Vectors) -> None:
        """Takes over what was computed before."""
        self._known |= dict(zip(names, features, strict=True))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The encoder's weights, so that a run answers about new images without them."""
        return {f"{PREFIX}{name}": tensor.numpy() for name, tensor in self.encoder.state_dict().items()}

    def of(self, samples: Sequence[Sample]) -> Vectors:
        """A row for each sample."""
        for sample in samples:
            if sample.image not in self._known:
                self._known[sample.image] = self._encode(sample)
        return np.stack([self._known[sample.image] for sample in samples])

    def forget(self, images: Collection[str]) -> None:
        """Frees what is kept of these images: nobody asks about them again soon."""
        self._pixels.forget(images)
        for image in images:
            self._known.pop(image, None)

    def _encode(self, sample: Sample) -> Vectors:
        grey = torch.full((1, 3, self.encoder.size, self.encoder.size), 0.5)
        with torch.inference_mode():
            image = self._pixels.get([(sample.image, sample.path)])[0] if sample.image else grey
            return global_feature(self.encoder, image)[0].float().numpy()


def global_feature(encoder: ImageEncoder, image: torch.Tensor) -> torch.Tensor:
    """(U, 3, size, size) pixels -> (U, c): the global state of a pre-trained encoder; of `tiny`, which has none that
    could be kept apart from its projection, what it gives to the model."""
    try:
        return encoder.states(image)[:, 0]
    except NotImplementedError:
        return encoder(image).h
