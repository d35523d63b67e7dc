"""The scan in plain torch, one place after the other, with a backward pass written by hand.

Works on any device and in any floating dtype. Autograd would keep several (B, L, E, S) tensors; here the state is kept
at the start of every chunk of about sqrt(L) places, and a chunk's states are repeated when its gradient is due: memory
grows with sqrt(L). The adjoint recurrence is written out in `_kernels.py`.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """See `selective_scan`."""
    y: Tensor = _Scan.apply(x, dt, A.t().contiguous(), B, C, D)
    return y


def _repeat(start: Tensor, x: Tensor, dt: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """A chunk's factors exp(dt A) (B, q, S, E), and its states (B, q + 1, S, E): the given one before it, then the one
    after each place. Channels come last here, so that products run along rows and sums over states add rows."""
    factor = (dt[:, :, None, :] * A).exp_()
    states = torch.empty(x.shape[0], x.shape[1] + 1, *A.shape, dtype=x.dtype, device=x.device)
    states[:, 0] = start
    torch.mul((dt * x)[:, :, None, :], B[..., None], out=states[:, 1:])
    for t in range(x.shape[1]):
        states[:, t + 1].addcmul_(factor[:, t], states[:, t])
    return factor, states


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
        ctx.q = q = math.isqrt(x.shape[1] - 1) + 1
        h = x.new_zeros(x.shape[0], *A.shape)
        y, starts = torch.empty_like(x), []
        for first in range(0, x.shape[1], q):
            here = slice(first, first + q)
            starts.append(h)
            _, states = _repeat(h, x[:, here], dt[:, here], A, B[:, here])
            y[:, here] = torch.matmul(C[:, here, None, :], states[:, 1:])[:, :, 0]
            h = states[:, -1].clone()
        ctx.save_for_backward(x, dt, A, B, C, D, *starts)
        return y.addcmul_(D, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(dy.device.type, enabled=False):
            return _gradients(dy, ctx.q, *ctx.saved_tensors)


def _gradients(
    dy: Tensor, q: int, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, *starts: Tensor
) -> tuple[Tensor, ...]:
    dx, ddt, dB, dC = dy * D, torch.empty_like(dt), torch.empty_like(B), torch.empty_like(C)
    dA = torch.zeros_like(A)
    carried = torch.zeros_like(starts[0])  # a_(t+1) G_(t+1) of the chunk behind
    for number, start in reversed(list(enumerate(starts))):
        here = slice(number * q, (number + 1) * q)
        factor, states = _repeat(start, x[:, here], dt[:, here], A, B[:, here])
        dC[:, here] = torch.matmul(states[:, 1:], dy[:, here, :, None])[..., 0]
        G = dy[:, here, None, :] * C[:, here, :, None]
        for t in reversed(range(G.shape[1])):
            G[:, t] += carried
            torch.mul(factor[:, t], G[:, t], out=carried)
        dB[:, here] = torch.matmul(G, (dt[:, here] * x[:, here])[..., None])[..., 0]
        du = torch.matmul(B[:, here, None, :], G)[:, :, 0]
        through = factor.mul_(states[:, :-1]).mul_(G)  # G_t a_t h_(t-1)
        dx[:, here].addcmul_(dt[:, here], du)
        ddt[:, here] = (through * A).sum(2).addcmul_(x[:, here], du)
        dA += through.mul_(dt[:, here, None, :]).sum((0, 1))
    return dx, ddt, dA, dB, dC, (dy * x).sum((0, 1))
