"""The scan in log(L) steps: h_t = a_t h_(t-1) + b_t solved for all t at once, and the scan on top of it.

Two neighbouring steps are one step again, (a_2 a_1, a_2 b_1 + b_2). `tree` does nothing but join neighbours, so it
multiplies factors in (0, 1] and never divides: what underflows becomes 0, as it should. (Dividing by cumulative
products of a is shorter and wrong as soon as a product underflows.)

It joins pairs, solves the half as long problem and fills in the positions between (Blelloch 1990): about 2 L joins. It
writes several (B, L, E, S) tensors: for a GPU without kernels; on a CPU the stepwise form is faster.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def tree(a: Tensor, b: Tensor) -> Tensor:
    """h of h_t = a_t h_(t-1) + b_t along axis 1, with h = 0 before. a and b have one shape, of any length."""
    length = a.shape[1]
    if length == 1:
        return b
    paired = length - length % 2
    a_odd, b_odd = a[:, 1::2], b[:, 1::2]
    a_even, b_even = a[:, :paired:2], b[:, :paired:2]
    h = torch.empty_like(b)
    h[:, 0] = b[:, 0]
    h[:, 1::2] = tree(a_odd * a_even, torch.addcmul(b_odd, a_odd, b_even))
    h[:, 2::2] = torch.addcmul(b[:, 2::2], a[:, 2::2], h[:, 1 : length - 1 : 2])
    return h


class _Recurrence(torch.autograd.Function):
    """The adjoint of a recurrence is the recurrence from the other end, its factors moved by one place."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        h = tree(a, b)
        ctx.save_for_backward(a, h)
        return h

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dh: Tensor) -> tuple[Tensor, Tensor]:
        a, h = ctx.saved_tensors
        following = torch.cat([a[:, 1:], a.new_zeros(a[:, :1].shape)], dim=1)
        G = tree(following.flip(1), dh.flip(1)).flip(1)
        da = torch.zeros_like(a)
        torch.mul(G[:, 1:], h[:, :-1], out=da[:, 1:])
        return da, G


def scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """See `selective_scan`."""
    a = (dt[..., None] * A).exp()  # (B L E S)
    b = (dt * x)[..., None] * B[:, :, None, :]
    h: Tensor = _Recurrence.apply(a, b)
    return torch.matmul(h, C[..., None])[..., 0] + D * x
