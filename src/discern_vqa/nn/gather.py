"""What processes that train together tell each other: rows, sums, and whether anything holds anywhere.

A loss is a mean over the whole batch. Each process adds up its own rows and divides by the count of all of them, times
the number of processes, since the gradients of the processes are averaged afterwards. Without a `share` nothing is
sent, and everything is computed as by one process.
"""

from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from discern_vqa.division import Share

# The processes' own group, by the group of all; neither is kept alive once torch has given it up.
_groups: WeakKeyDictionary[Any, ReferenceType[Any]] = WeakKeyDictionary()


def gathered(rows: Tensor, share: Share | None) -> tuple[Tensor, int]:
    """rows (n, ...) of this process -> (all rows in the processes' order, where its own begin).

    Numbers of rows may differ. Every row carries a gradient: what the others do with this process's rows comes back to
    them. All processes must call this together, also those that have no rows.
    """
    if share is None:
        return rows, 0
    if share.spare:
        rows = rows[:0]
    counts = _counts(len(rows), rows.device, share.processes)
    start = 0 if share.spare else sum(counts[: dist.get_rank()])  # a spare process computes the first row
    return _Gathered.apply(rows, counts, start), start


def mean(total: Tensor, count: Tensor | float, share: Share) -> Tensor:
    """The mean over the whole batch, of this process's sum and count: what it adds to the loss (see above)."""
    own = torch.as_tensor(count, dtype=total.dtype, device=total.device).detach().reshape(1).clone()
    if share.spare:
        total, own = total * 0, own * 0
    dist.all_reduce(own, group=_group())
    return total * share.processes / own[0].clamp(min=1e-6)


def anywhere(holds: Tensor, share: Share | None) -> bool:
    """Whether any of these is true, in any process."""
    there = holds.any()
    if share is None:
        return bool(there)
    flag = (there & (not share.spare)).to(torch.int64).reshape(1)
    dist.all_reduce(flag, op=dist.ReduceOp.MAX, group=_group())
    return bool(flag)


def summed(values: Tensor) -> Tensor:
    """The sum over all processes, of the same shape. The gradient is that of all processes' losses."""
    return _Summed.apply(values)


def _group() -> Any:
    """A group of its own: these exchanges must not come between those that average the gradients."""
    world = dist.group.WORLD
    known = _groups.get(world)
    group = known() if known is not None else None
    if group is None:
        group = dist.new_group()
        _groups[world] = ref(group)
    return group


def _counts(own: int, device: torch.device, processes: int) -> list[int]:
    counts = torch.zeros(processes, dtype=torch.int64, device=device)
    counts[dist.get_rank()] = own
    dist.all_reduce(counts, group=_group())
    return [int(count) for count in counts]


class _Gathered(torch.autograd.Function):
    """The rows of all processes; the gradient of a row is the sum of what it has in all of them."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int], start: int) -> Tensor:
        ctx.start, ctx.count, dtype = start, len(rows), rows.dtype
        sent = _sendable(rows)
        padded = F.pad(sent, (0, 0) * (rows.ndim - 1) + (0, max(counts) - len(rows))).contiguous()
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded, group=_group())
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)]).to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        gradient = _sendable(gradients[0]).clone().contiguous()
        dist.all_reduce(gradient, group=_group())
        return gradient[ctx.start : ctx.start + ctx.count].to(gradients[0].dtype), None, None


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone().contiguous()
        dist.all_reduce(total, group=_group())
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone().contiguous()
        dist.all_reduce(total, group=_group())
        return total


def _sendable(rows: Tensor) -> Tensor:
    """Not every way of sending knows booleans and numbers of 16 bits."""
    if rows.dtype == torch.bool:
        return rows.to(torch.uint8)
    return rows.float() if rows.dtype in (torch.bfloat16, torch.float16) else rows
