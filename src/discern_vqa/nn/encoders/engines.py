"""Which way a frozen image encoder's states are computed: the fastest that gives the same.

    onnxruntime           MobileNetV2, where the extra `onnx` is installed and its answers were compared (`onnx_engine`)
    torch, folded         MobileNetV2 (`folded`)
    the encoder itself    any other, and on a GPU

The ways differ in the last bits, which the states, kept in bfloat16, nearly always lose. A cache of states is named by
the way that filled it, so that it does not depend on what else was installed.
"""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from discern_vqa.nn.encoders.base import ImageEncoder, TextEncoder
from discern_vqa.nn.encoders.folded import Folded, folded
from discern_vqa.nn.encoders.lite import LiteImage
from discern_vqa.nn.encoders.onnx_engine import OnnxEngine, is_installed, onnx_engine
from discern_vqa.paths import cache_dir


def engines_folder() -> Path:
    """Where the graphs of `onnx_engine` are kept."""
    return cache_dir() / "engines"


class FrozenImages:
    """Pixels (U, 3, size, size) in [0, 1] to a frozen encoder's states (U, 1 + N, c), on the CPU.

    The way is chosen when the first image comes: the encoder's weights and device must not change from then on.
    """

    def __init__(self, encoder: ImageEncoder) -> None:
        self.encoder = encoder

    @torch.inference_mode()
    def __call__(self, image: Tensor) -> Tensor:
        if self._network is None or not isinstance(self.encoder, LiteImage):
            return self.encoder.states(image.to(self._device)).cpu()
        return self.encoder.states_by(self._network, image)

    @property
    def name(self) -> str:
        """Of the way, for a cache of what it gave."""
        return "torch" if self._network is None else self._network.name

    @property
    def _device(self) -> torch.device:
        return next(self.encoder.parameters()).device

    @cached_property
    def _network(self) -> Folded | OnnxEngine | None:
        if not isinstance(self.encoder, LiteImage) or self._device.type != "cpu":
            return None
        network = folded(self.encoder.backbone)
        if network is None or not is_installed():
            return network
        digest = self.encoder.frozen_digest()
        return onnx_engine(network, digest, self.encoder.size, engines_folder()) or network


def frozen_texts(encoder: TextEncoder) -> Callable[[int, Tensor, Tensor], Tensor]:
    """A length, and ids and keep (B, M) of texts that are no longer, to a frozen encoder's states (B, M, c), on the
    CPU."""

    def states(length: int, tokens: Tensor, keep: Tensor) -> Tensor:
        device = next(encoder.parameters()).device
        return encoder.states_up_to(length, tokens.to(device), keep.to(device)).cpu()

    return states
