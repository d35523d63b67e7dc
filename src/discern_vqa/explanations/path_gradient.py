"""The gradient of log p with respect to pixels, the mean over the way from the blurred image to the image:
integrated gradients without their first factor, the image's contrast, which is there whatever was learned."""

from torch import Tensor

from discern_vqa.attribution.integration_path import along, smoothed
from discern_vqa.attribution.methods import every_model
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs

SUMMARY = "gradient of the answer, mean over the way from the blurred image to the image"
offered = every_model


def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, size, size)."""
    return smoothed(along(model, inputs, answer)[1].sum(1).abs())
