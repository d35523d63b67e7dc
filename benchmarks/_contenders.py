"""What the benchmarks of the scan share: inputs, and mambapy's scan with the arguments of ours."""

import torch
import torch.nn.functional as F
from mambapy.pscan import pscan
from torch import Tensor

STATES = 16


def scan_inputs(sequences: int, length: int, channels: int, device: str = "cpu") -> list[Tensor]:
    """x, dt, A, B, C, D of a freshly built Mamba block."""
    rng = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng)

    rows = (sequences, length)
    dt, A = F.softplus(draw(*rows, channels) - 3), -torch.arange(1.0, STATES + 1).repeat(channels, 1)
    given = (draw(*rows, channels), dt, A, draw(*rows, STATES), draw(*rows, STATES), torch.ones(channels))
    return [tensor.to(device).requires_grad_() for tensor in given]


def mambapy(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The scan around mambapy's `pscan`."""
    a, b = (dt[..., None] * A).exp(), (dt * x)[..., None] * B[:, :, None, :]
    return (pscan(a, b) @ C[..., None])[..., 0] + D * x
