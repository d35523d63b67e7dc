"""The scan as its definition reads: a loop over positions, gradients by autograd.

This is the reference implementation that every other path is compared with.
"""

import torch
from torch import Tensor


def scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """See `selective_scan`. Any dtype and device; memory and time of autograd's own."""
    h = x.new_zeros(x.shape[0], *A.shape)  # (B E S)
    places = zip(x.unbind(1), dt.unbind(1), B.unbind(1), C.unbind(1), strict=True)
    y = []
    for x_t, dt_t, B_t, C_t in places:
        h = (dt_t[:, :, None] * A).exp() * h + (dt_t * x_t)[:, :, None] * B_t[:, None, :]
        y.append((h * C_t[:, None, :]).sum(-1))
    return torch.stack(y, dim=1) + D * x
