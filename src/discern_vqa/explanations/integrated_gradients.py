"""Integrated gradients (Sundararajan, Taly and Yan 2017) from the blurred image to the image itself:

    |(I - blur(I)) * mean of d log p / d I on the way|

smoothed over a tenth of the side. Blurring takes away what lesions and edges are made of and leaves the anatomy. The
first factor is the image's own contrast: a part of such a map is there whatever the model has learned.
"""

from torch import Tensor

from discern_vqa.attribution.integration_path import along, smoothed
from discern_vqa.attribution.methods import every_model
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs

SUMMARY = "integrated gradients: what each pixel adds on the way from the blurred image to the image"
offered = every_model


def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, size, size)."""
    change, slope = along(model, inputs, answer)
    return smoothed((slope * change).sum(1).abs())
