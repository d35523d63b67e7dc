"""The gated layers of CMI-MTL's CIFR, looked at while they work, by hooks: what went into each, and how far each word
opens the gate (cmi_mtl.md F.3 and F.4)."""

from typing import Any

import torch
from torch import Tensor, nn

from discern_vqa.data.batch import Inputs
from discern_vqa.nn.cross_mamba import CrossGate
from discern_vqa.nn.mamba_attention import word_gates


def is_gated(model: Any) -> bool:
    """Whether the model is a CMI-MTL with the paper's variant of CIFR, and with weights that stay (not D1's)."""
    layers = model.cifr.layers if hasattr(model, "cifr") else ()
    return len(layers) > 0 and all(isinstance(layer, CrossGate) for layer in layers)


def looked_into(model: Any, inputs: Inputs) -> tuple[Any, list[tuple[CrossGate, tuple[Tensor, ...]]]]:
    """What the model fuses, and each layer with what it was given: x, y, keep_x, keep_y."""
    seen: list[tuple[CrossGate, tuple[Tensor, ...]]] = []

    def note(layer: nn.Module, given: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, CrossGate)  # see `is_gated`
        seen.append((layer, given))

    hooks = [layer.register_forward_pre_hook(note) for layer in model.cifr.layers]
    try:
        return model(inputs), seen
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def gates_of_words(model: Any, inputs: Inputs) -> Tensor:
    """(B, M): how far each word opens the gate, the mean over the layers."""
    layers = looked_into(model, inputs)[1]
    return torch.stack([word_gates(layer, *given) for layer, given in layers]).mean(0).float()
