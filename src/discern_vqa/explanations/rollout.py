"""Attention roll-out (Abnar and Zuidema 2020) of the answer slot to the image cells (CMDPI; cmdpi.md 6.4): the layers'
mean attention, each mixed half and half with the residual path, multiplied through."""

import torch
from torch import Tensor

from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs
from discern_vqa.models.cmdpi import Model

SUMMARY = "attention of the answer slot, rolled out through all layers"


def offered(model: ModelBase) -> bool:
    return isinstance(model, Model)


@torch.no_grad()
def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns), each summing to 1; the same whatever the answer."""
    assert isinstance(model, Model)  # see `offered`
    return model.attention(inputs)
