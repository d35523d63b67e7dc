"""Relevance of FVTA (CMI-MTL; cmi_mtl.md 2.1): where the region that fits the question best was seen."""

from typing import Any

import torch
from torch import Tensor

from discern_vqa.data.batch import Inputs

SUMMARY = "where the region that fits the question best was seen"


def offered(model: Any) -> bool:
    """Models whose regions are picked by queries."""
    return hasattr(model, "fvta") and model.config.fvta.kind == "qformer"


@torch.no_grad()
def explain(model: Any, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns), each summing to 1; the same whatever the answer."""
    relevance: Tensor = model.attention(inputs)
    return relevance
