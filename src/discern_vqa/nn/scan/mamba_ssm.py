"""The scan by the CUDA kernel of the authors' package `mamba-ssm` (Apache-2.0), where it is installed."""

import importlib

from torch import Tensor

KERNEL = "mamba_ssm.ops.selective_scan_interface"
"""Its module; it calls E `dim` and S `dstate`, and has the length last."""


def scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """See `selective_scan`. `selective_scan_fn` takes u and delta (B, E, L), A (E, S), B and C (B, S, L), D (E,)."""
    kernel = importlib.import_module(KERNEL).selective_scan_fn
    u, delta, B, C = (tensor.transpose(1, 2).contiguous() for tensor in (x, dt, B, C))
    y: Tensor = kernel(u, delta, A, B, C, D, delta_softplus=False)
    return y.transpose(1, 2)
