"""What the benchmarks of the scan share: inputs, what is timed, and mambapy's scan with the arguments of ours."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from mambapy.pscan import pscan
from torch import Tensor

STATES = 16
Run = Callable[[], object]


def scan_inputs(sequences: int, length: int, channels: int, device: str = "cpu") -> list[Tensor]:
    """x, dt, A, B, C, D of a freshly built Mamba block."""
    rng = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng)

    rows = (sequences, length)
    dt, A = F.softplus(draw(*rows, channels) - 3), -torch.arange(1.0, STATES + 1).repeat(channels, 1)
    given = (draw(*rows, channels), dt, A, draw(*rows, STATES), draw(*rows, STATES), torch.ones(channels))
    return [tensor.to(device).requires_grad_() for tensor in given]


def output_gradient(given: list[Tensor]) -> Tensor:
    """dy of the scan of these inputs: the same each time."""
    x = given[0]
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).to(x.device)


def trainer(sequences: int, length: int, channels: int, device: str = "cpu") -> Callable[..., Run]:
    """`trainer(...)(scan, **options)` is one forward and backward of a scan over inputs of this shape, to be called."""
    given = scan_inputs(sequences, length, channels, device)
    dy = output_gradient(given)

    def train(scan: Callable[..., Tensor], **options: Any) -> Run:
        return lambda: torch.autograd.grad(scan(*given, **options), given, dy)

    return train


def mambapy(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """The scan around mambapy's `pscan`."""
    a, b = (dt[..., None] * A).exp(), (dt * x)[..., None] * B[:, :, None, :]
    return (pscan(a, b) @ C[..., None])[..., 0] + D * x
