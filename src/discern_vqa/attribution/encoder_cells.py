"""States of an image encoder and the gradients of the answer with respect to them, by hooks: no model knows of it."""

from contextlib import ExitStack

import torch
from torch import Tensor, nn

from discern_vqa.attribution.methods import log_probability, one_image_each
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs
from discern_vqa.nn.encoders import Encoded, ImageEncoder

FINE = 12  # an inner map is fine from so many places a side: lesions are smaller than most encoders' cells


def at_cells(model: ModelBase, inputs: Inputs, answer: Tensor) -> tuple[Tensor, Tensor]:
    """H_I and d log p / d H_I, (B, d, rows, columns) each."""
    H, slope = at_output(model, model.image, inputs, answer)
    grid = model.image.grid
    return H.mT.unflatten(2, grid), slope.mT.unflatten(2, grid)


def at_output(model: ModelBase, layer: nn.Module, inputs: Inputs, answer: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer returns (of an encoder the cells H) and d log p / d of it, in the same shape."""
    states: list[Tensor] = []

    def replace(_: nn.Module, __: object, output: Tensor | Encoded) -> Tensor | Encoded:
        state = (output if isinstance(output, Tensor) else output.H).detach().requires_grad_()
        states.append(state)
        # A copy, since what follows a layer may work in place.
        return state.clone() if isinstance(output, Tensor) else Encoded(h=output.h, H=state)

    with layer.register_forward_hook(replace), torch.enable_grad():
        log_p = log_probability(model, one_image_each(inputs), answer).sum()
        (slope,) = torch.autograd.grad(log_p, states[0])
    return states[0].detach(), slope


def fine_layer(encoder: ImageEncoder) -> nn.Module | None:
    """The deepest activation of an encoder whose map has `FINE` places a side or more; None where there is none."""
    fine: list[nn.Module] = []

    def note(layer: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and min(output.shape[-2:]) >= FINE:
            fine.append(layer)

    kinds = (nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.Hardswish)
    with ExitStack() as hooks, torch.inference_mode():
        for layer in encoder.modules():
            if isinstance(layer, kinds):
                hooks.enter_context(layer.register_forward_hook(note))
        encoder(torch.zeros(1, 3, encoder.size, encoder.size, device=next(encoder.parameters()).device))
    return fine[-1] if fine else None
