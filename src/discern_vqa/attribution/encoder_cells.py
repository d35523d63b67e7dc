"""States of an image encoder and the gradients of the answer with respect to them, by hooks: no model knows of it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from discern_vqa.attribution.methods import log_probability, one_image_each
from discern_vqa.data.batch import Inputs
from discern_vqa.nn.encoders import Encoded

FINE = 12
"""An inner map is fine from so many places a side: lesions are smaller than most encoders' cells."""


def at_cells(model: Any, inputs: Inputs, answer: Tensor) -> tuple[Tensor, Tensor]:
    """H_I and d log p / d H_I, (B, d, rows, columns) each."""

    def cells(given: Any) -> tuple[Tensor, Any]:
        H = given.H.detach().requires_grad_()
        return H, Encoded(h=given.h, H=H)

    H, slope = _caught(model, model.image, inputs, answer, cells)
    grid = model.image.grid
    return H.mT.unflatten(2, grid), slope.mT.unflatten(2, grid)


def at_map(model: Any, layer: nn.Module, inputs: Inputs, answer: Tensor) -> tuple[Tensor, Tensor]:
    """A layer's output and d log p of it, (B, C, h, w) each."""

    def channels(given: Any) -> tuple[Tensor, Any]:
        x = given.detach().requires_grad_()
        return x, x.clone()  # what follows may work in place

    return _caught(model, layer, inputs, answer, channels)


def fine_layer(encoder: nn.Module, size: int) -> nn.Module | None:
    """The deepest activation of an encoder whose map has `FINE` places a side or more; None where there is none."""
    seen: list[tuple[nn.Module, int]] = []

    def note(layer: nn.Module, _: Any, given: Any) -> None:
        if isinstance(given, Tensor) and given.ndim == 4:
            seen.append((layer, min(given.shape[-2:])))

    kinds = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Hardswish)
    hooks = [layer.register_forward_hook(note) for layer in encoder.modules() if isinstance(layer, kinds)]
    try:
        with torch.inference_mode():
            encoder(torch.zeros(1, 3, size, size, device=next(encoder.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    fine = [layer for layer, side in seen if side >= FINE]
    return fine[-1] if fine else None


def _caught(
    model: Any, layer: nn.Module, inputs: Inputs, answer: Tensor, swap: Callable[[Any], tuple[Tensor, Any]]
) -> tuple[Tensor, Tensor]:
    caught: list[Tensor] = []

    def catch(_: nn.Module, __: Any, given: Any) -> Any:
        state, passed_on = swap(given)
        caught.append(state)
        return passed_on

    hook = layer.register_forward_hook(catch)
    try:
        with torch.enable_grad():
            total = log_probability(model, one_image_each(inputs), answer).sum()
            (slope,) = torch.autograd.grad(total, caught[0])
    finally:
        hook.remove()
    return caught[0].detach(), slope
