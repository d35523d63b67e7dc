"""Two sequences of unequal lengths, told apart from their padding: averages, interpolation, and one merged sequence.

Every row has real positions first and padding after them. All is computed from the numbers of real positions alone, so
that padding, and how much of it there is, changes nothing.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


def averaging(keep: Tensor, length: Tensor) -> Tensor:
    """Adaptive average pooling as matrices (B, T, L): row t averages positions floor(t n / m) ... ceil((t + 1) n / m).

    keep (B, L) of the sequence that is read, with n real positions; length (B, T) of the one that is written, with m.
    With equal numbers this is the identity; without padding it equals `F.adaptive_avg_pool1d`. Rows of padding are 0.
    """
    n, m = keep.sum(1)[:, None, None], length.sum(1)[:, None, None]
    t = torch.arange(length.shape[1], device=keep.device)[None, :, None]
    place = torch.arange(keep.shape[1], device=keep.device)[None, None, :]
    first = (t * n).div(m, rounding_mode="floor")
    last = -(-(t + 1) * n).div(m, rounding_mode="floor")  # rounded up
    inside = ((place >= first) & (place < last) & (t < m)).float()
    return inside / inside.sum(-1, keepdim=True).clamp(min=1)


def interpolating(keep: Tensor, length: Tensor) -> Tensor:
    """Linear interpolation as matrices (B, T, L), ends on ends (`align_corners`); arguments as of `averaging`."""
    n, m = keep.sum(1)[:, None, None], length.sum(1)[:, None, None]
    t = torch.arange(length.shape[1], device=keep.device)[None, :, None]
    place = torch.arange(keep.shape[1], device=keep.device)[None, None, :]
    where = t * (n - 1) / (m - 1).clamp(min=1)
    weight = (1 - (where - place).abs()).clamp(min=0)
    return weight * (t < m)


def mean_of(v: Tensor, keep: Tensor) -> Tensor:
    """(B, L, E) -> (B, E): the mean over the real positions."""
    weight = keep[..., None].to(v.dtype)
    return (v * weight).sum(1) / weight.sum(1).clamp(min=1)


@dataclass(frozen=True)
class Merged:
    """Two sequences as one, real positions first: v (B, L, d), keep (B, L), and the way back."""

    v: Tensor
    keep: Tensor
    order: Tensor
    first: int

    def split(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """(B, L, d) in the merged order -> the two sequences in their own, padding where it was."""
        back = torch.empty_like(v).scatter(1, self.order[..., None].expand_as(v), v)
        return back[:, : self.first], back[:, self.first :]


def merge(x: Tensor, y: Tensor, keep_x: Tensor, keep_y: Tensor, interleave: bool) -> Merged:
    """x then y, or x and y alternating by their relative places (i + 1/2) / n; x first where they are equal."""
    keep = torch.cat([keep_x, keep_y], dim=1)
    keys = [_places(keep_x, interleave), _places(keep_y, interleave) + (not interleave)]
    order = torch.cat(keys, dim=1).masked_fill(~keep, torch.inf).argsort(dim=1, stable=True)
    v = torch.cat([x, y], dim=1)
    return Merged(v.gather(1, order[..., None].expand_as(v)), keep.gather(1, order), order, x.shape[1])


def _places(keep: Tensor, relative: bool) -> Tensor:
    """(B, L): each position's place among the real ones, in (0, 1)."""
    length = keep.shape[1]
    count = keep.sum(1, keepdim=True) if relative else torch.full_like(keep[:, :1], length, dtype=torch.int64)
    return (torch.arange(length, device=keep.device) + 0.5) / count.clamp(min=1)
