"""Difference of the reconstruction (CMDPI; cmdpi.md 6.4): |Output_I^d - Output_I| when the cells are deviated (Eq. 8)
half way towards those of another image. What is similar to any image and always at hand is its own mirror image, so
the map shows where the two sides differ, as far as the reconstruction takes it up."""

from dataclasses import replace

import torch
from torch import Tensor

from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs
from discern_vqa.models.cmdpi import Model

SUMMARY = "difference of the reconstruction when the cells move towards those of the mirrored image"
SHARE = 0.5  # epsilon of Eq. 8


def offered(model: ModelBase) -> bool:
    """CMDPI, which reconstructs the image."""
    return isinstance(model, Model)


@torch.no_grad()
def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns): the mean absolute difference over the numbers of a patch; the same whatever the answer."""
    assert isinstance(model, Model)  # see `offered`
    features = model.encode(inputs)
    mirrored = model.encode(replace(inputs, image=inputs.image.flip(-1)))
    h_fused = model.fuse(features.h_img, features.h_txt)
    outputs = [
        model.output_image(model.recnet(h_fused, H_img, features.H_txt, inputs.keep).H_out)
        for H_img in (features.H_img, SHARE * features.H_img + (1 - SHARE) * mirrored.H_img)
    ]
    return (outputs[1] - outputs[0]).abs().mean(-1).unflatten(1, model.image.grid)
