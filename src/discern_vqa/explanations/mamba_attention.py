"""Implicit Mamba attention between regions, weighted by the gate, composed with where each region's query looked
(CMI-MTL; cmi_mtl.md F.3):

    rho_p = sum_k omega_k A_kp        omega = what the classifier reads, through both layers (each half residual)

The short convolution before each scan mixes neighbouring regions; that is not followed.
"""

from typing import Any

import torch
from torch import Tensor

from discern_vqa.data.batch import Inputs
from discern_vqa.nn.cross_mamba import CrossGate
from discern_vqa.nn.mamba import HeadwiseSsm
from discern_vqa.nn.mamba_attention import image_attention

SUMMARY = "implicit attention of the gated scans between regions, and where each region was seen"


def offered(model: Any) -> bool:
    """CMI-MTL with the paper's variant of CIFR, and Mamba's own scan."""
    if not hasattr(model, "cifr") or model.config.fvta.topk or not len(model.cifr.layers):
        return False
    return all(
        isinstance(layer, CrossGate) and not any(isinstance(part, HeadwiseSsm) for part in layer.modules())
        for layer in model.cifr.layers
    )


@torch.no_grad()
def explain(model: Any, inputs: Inputs, answer: Tensor) -> Tensor:
    """(B, rows, columns); the same whatever the answer."""
    tokens = model.encode(inputs)
    y, x = model.fvta(tokens).Z, tokens.T
    keep = tokens.keep if model.config.mask_padding else torch.ones_like(tokens.keep)
    keep_y = torch.ones(y.shape[:2], dtype=torch.bool, device=y.device)
    same = torch.eye(y.shape[1], device=y.device)
    through = same.expand(len(y), -1, -1)
    for layer in model.cifr.layers:
        through = (same + image_attention(layer, x, y, keep, keep_y)) / 2 @ through
        x, y = layer(x, y, keep, keep_y)
    omega = model.pool_image.weights(y, keep_y)[:, None] @ through  # (B 1 K)
    cells = (omega @ model.fvta.looked(tokens))[:, 0, 1:]
    return cells.unflatten(1, model.image.grid)
