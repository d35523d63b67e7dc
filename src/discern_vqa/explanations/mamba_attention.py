"""Implicit Mamba attention between regions, weighted by the gate, composed with where each region's query looked
(CMI-MTL; cmi_mtl.md F.3):

    rho_p = sum_k omega_k A_kp        omega = what the classifier reads, through both layers (each half residual)

The short convolution before each scan mixes neighbouring regions; that is not followed.
"""

import torch
from torch import Tensor

from discern_vqa.attribution.word_gates import calls_of_layers, is_gated
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Inputs
from discern_vqa.models.cmi_mtl import Model
from discern_vqa.nn.mamba_attention import image_attention

SUMMARY = "implicit attention of the gated scans between regions, and where each region was seen"


def offered(model: ModelBase) -> bool:
    """CMI-MTL with the paper's variant of CIFR."""
    return isinstance(model, Model) and is_gated(model) and not model.config.fvta.topk


@torch.no_grad()
def explain(model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns); the same whatever the answer."""
    assert isinstance(model, Model)  # see `offered`
    with calls_of_layers(model) as calls:
        fused = model(inputs)
    y = fused.Y
    same = torch.eye(y.shape[1], device=y.device)
    through = same.expand(len(y), -1, -1)
    for layer, arguments in calls:
        through = (same + image_attention(layer, *arguments)) / 2 @ through
    keep_y = torch.ones(y.shape[:2], dtype=torch.bool, device=y.device)
    omega = model.pool_image.weights(y, keep_y)[:, None] @ through  # (B 1 K)
    cells = (omega @ model.fvta.looked(fused.tokens))[:, 0, 1:]
    return cells.unflatten(1, model.image.grid)
