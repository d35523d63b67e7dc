"""Grad-CAM (Selvaraju et al. 2017) at the encoder's last states, the cells H_I: ReLU(sum_c w_c H_c), w_c = the mean of
d log p / d H_c over the cells."""

from torch import Tensor

from discern_vqa.attribution.encoder_cells import at_cells
from discern_vqa.attribution.methods import every_model
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs

SUMMARY = "Grad-CAM: the image cells' channels, each weighted by how much the answer hangs on it"
offered = every_model


def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns)."""
    H, slope = at_cells(model, inputs, answer)
    return (H * slope.mean((2, 3), keepdim=True)).sum(1).clamp(min=0)
