"""Relevance of FVTA (CMI-MTL; cmi_mtl.md 2.1): where the region that fits the question best was seen."""

import torch
from torch import Tensor

from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs
from discern_vqa.models.cmi_mtl import Model

SUMMARY = "where the region that fits the question best was seen"


def offered(model: ModelBase) -> bool:
    """CMI-MTL whose regions are picked by queries."""
    return isinstance(model, Model) and model.config.fvta.kind == "qformer"


@torch.no_grad()
def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns), each summing to 1; the same whatever the answer."""
    assert isinstance(model, Model)  # see `offered`
    return model.attention(inputs)
