"""Global features of images by a frozen encoder, for baselines that see: computed once for each image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from discern_vqa.data.sample import Sample

if TYPE_CHECKING:
    from discern_vqa.nn.encoders import EncoderConfig, ImageEncoder

PREFIX = "encoder."
Vectors = NDArray[np.float32]


class Features:
    """(n, c) features of samples' images. An image without a name is mid-grey: the control that shows nothing."""

    def __init__(self, encoder: "ImageEncoder") -> None:
        from discern_vqa.data.sources import PixelSource

        self.encoder = encoder.eval()
        self._pixels = PixelSource(encoder.size, 1, True, False)
        self._found: dict[str, Vectors] = {}

    @classmethod
    def pretrained(cls, config: "EncoderConfig", weights: Path | None, seed: int) -> "Features":
        """An encoder with its own weights; `tiny` has none, and is drawn from the seed."""
        import torch

        torch.manual_seed(seed)
        return cls(_encoder(config, weights))

    @classmethod
    def kept(cls, config: "EncoderConfig", folder: Path, arrays: Mapping[str, NDArray[Any]]) -> "Features":
        """The encoder of a run folder: architecture from `folder`/encoders/image, weights from the run's arrays."""
        import torch

        architecture = folder / "encoders" / "image"
        encoder = _encoder(config, architecture if architecture.is_dir() else None)
        encoder.load_state_dict(
            {name.removeprefix(PREFIX): torch.from_numpy(array.copy()) for name, array in arrays.items()
             if name.startswith(PREFIX)}
        )  # fmt: skip
        return cls(encoder)

    def know(self, names: Sequence[str], features: Vectors) -> None:
        """Takes over what was computed before."""
        self._found |= dict(zip(names, features, strict=True))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The encoder's weights, so that a run answers about new images without them."""
        return {f"{PREFIX}{name}": tensor.numpy() for name, tensor in self.encoder.state_dict().items()}

    def of(self, samples: Sequence[Sample]) -> Vectors:
        """A row for each sample."""
        for sample in samples:
            if sample.image not in self._found:
                self._found[sample.image] = self._encode(sample)
        return np.stack([self._found[sample.image] for sample in samples])

    def _encode(self, sample: Sample) -> Vectors:
        import torch

        size = self.encoder.size
        grey = torch.full((1, 3, size, size), 0.5)
        with torch.inference_mode():
            image = self._pixels.get([(sample.image, sample.path)])[0] if sample.image else grey
            return global_feature(self.encoder, image)[0].float().numpy()


def global_feature(encoder: Any, image: Any) -> Any:
    """(U, 3, size, size) pixels -> (U, c): the global state of a pre-trained encoder; of `tiny`, which has none that
    could be kept apart from its projection, what it gives to the model."""
    try:
        return encoder.states(image)[:, 0]
    except NotImplementedError:
        return encoder(image).h


def _encoder(config: "EncoderConfig", folder: Path | None) -> "ImageEncoder":
    from discern_vqa.nn.encoders import image_encoder

    return image_encoder(config, WIDTH, folder)


WIDTH = 64
"""Of the projection that every encoder has; only `tiny`'s is used here."""
