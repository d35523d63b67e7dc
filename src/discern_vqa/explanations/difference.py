"""Difference of the reconstruction (CMDPI; cmdpi.md 6.4): |Output_I^d - Output_I| when the cells are deviated (Eq. 8)
half way towards those of another image. What is similar to any image and always at hand is its own mirror image, so
the map shows where the two sides differ, as far as the reconstruction takes it up."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from discern_vqa.data.batch import Inputs

SUMMARY = "difference of the reconstruction when the cells move towards those of the mirrored image"
SHARE = 0.5
"""epsilon of Eq. 8."""


def offered(model: Any) -> bool:
    """Models that reconstruct the image."""
    return hasattr(model, "output_image")


@torch.no_grad()
def explain(model: Any, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns): the mean absolute difference over the numbers of a patch; the same whatever the answer."""
    own = model.encode(inputs)
    other = model.encode(replace(inputs, image=inputs.image.flip(-1)))
    h = model.fuse(own.h_img, own.h_txt)
    outputs = [
        model.output_image(model.recnet(h, H_img, own.H_txt, inputs.keep).H_out)
        for H_img in (own.H_img, SHARE * own.H_img + (1 - SHARE) * other.H_img)
    ]
    return (outputs[1] - outputs[0]).abs().mean(-1).unflatten(1, model.image.grid)
