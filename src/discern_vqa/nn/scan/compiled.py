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

from discern_vqa.nn.scan import _kernels
from discern_vqa.nn.scan._language import host_width
from discern_vqa.nn.scan._order import visits
from discern_vqa.nn.scan._threads import on_threads

LOG2_E = 1.4426950408889634

SMALL = 2**18  # up to this many state steps (B L E S) a second thread costs more than it brings


def scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, keep: Tensor | None, reverse: bool
) -> Tensor:
    """See `selective_scan`; everything float32 and on the CPU."""
    trains = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, dt, A, B, C, D))
    y, _ = selective_scan_cpu(x, dt, A, B, C, D, keep, reverse, trains)
    return y


@torch.library.custom_op("discern::selective_scan_cpu", mutates_args=(), device_types="cpu")
def selective_scan_cpu(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, keep: Tensor | None, reverse: bool, trains: bool
) -> tuple[Tensor, Tensor]:
    """y (B, L, E), and the states at the beginning of every chunk, (B, chunks, tiles, S, tile), which the backward
    kernel starts from (one chunk, unused, unless `trains`). To `torch.compile` and `torch.export` this is one node."""
    sequences, length, E = x.shape
    plan = _plan(x, dt, A, B, C, D, keep, reverse)
    tiles, S, tile = plan["A"].shape
    kept = torch.empty(sequences, -(-length // _kernels.STEPS) if trains else 1, tiles, S, tile)
    y = torch.empty(sequences, length, tiles * tile)
    plan |= _rows("kept", kept) | ({} if trains else {"kept.step": 0})
    _run("forward", plan | _rows("y", y))
    return y if y.shape[2] == E else y[..., :E].contiguous(), kept


@selective_scan_cpu.register_fake
def _(x, dt, A, B, C, D, keep, reverse, trains):
    (E, S), tile = A.shape, _kernels.VECTORS * host_width()
    chunks = -(-x.shape[1] // _kernels.STEPS) if trains else 1
    kept = x.new_empty(x.shape[0], chunks, -(-E // tile), S + -S % _kernels.STATES, tile)
    return x.new_empty(x.shape), kept


@torch.library.custom_op("discern::selective_scan_cpu_backward", mutates_args=(), device_types="cpu")
def _backward(
    dy: Tensor, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, keep: Tensor | None, reverse: bool,
    kept: Tensor,
) -> list[Tensor]:  # fmt: skip
    plan = _plan(x, dt, A, B, C, D, keep, reverse)
    (sequences, length, E), (tiles, S, tile) = x.shape, plan["A"].shape
    wide = tiles * tile
    dx, ddt = (torch.empty(sequences, length, wide) for _ in range(2))
    dA, adjoint = (torch.empty(sequences, tiles, S, tile) for _ in range(2))
    dB, dC = (torch.empty(sequences, plan["groups"], length, S) for _ in range(2))
    dD = torch.empty(sequences, wide)
    rows = _rows("kept", kept) | _rows("dy", _padded(dy, tile)) | _rows("dx", dx) | _rows("ddt", ddt)
    _run("backward", {**plan, **rows, "dA": dA, "dB": dB, "dC": dC, "dD": dD, "G": adjoint})
    by_channel = _sum(dA, 0).transpose(1, 2).reshape(wide, S)
    states = A.shape[1]
    whole = (dx, E), (ddt, E), (by_channel[:E], states), (_sum(dB, 1), states), (_sum(dC, 1), states), (_sum(dD, 0), E)
    return [tensor if tensor.shape[-1] == size else tensor[..., :size].contiguous() for tensor, size in whole]


@_backward.register_fake
def _(dy, x, dt, A, B, C, D, keep, reverse, kept):
    return [tensor.new_empty(tensor.shape) for tensor in (x, dt, A, B, C, D)]


def _keep_for_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.reverse, _ = inputs
    ctx.save_for_backward(*tensors, output[1])


def _gradients(ctx: Any, dy: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    *given, kept = ctx.saved_tensors
    return (*_backward(dy, *given, ctx.reverse, kept), None, None, None)


selective_scan_cpu.register_autograd(_gradients, setup_context=_keep_for_backward)


def _plan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, keep: Tensor | None, reverse: bool
) -> dict[str, Any]:
    """What both kernels are given: arrays, padded as they read them, and sizes. A is (tiles, S, tile), and times
    log2(e), so that exp(dt A) is 2 ** (dt A log2(e))."""
    (E, S), tile = A.shape, _kernels.VECTORS * host_width()
    A = F.pad(A, (0, -S % _kernels.STATES, 0, -E % tile)) * LOG2_E
    A = A.view(-1, tile, A.shape[1]).transpose(1, 2).contiguous()
    order, counts = visits(x.shape[0], x.shape[1], keep, reverse, x.device)
    groups = -(-len(A) * tile // _kernels.GROUP)
    sizes = {"sequences": x.shape[0], "length": x.shape[1], "tiles": len(A), "groups": groups, "S": A.shape[1]}
    plan = {**sizes, "order": order, "counts": counts, "A": A, "D": _padded(D, tile)}
    plan |= _rows("x", _padded(x, tile)) | _rows("dt", _padded(dt, tile))
    return plan | _rows("B", _padded(B, _kernels.STATES)) | _rows("C", _padded(C, _kernels.STATES))


def _padded(tensor: Tensor, multiple: int) -> Tensor:
    """Zeros at the end of the last axis, up to a multiple; its numbers side by side."""
    missing = -tensor.shape[-1] % multiple
    padded = F.pad(tensor, (0, missing)) if missing else tensor
    return padded if padded.stride(-1) == 1 else padded.contiguous()


def _sum(tensor: Tensor, axis: int) -> Tensor:
    """By numpy, which needs no other thread: for so little, torch would wait for its own."""
    return torch.from_numpy(tensor.numpy().sum(axis))


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
    return {"forward": _kernels.forward, "backward": _kernels.backward}[name](width).translate()
