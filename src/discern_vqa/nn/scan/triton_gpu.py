"""The scan on a GPU in Triton: one program for a sequence and `CHANNELS` channels, its states in registers.

Laid out as `_kernels.py` is, and small rather than fast: the state is kept at the start of every chunk of `STEPS`
places, the backward program goes through the chunks from the last to the first, repeats a chunk's states into memory of
its own and runs the adjoint recurrence. Sums over channels are written for each program and added afterwards in one
order: the result is the same each time. Padding and direction are in the order of visits, as on the CPU.

float32. Under TRITON_INTERPRET=1 (set before anything imports triton) it also runs, slowly, on a CPU.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from discern_vqa.nn.scan._order import visits

STEPS, CHANNELS = 16, 32

WARPS = 1
"""Of a program. With one, no sum over channels or states has to cross warps: a quarter less time at 609 places."""


def scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, keep: Tensor | None, reverse: bool
) -> Tensor:
    """See `selective_scan`."""
    order, counts = visits(x.shape[0], x.shape[1], keep, reverse, x.device)
    y: Tensor = _Scan.apply(*(tensor.contiguous() for tensor in (x, dt, A, B, C, D)), order, counts)
    return y


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> Tensor:
        x, _, A, *_, counts = given
        (sequences, length, E), S = x.shape, A.shape[1]
        kept = x.new_empty(sequences, triton.cdiv(length, STEPS), E, S)
        y = torch.zeros_like(x)
        _forward[_grid(x)](*given, kept, y, length, E, S, *_blocks(S), num_warps=WARPS)
        ctx.save_for_backward(*given, kept)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, dt, A, B, *_ = ctx.saved_tensors
        (sequences, length, E), S = x.shape, A.shape[1]
        dx, ddt = torch.zeros_like(x), torch.zeros_like(x)
        dA, dD = x.new_empty(sequences, E, S), x.new_empty(sequences, E)
        parts = triton.cdiv(E, CHANNELS)
        dB, dC = (x.new_zeros(sequences, parts, length, S) for _ in range(2))
        path = x.new_empty(sequences, STEPS, E, S)
        gradients = (dx, ddt, dA, dB, dC, dD)
        _backward[_grid(x)](
            *ctx.saved_tensors, dy.contiguous(), *gradients, path, length, E, S, *_blocks(S), num_warps=WARPS
        )
        return dx, ddt, dA.sum(0), dB.sum(1), dC.sum(1), dD.sum(0), None, None


def _grid(x: Tensor) -> tuple[int, int]:
    return x.shape[0], triton.cdiv(x.shape[2], CHANNELS)


def _blocks(S: int) -> tuple[int, int, int]:
    return STEPS, CHANNELS, triton.next_power_of_2(S)


@triton.jit
def _forward(
    x_ptr, dt_ptr, A_ptr, B_ptr, C_ptr, D_ptr, order_ptr, counts_ptr, kept_ptr, y_ptr,
    length, E, S, STEPS: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    b = tl.program_id(0).to(tl.int64)
    e, s = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, STATES)
    is_e, is_s = e < E, s < S
    cell, is_cell = e[:, None] * S + s[None, :], is_e[:, None] & is_s[None, :]
    A = tl.load(A_ptr + cell, is_cell, 0.0)
    D = tl.load(D_ptr + e, is_e, 0.0)
    h = tl.zeros([CHANNELS, STATES], A.dtype)
    chunks = (length + STEPS - 1) // STEPS
    for step in range(0, tl.load(counts_ptr + b)):
        starts = step % STEPS == 0
        tl.store(kept_ptr + ((b * chunks + step // STEPS) * E) * S + cell, h, is_cell & starts)
        place = b * length + tl.load(order_ptr + b * length + step)
        x = tl.load(x_ptr + place * E + e, is_e, 0.0)
        dt = tl.load(dt_ptr + place * E + e, is_e, 0.0)
        B = tl.load(B_ptr + place * S + s, is_s, 0.0)
        C = tl.load(C_ptr + place * S + s, is_s, 0.0)
        h = tl.exp(dt[:, None] * A) * h + (dt * x)[:, None] * B[None, :]
        tl.store(y_ptr + place * E + e, tl.sum(h * C[None, :], 1) + D * x, is_e)


@triton.jit
def _backward(
    x_ptr, dt_ptr, A_ptr, B_ptr, C_ptr, D_ptr, order_ptr, counts_ptr, kept_ptr, dy_ptr,
    dx_ptr, ddt_ptr, dA_ptr, dB_ptr, dC_ptr, dD_ptr, path_ptr,
    length, E, S, STEPS: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    b, part = tl.program_id(0).to(tl.int64), tl.program_id(1)
    e, s = part * CHANNELS + tl.arange(0, CHANNELS), tl.arange(0, STATES)
    is_e, is_s = e < E, s < S
    cell, is_cell = e[:, None] * S + s[None, :], is_e[:, None] & is_s[None, :]
    A = tl.load(A_ptr + cell, is_cell, 0.0)
    D = tl.load(D_ptr + e, is_e, 0.0)
    held = tl.zeros([CHANNELS, STATES], A.dtype)  # a_(t+1) G_(t+1)
    dA = tl.zeros([CHANNELS, STATES], A.dtype)
    dD = tl.zeros([CHANNELS], A.dtype)
    count = tl.load(counts_ptr + b)
    chunks = (length + STEPS - 1) // STEPS
    sums = (b * tl.num_programs(1) + part) * length  # where this program's sums over channels go
    for passed in range(0, (count + STEPS - 1) // STEPS):
        first = ((count + STEPS - 1) // STEPS - 1 - passed) * STEPS
        last = tl.minimum(first + STEPS, count)
        h = tl.load(kept_ptr + ((b * chunks + first // STEPS) * E) * S + cell, is_cell, 0.0)
        for step in range(first, last):
            tl.store(path_ptr + ((b * STEPS + step - first) * E) * S + cell, h, is_cell)
            place = b * length + tl.load(order_ptr + b * length + step)
            x = tl.load(x_ptr + place * E + e, is_e, 0.0)
            dt = tl.load(dt_ptr + place * E + e, is_e, 0.0)
            B = tl.load(B_ptr + place * S + s, is_s, 0.0)
            h = tl.exp(dt[:, None] * A) * h + (dt * x)[:, None] * B[None, :]
        tl.debug_barrier()  # every thread's part of the path is written before any is read
        for back in range(0, last - first):
            step = last - 1 - back
            t = tl.load(order_ptr + b * length + step)
            place = b * length + t
            x = tl.load(x_ptr + place * E + e, is_e, 0.0)
            dt = tl.load(dt_ptr + place * E + e, is_e, 0.0)
            dy = tl.load(dy_ptr + place * E + e, is_e, 0.0)
            B = tl.load(B_ptr + place * S + s, is_s, 0.0)
            C = tl.load(C_ptr + place * S + s, is_s, 0.0)
            before = tl.load(path_ptr + ((b * STEPS + step - first) * E) * S + cell, is_cell, 0.0)
            a = tl.exp(dt[:, None] * A)
            after = a * before + (dt * x)[:, None] * B[None, :]
            G = dy[:, None] * C[None, :] + held
            du = tl.sum(G * B[None, :], 1)
            held = G * a
            through = held * before  # G_t a_t h_(t-1)
            dA += through * dt[:, None]
            dD += dy * x
            tl.store(dC_ptr + (sums + t) * S + s, tl.sum(dy[:, None] * after, 0), is_s)
            tl.store(dB_ptr + (sums + t) * S + s, tl.sum(G * (dt * x)[:, None], 0), is_s)
            tl.store(dx_ptr + place * E + e, dy * D + dt * du, is_e)
            tl.store(ddt_ptr + place * E + e, x * du + tl.sum(through * A, 1), is_e)
        tl.debug_barrier()  # the path is read before the next chunk writes it
    tl.store(dA_ptr + b * E * S + cell, dA, is_cell)
    tl.store(dD_ptr + b * E + e, dD, is_e)
