"""Gradient times activation at an inner map of a convolutional encoder: the deepest with 12 places a side or more.

Above it stand both the cells and the global state, so nothing that the answer draws from the image is missing; and
its places are small enough for a lesion.
"""

from torch import Tensor

from discern_vqa.attribution.encoder_cells import at_output, fine_layer
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs

SUMMARY = "gradient x activation of an inner map of the encoder"


def offered(model: ModelBase) -> bool:
    """Encoders that make maps of channels, fine enough."""
    return fine_layer(model.image) is not None


def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, h, w) of that map."""
    layer = fine_layer(model.image)
    assert layer is not None  # see `offered`
    x, slope = at_output(model, layer, inputs, answer)
    return (x * slope).sum(1).abs()
