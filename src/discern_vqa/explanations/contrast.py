"""A baseline: where the image differs from its blurred self. It sees bright spots and edges, and no model and no
question; a method that is no better may show the image and not the model."""

from typing import Any

from torch import Tensor

from discern_vqa.attribution.blurring import blurred
from discern_vqa.attribution.integration_path import smoothed
from discern_vqa.data.batch import Inputs

SUMMARY = "a baseline: the contrast of the image"


def offered(model: Any) -> bool:
    """Always."""
    return True


def explain(model: Any, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, size, size)."""
    return smoothed((inputs.image - blurred(inputs.image)).mean(1).abs())[inputs.which]
