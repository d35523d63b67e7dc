"""What the tests of the scan share: inputs of any size, the slow twin's values and gradients, and a distance."""

import torch
import torch.nn.functional as F
from torch import Tensor

from discern_vqa.nn.scan import selective_scan

NAMES = ("y", "x", "dt", "A", "B", "C", "D")


def scan_inputs(sequences=2, length=37, channels=12, states=6, dtype=torch.float64, seed=0):
    """x, dt, A, B, C, D with the magnitudes of a freshly built Mamba block, requiring gradients."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=rng, dtype=torch.float64)

    rows = (sequences, length)
    dt = F.softplus(draw(*rows, channels) - 2)
    A = -(torch.arange(1, states + 1) * (1 + 0.1 * draw(channels, states).abs()))
    given = (draw(*rows, channels), dt, A, draw(*rows, states), draw(*rows, states), draw(channels))
    return [tensor.to(dtype).requires_grad_() for tensor in given]


def value_and_gradients(given, **options):
    """[y, dx, ddt, dA, dB, dC, dD] of the scan of `given`, for the same random dy each time."""
    given = [tensor.detach().clone().requires_grad_() for tensor in given]
    y = selective_scan(*given, **options)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(y)
    return [y.detach(), *torch.autograd.grad(y, given, dy)]


def slow_twin(given, **options):
    """The same by the reference in float64."""
    return value_and_gradients([tensor.detach().double() for tensor in given], path="reference", **options)


def assert_agree(found, wanted, tolerance):
    """Each pair differs by at most `tolerance` times the largest number of the wanted one."""
    for name, one, other in zip(NAMES, found, wanted, strict=True):
        assert one.shape == other.shape, name
        assert one.isfinite().all(), name
        apart = (one.double() - other).abs().max() / other.abs().max().clamp(min=1e-20)
        assert apart <= tolerance, f"{name}: {apart:.2e} apart"
