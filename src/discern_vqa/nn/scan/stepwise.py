"""The scan in plain torch, one place after the other, with a backward pass written by hand.

Works on any device and in any floating dtype. The sequence is cut into chunks of about sqrt(L) places. As long as all
states are few they are kept for the gradient; otherwise only the one at each chunk's start is, and a chunk's states are
repeated when its gradient is due, so that memory grows with sqrt(L). The adjoint recurrence is written out in
`_kernels.py`.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

FEW = 2**28  # bytes of states and factors that are kept rather than computed twice: 256 MiB


def scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """See `selective_scan`."""
    y: Tensor = _Scan.apply(x, dt, A.t().contiguous(), B, C, D)
    return y


def _repeat(start: Tensor, x: Tensor, dt: Tensor, A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """A chunk's states (B, q + 1, S, E), the given one before it, then the one after each place; and its factors
    exp(dt A) (B, q, S, E). Channels come last here, so that products run along rows and sums over states add rows."""
    factors = (dt[:, :, None, :] * A).exp_()
    states = torch.empty(x.shape[0], x.shape[1] + 1, *A.shape, dtype=x.dtype, device=x.device)
    states[:, 0] = start
    torch.mul((dt * x)[:, :, None, :], B[..., None], out=states[:, 1:])
    for t in range(x.shape[1]):
        states[:, t + 1].addcmul_(factors[:, t], states[:, t])
    return states, factors


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
        ctx.q = q = math.isqrt(x.shape[1] - 1) + 1
        ctx.all_kept = 2 * x.numel() * A.shape[0] * x.element_size() <= FEW
        y, kept = torch.empty_like(x), []
        h = x.new_zeros(x.shape[0], *A.shape)
        for here in _chunks(x.shape[1], q):
            states, factors = _repeat(h, x[:, here], dt[:, here], A, B[:, here])
            if any(ctx.needs_input_grad):
                kept += [states, factors] if ctx.all_kept else [h]
            y[:, here] = torch.matmul(C[:, here, None, :], states[:, 1:])[:, :, 0]
            h = states[:, -1].clone()
        ctx.save_for_backward(x, dt, A, B, C, D, *kept)
        return y.addcmul_(D, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        x, dt, A, B, C, D, *kept = ctx.saved_tensors
        dx, ddt, dB, dC = dy * D, torch.empty_like(dt), torch.empty_like(B), torch.empty_like(C)
        G, dA, room = (x.new_zeros(x.shape[0], *A.shape) for _ in range(3))
        chunks = _chunks(x.shape[1], ctx.q)
        with torch.autocast(x.device.type, enabled=False):
            for number, here in reversed(list(enumerate(chunks))):
                if ctx.all_kept:
                    states, factors = kept[2 * number : 2 * number + 2]
                else:
                    states, factors = _repeat(kept[number], x[:, here], dt[:, here], A, B[:, here])
                for step in reversed(range(factors.shape[1])):
                    t = here.start + step
                    # Products and sums here are six times as fast as batched products with single vectors.
                    dC[:, t] = torch.mul(states[:, step + 1], dy[:, t, None, :], out=room).sum(2)
                    G.addcmul_(dy[:, t, None, :], C[:, t, :, None])
                    dB[:, t] = torch.mul(G, (dt[:, t] * x[:, t])[:, None, :], out=room).sum(2)
                    du = torch.matmul(B[:, t, None, :], G)[:, 0]
                    G.mul_(factors[:, step])
                    torch.mul(G, states[:, step], out=room)  # G_t a_t h_(t-1)
                    dA.addcmul_(room, dt[:, t, None, :])
                    dx[:, t].addcmul_(dt[:, t], du)
                    ddt[:, t] = room.mul_(A).sum(1).addcmul_(x[:, t], du)
            return dx, ddt, dA.sum(0), dB, dC, (dy * x).sum((0, 1))


def _chunks(length: int, q: int) -> list[slice]:
    return [slice(first, first + q) for first in range(0, length, q)]
