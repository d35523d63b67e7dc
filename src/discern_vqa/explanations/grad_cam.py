"""Grad-CAM (Selvaraju et al. 2017) at the encoder's last states, the cells H_I: ReLU(sum_c w_c H_c), w_c = the mean of
d log p / d H_c over the cells."""

from typing import Any

from torch import Tensor

from discern_vqa.attribution.encoder_cells import at_cells
from discern_vqa.data.batch import Inputs

SUMMARY = "Grad-CAM: the image cells' channels, each weighted by how much the answer hangs on it"


def offered(model: Any) -> bool:
    """Every model with image cells."""
    return hasattr(model, "image")


def explain(model: Any, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns)."""
    H, slope = at_cells(model, inputs, answer)
    return (H * slope.mean((2, 3), keepdim=True)).sum(1).clamp(min=0)
