"""Rows of all processes in one tensor, for contrasts over the whole batch; a process alone gets its own rows back."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor


def gathered(rows: Tensor) -> tuple[Tensor, int]:
    """rows (n, ...) of this process -> (all rows in the processes' order, where its own begin).

    Numbers of rows may differ. Only the own rows carry a gradient: each process learns from its own shard.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows, 0
    counts = [torch.zeros(1, dtype=torch.int64, device=rows.device) for _ in range(dist.get_world_size())]
    dist.all_gather(counts, torch.tensor([len(rows)], device=rows.device))
    most = int(max(counts))
    padded = F.pad(rows.detach(), (0, 0) * (rows.ndim - 1) + (0, most - len(rows))).contiguous()
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    rank = dist.get_rank()
    shards = [part[: int(count)] for part, count in zip(parts, counts, strict=True)]
    shards[rank] = rows
    return torch.cat(shards), sum(int(count) for count in counts[:rank])
