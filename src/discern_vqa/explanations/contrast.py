"""A baseline: where the image differs from its blurred self. It sees bright spots and edges, and no model and no
question; a method that is no better may show the image and not the model."""

from torch import Tensor

from discern_vqa.attribution.blurring import blurred
from discern_vqa.attribution.integration_path import smoothed
from discern_vqa.attribution.methods import every_model
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs

SUMMARY = "a baseline: the contrast of the image"
offered = every_model


def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, size, size)."""
    return smoothed((inputs.image - blurred(inputs.image)).mean(1).abs())[inputs.which]
