"""The scan on a CPU as machine code of its own (`_kernels.py`): float32, any number of threads, one result.

Needs the pip package `llvmlite` (the extra `fast`) and no compiler. The first call of a process translates the forward
kernel, the first backward call the other: under a tenth of a second each.
"""

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from discern_vqa.nn.scan import _kernels
from discern_vqa.nn.scan._language import host_width
from discern_vqa.nn.scan._order import visits

LOG2_E = 1.4426950408889634

SMALL = 2**18
"""Up to this many state steps (B L E S) a second thread costs more than it brings."""


def scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, keep: Tensor | None, reverse: bool
) -> Tensor:
    """See `selective_scan`; everything float32 and on the CPU."""
    (E, S), tile = A.shape, _kernels.VECTORS * host_width()
    x, dt, D = (_padded(tensor, tile) for tensor in (x, dt, D))
    B, C = (_padded(tensor, _kernels.STATES) for tensor in (B, C))
    A = F.pad(A, (0, -S % _kernels.STATES, 0, -E % tile))
    order, counts = visits(x.shape[0], x.shape[1], keep, reverse, x.device)
    y: Tensor = _Scan.apply(x, dt, A, B, C, D, order, counts, keep is not None)
    return y[..., :E]


def _padded(tensor: Tensor, multiple: int) -> Tensor:
    """Zeros at the end of the last axis, up to a multiple; its numbers side by side."""
    missing = -tensor.shape[-1] % multiple
    padded = F.pad(tensor, (0, missing)) if missing else tensor
    return padded if padded.stride(-1) == 1 else padded.contiguous()


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        x, dt, A, B, C, D, order, counts, has_gaps = given
        sequences, length, E = x.shape
        trains = any(ctx.needs_input_grad)
        tiles = _in_tiles(A)
        kept = torch.empty(sequences, -(-length // _kernels.STEPS) if trains else 1, *tiles.shape)
        kept[:, 0] = 0
        y = (torch.zeros if has_gaps else torch.empty)(sequences, length, E)
        plan = _plan(x, dt, tiles, B, C, D, order, counts, kept) | {"kept.chunk": tiles.numel() if trains else 0}
        _run("forward", plan | _rows("y", y))
        if trains:
            ctx.save_for_backward(x, dt, tiles, B, C, D, order, counts, kept)
            ctx.has_gaps = has_gaps
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, dt, tiles, B, C, D, order, counts, kept = ctx.saved_tensors
        (sequences, length, E), (count, S, tile) = x.shape, tiles.shape
        plan = _plan(x, dt, tiles, B, C, D, order, counts, kept)
        make = torch.zeros if ctx.has_gaps else torch.empty
        dx, ddt = make(sequences, length, E), make(sequences, length, E)
        dB, dC = (make(sequences, plan["groups"], length, S) for _ in range(2))
        dA, adjoint = (torch.zeros(sequences, count, S, tile) for _ in range(2))
        dD = torch.zeros(sequences, E)
        rows = _rows("dy", _padded(dy, 1)) | _rows("dx", dx) | _rows("ddt", ddt)
        _run("backward", {**plan, **rows, "dA": dA, "dB": dB, "dC": dC, "dD": dD, "G": adjoint})
        by_channel = dA.sum(0).transpose(1, 2).reshape(E, S)
        return dx, ddt, by_channel, dB.sum(1), dC.sum(1), dD.sum(0), None, None, None


def _in_tiles(A: Tensor) -> Tensor:
    """(tiles, S, tile): A as the kernels read it, times log2(e), so that exp(dt A) is 2 ** (dt A log2(e))."""
    return (A * LOG2_E).view(-1, _kernels.VECTORS * host_width(), A.shape[1]).transpose(1, 2).contiguous()


def _plan(
    x: Tensor, dt: Tensor, tiles: Tensor, B: Tensor, C: Tensor, D: Tensor, order: Tensor, counts: Tensor, kept: Tensor
) -> dict[str, Any]:
    """What both kernels are given: arrays and sizes."""
    count, S, tile = tiles.shape
    groups = -(-count * tile // _kernels.GROUP)
    sizes = {"sequences": x.shape[0], "length": x.shape[1], "tiles": count, "groups": groups, "S": S}
    arrays = {"order": order, "counts": counts, "A": tiles, "D": D}
    strides = {"kept": kept, "kept.row": kept.stride(0), "kept.chunk": kept.stride(1)}
    return {**sizes, **arrays, **strides, **_rows("x", x), **_rows("dt", dt), **_rows("B", B), **_rows("C", C)}


def _rows(name: str, tensor: Tensor) -> dict[str, Any]:
    """An array with its strides between sequences and between places."""
    return {name: tensor, f"{name}.row": tensor.stride(0), f"{name}.step": tensor.stride(1)}


def _run(name: str, plan: Mapping[str, Any]) -> None:
    """Runs a kernel on as many threads as torch uses; this thread is one of them."""
    plan = {**plan, "counter": torch.zeros(1, dtype=torch.int64)}
    values = (plan[key] for key in getattr(_kernels, name.upper()))
    listed = torch.tensor([value.data_ptr() if isinstance(value, Tensor) else value for value in values])
    code = _code(name)

    def work() -> None:
        code(listed.data_ptr())
        plan.keys()  # the arrays live at least as long as each thread that uses them, whatever interrupts the caller

    big = plan["sequences"] * plan["length"] * plan["A"].numel() > SMALL
    threads = min(torch.get_num_threads(), plan["sequences"] * plan["groups"]) if big else 1
    helpers = [_pool(os.getpid(), threads).submit(work) for _ in range(threads - 1)]
    work()
    for helper in helpers:
        helper.result()


_one_translation = threading.Lock()


def _code(name: str) -> Callable[[int], None]:
    with _one_translation:
        return _translated(name, host_width())


@cache
def _translated(name: str, width: int) -> Callable[[int], None]:
    kernel = {"forward": _kernels.forward, "backward": _kernels.backward}[name](width)
    return kernel.translate()


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Helping threads of this process: a child that was forked off gets its own."""
    return ThreadPoolExecutor(threads - 1, thread_name_prefix=f"scan-{process}")
