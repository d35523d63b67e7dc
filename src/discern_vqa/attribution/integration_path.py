"""The way from the blurred image to the image, and how the answer changes along it."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from discern_vqa.attribution.blurring import blurred
from discern_vqa.attribution.methods import log_probability, one_image_each
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs

STEPS = 8  # 16 steps are no better (53 and 51 % on 150 phantom questions) and cost twice as much


def along(model: ModelBase, inputs: Inputs, answer: Tensor) -> tuple[Tensor, Tensor]:
    """I - blur(I), and the mean of d log p / d I at blur(I) + (k - 1/2) / 8 (I - blur(I)), k = 1 ... 8; for each text
    (B, 3, size, size)."""
    inputs = one_image_each(inputs)
    start = blurred(inputs.image)
    change, total = inputs.image - start, torch.zeros_like(inputs.image)
    for step in range(STEPS):
        image = (start + (step + 0.5) / STEPS * change).detach().requires_grad_()
        with torch.enable_grad():
            log_p = log_probability(model, replace(inputs, image=image), answer).sum()
            total += torch.autograd.grad(log_p, image)[0]
    return change, total / STEPS


def smoothed(map_: Tensor) -> Tensor:
    """(B, size, size), averaged over squares of a tenth of the side."""
    width = 2 * (map_.shape[-1] // 20) + 1
    return F.avg_pool2d(map_[:, None], width, 1, width // 2)[:, 0]
