"""Gradient times activation at the image cells H_I: |sum_c H_c d log p / d H_c|, what each cell adds to the answer to
first order. What the answer draws from the global state h_I is not in it."""

from torch import Tensor

from discern_vqa.attribution.encoder_cells import at_cells
from discern_vqa.attribution.methods import every_model
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs

SUMMARY = "gradient x activation of the image cells"
offered = every_model


def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns)."""
    H, slope = at_cells(model, inputs, answer)
    return (H * slope).sum(1).abs()
