"""Attention of the answer slot to the image cells, the mean over heads and layers (CMDPI; cmdpi.md 6.4)."""

import torch
from torch import Tensor

from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs
from discern_vqa.models.cmdpi import Model

SUMMARY = "attention of the answer slot to the image cells, mean of heads and layers"


def offered(model: ModelBase) -> bool:
    return isinstance(model, Model)


@torch.no_grad()
def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns), each summing to 1; the same whatever the answer."""
    assert isinstance(model, Model)  # see `offered`
    weights = torch.stack(model.attentions(inputs)).mean(0)
    return model.cells_of(weights, inputs)
