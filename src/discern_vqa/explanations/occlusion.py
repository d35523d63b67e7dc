"""Occlusion (Zeiler and Fergus 2014): a square of a quarter of the side is blurred at 12 x 12 places in turn; the map
is how much log p of the answer drops. Slow (144 images for one) and direct: it is an experiment, not a derivative."""

from dataclasses import replace

import torch
from torch import Tensor

from discern_vqa.attribution.blurring import blurred
from discern_vqa.attribution.methods import every_model, log_probability
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs

SUMMARY = "occlusion: how much surer the model is of its answer with this part of the image in sight"
PLACES, PART = 12, 4
AT_ONCE = 96  # so many images go through the encoder together
offered = every_model


@torch.no_grad()
def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, 12, 12); a part without which the model would be surer counts 0."""
    before = log_probability(model, inputs, answer)
    cover, soft = covers(inputs.image.shape[-1]).to(inputs.image), blurred(inputs.image)
    U, B, drops = len(inputs.image), len(answer), []
    for squares in cover.split(max(1, AT_ONCE // U)):
        P = len(squares)
        hidden = squares[:, None, None]  # (P 1 1 H W)
        repeated = replace(
            inputs,
            image=(inputs.image * (1 - hidden) + soft * hidden).flatten(0, 1),  # (P U) C H W
            which=(inputs.which + U * torch.arange(P, device=inputs.which.device)[:, None]).flatten(),
            tokens=inputs.tokens.repeat(P, 1),
            keep=inputs.keep.repeat(P, 1),
            words=inputs.words.repeat(P, 1),
            text_states=None if inputs.text_states is None else inputs.text_states.repeat(P, 1, 1),
        )
        after = log_probability(model, repeated, answer.repeat(P))
        drops.append(before - after.view(P, B))
    return torch.cat(drops).T.reshape(B, PLACES, PLACES).clamp(min=0)


def covers(size: int) -> Tensor:
    """(places, size, size): 1 inside the square that is taken away; its middle runs over 12 x 12 pixels."""
    middle = (torch.arange(PLACES) + 0.5) * size / PLACES
    inside = ((torch.arange(size) + 0.5 - middle[:, None]).abs() <= size / (2 * PART)).float()  # (places along, size)
    return (inside[:, None, :, None] * inside[None, :, None, :]).flatten(0, 1)
