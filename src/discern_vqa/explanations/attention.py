"""Attention of the answer slot to the image cells, the mean over heads and layers (CMDPI; cmdpi.md 6.4)."""

from typing import Any

import torch
from torch import Tensor

from discern_vqa.data.batch import Inputs

SUMMARY = "attention of the answer slot to the image cells, mean of heads and layers"


def offered(model: Any) -> bool:
    """Models that say how their layers attend."""
    return hasattr(model, "attentions")


@torch.no_grad()
def explain(model: Any, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns), each summing to 1; the same whatever the answer."""
    weights = torch.stack(model.attentions(inputs)).mean(0)
    cells: Tensor = model.cells_of(weights, inputs)
    return cells
