"""The scan on a CPU as machine code of its own (`_kernels.py`): float32, any number of threads, one result.

Needs the pip package `llvmlite` (the extra `fast`) and no compiler. The first call of a process translates the forward
kernel, the first backward call the other: under a tenth of a second each.
"""

import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from discern_vqa.nn.scan import _kernels
from discern_vqa.nn.scan._language import host_width
from discern_vqa.nn.scan._order import visits
from discern_vqa.nn.scan._threads import on_threads

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
    y: Tensor = _Scan.apply(x, dt, A, B, C, D, order, counts)
    return y[..., :E]


def _padded(tensor: Tensor, multiple: int) -> Tensor:
    """Zeros at the end of the last axis, up to a multiple; its numbers side by side."""
    missing = -tensor.shape[-1] % multiple
    padded = F.pad(tensor, (0, missing)) if missing else tensor
    return padded if padded.stride(-1) == 1 else padded.contiguous()


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Tensor) -> Tensor:
        x, dt, A, B, C, D, order, counts = given
        sequences, length, E = x.shape
        trains = any(ctx.needs_input_grad)
        tiles = _in_tiles(A)
        kept = torch.empty(sequences, -(-length // _kernels.STEPS) if trains else 1, *tiles.shape)
        y = torch.empty(sequences, length, E)
        plan = _plan(x, dt, tiles, B, C, D, order, counts, kept) | {"kept.chunk": tiles.numel() if trains else 0}
        _run("forward", plan | _rows("y", y))
        if trains:
            ctx.save_for_backward(x, dt, tiles, B, C, D, order, counts, kept)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, dt, tiles, B, C, D, order, counts, kept = ctx.saved_tensors
        (sequences, length, E), (count, S, tile) = x.shape, tiles.shape
        plan = _plan(x, dt, tiles, B, C, D, order, counts, kept)
        dx, ddt = (torch.empty(sequences, length, E) for _ in range(2))
        dA, adjoint = (torch.empty(sequences, count, S, tile) for _ in range(2))
        dB, dC = (torch.empty(sequences, plan["groups"], length, S) for _ in range(2))
        dD = torch.empty(sequences, E)
        rows = _rows("dy", _padded(dy, 1)) | _rows("dx", dx) | _rows("ddt", ddt)
        _run("backward", {**plan, **rows, "dA": dA, "dB": dB, "dC": dC, "dD": dD, "G": adjoint})
        by_channel = _sum(dA, 0).transpose(1, 2).reshape(E, S)
        return dx, ddt, by_channel, _sum(dB, 1), _sum(dC, 1), _sum(dD, 0), None, None


def _sum(tensor: Tensor, axis: int) -> Tensor:
    """By numpy, which needs no other thread: for so little, torch would wait for its own."""
    return torch.from_numpy(tensor.numpy().sum(axis))


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
    """Runs a kernel on as many threads as torch uses."""
    plan = {**plan, "counter": torch.zeros(1, dtype=torch.int64)}
    values = (plan[key] for key in getattr(_kernels, name.upper()))
    listed = torch.tensor([value.data_ptr() if isinstance(value, Tensor) else value for value in values])
    big = plan["sequences"] * plan["length"] * plan["A"].numel() > SMALL
    threads = min(torch.get_num_threads(), plan["sequences"] * plan["groups"]) if big else 1
    on_threads(_code(name), listed.data_ptr(), threads, (plan, listed))


_one_translation = threading.Lock()


def _code(name: str) -> Callable[[int], None]:
    with _one_translation:
        return _translated(name, host_width())


@cache
def _translated(name: str, width: int) -> Callable[[int], None]:
    kernel = {"forward": _kernels.forward, "backward": _kernels.backward}[name](width)
    return kernel.translate()
