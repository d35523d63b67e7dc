"""Attention roll-out (Abnar and Zuidema 2020) of the answer slot to the image cells (CMDPI; cmdpi.md 6.4): the layers'
mean attention, each mixed half and half with the residual path, multiplied through."""

from typing import Any

import torch
from torch import Tensor

from discern_vqa.data.batch import Inputs

SUMMARY = "attention of the answer slot, rolled out through all layers"


def offered(model: Any) -> bool:
    """Models that say how their layers attend."""
    return hasattr(model, "attentions")


@torch.no_grad()
def explain(model: Any, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns), each summing to 1; the same whatever the answer."""
    rolled: Tensor = model.attention(inputs)
    return rolled
