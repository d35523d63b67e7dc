"""The alternatives to the gate of CMI-MTL's CIFR (cmi_mtl.md 2.2), each one layer of the interface of
`nn.cross_mamba.CrossGate`: (x, y, keep_x, keep_y) -> (x, y) with text x (B, L, d) and image y (B, K, d).

What comes from the other stream is brought to a stream's own length by averages (`nn.resample`). The programs named
below are where each rule is known from; the words and the code are ours.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discern_vqa.nn.cross_mamba import CifrConfig, Streams
from discern_vqa.nn.mamba import Driven, MambaBlock
from discern_vqa.nn.qformer import QueryBlock
from discern_vqa.nn.resample import averaging, mean_of, merge
from discern_vqa.nn.transformer import BlockShape, FeedForward

HEADS = 4
"""The attention heads of `xattn`."""


class _Pair(nn.Module):
    """Two blocks, one for each stream."""

    gate = True

    def __init__(self, config: CifrConfig, width: int) -> None:
        super().__init__()
        self.text, self.image = (MambaBlock(config.shape(width), self.gate) for _ in range(2))

    @staticmethod
    def over(y: Tensor, keep_y: Tensor, keep_x: Tensor) -> Tensor:
        """y (B, K, e) at x's positions, (B, L, e)."""
        return averaging(keep_y, keep_x).to(y.dtype) @ y


class _Exchange(_Pair):
    """Two scans, each driven in part by the other stream: by the fields `swapped` of what drives its scan."""

    swapped: ClassVar[tuple[str, ...]]

    def forward(self, x: Tensor, y: Tensor, keep_x: Tensor, keep_y: Tensor) -> Streams:
        blocks, keeps = (self.text, self.image), (keep_x, keep_y)
        halves = [block.halves(v) for block, v in zip(blocks, (x, y), strict=True)]
        driven = [
            [way.read(inner, keep) for way in block.directions]
            for block, (inner, _), keep in zip(blocks, halves, keeps, strict=True)
        ]
        added = []
        for stream, other in ((0, 1), (1, 0)):
            u = [
                way.scan(self.exchange(mine, theirs, keeps[other], keeps[stream]))
                for way, mine, theirs in zip(blocks[stream].directions, driven[stream], driven[other], strict=True)
            ]
            scanned = self.leave(torch.stack(u).mean(0), halves[stream][1], stream)
            added.append(blocks[stream].out(scanned, keeps[stream]))
        return x + added[0], y + added[1]

    def exchange(self, mine: Driven, theirs: Driven, keep_theirs: Tensor, keep: Tensor) -> Driven:
        """What drives the scan of a stream, in part from the other."""
        return replace(mine, **{name: self.over(getattr(theirs, name), keep_theirs, keep) for name in self.swapped})

    def leave(self, u: Tensor, z: Tensor, stream: int) -> Tensor:
        """What W_out reads, from the scan u and the half z of a stream (0 text, 1 image), (B, L, E) each."""
        return u * F.silu(z)


class SwapC(_Exchange):
    """Each stream's scan reads its state with the *other* stream's C; no z half (Sigma's cross Mamba block)."""

    gate = False
    swapped = ("C",)

    def __init__(self, config: CifrConfig, width: int) -> None:
        super().__init__(config, width)
        self.after = nn.ModuleList(nn.LayerNorm(config.expand * width) for _ in range(2))

    def leave(self, u: Tensor, z: Tensor, stream: int) -> Tensor:
        return self.after[stream](u)


class SwapAll(_Exchange):
    """Value and z from the own stream; dt, B and C from the other (COMO's and FusionMamba's exchange)."""

    swapped = ("dt", "B", "C")


class Concat(nn.Module):
    """One scan over [text; image] there and back; each part is then scaled by what is excited from the mean of the
    other (Sigma's concat Mamba block)."""

    def __init__(self, config: CifrConfig, width: int) -> None:
        super().__init__()
        E = config.expand * width
        self.block = MambaBlock(config.shape(width), gate=False)
        self.excite = nn.ModuleList(
            nn.Sequential(nn.Linear(E, max(4, E // 8)), nn.ReLU(), nn.Linear(max(4, E // 8), E), nn.Sigmoid())
            for _ in range(2)
        )

    def forward(self, x: Tensor, y: Tensor, keep_x: Tensor, keep_y: Tensor) -> Streams:
        block = self.block
        inner = merge(block.halves(x)[0], block.halves(y)[0], keep_x, keep_y, interleave=False)
        u_x, u_y = inner.split(block.scan(inner.v, inner.keep))
        from_text, from_image = self.excite
        scale_x, scale_y = from_image(mean_of(u_y, keep_y))[:, None], from_text(mean_of(u_x, keep_x))[:, None]
        return x + block.out(u_x * scale_x, keep_x), y + block.out(u_y * scale_y, keep_y)


class Interleave(nn.Module):
    """The literal reading of "interleaved": text and image positions alternate in one sequence, which one Mamba block
    reads both ways."""

    def __init__(self, config: CifrConfig, width: int) -> None:
        super().__init__()
        self.block = MambaBlock(config.shape(width))

    def forward(self, x: Tensor, y: Tensor, keep_x: Tensor, keep_y: Tensor) -> Streams:
        merged = merge(x, y, keep_x, keep_y, interleave=True)
        return merged.split(self.block(merged.v, merged.keep))


class Sum(_Pair):
    """Two Mambas whose outputs are added before W_out (Pan-Mamba v3, MambaDFuse)."""

    def forward(self, x: Tensor, y: Tensor, keep_x: Tensor, keep_y: Tensor) -> Streams:
        (x_in, z_x), (y_in, z_y) = self.text.halves(x), self.image.halves(y)
        u_x, u_y = self.text.scan(x_in, keep_x) * F.silu(z_x), self.image.scan(y_in, keep_y) * F.silu(z_y)
        to_x, to_y = u_x + self.over(u_y, keep_y, keep_x), u_y + self.over(u_x, keep_x, keep_y)
        return x + self.text.out(to_x, keep_x), y + self.image.out(to_y, keep_y)


class TokenSwap(_Pair):
    """The first half of the channels changes streams, then two Mambas (Pan-Mamba's token swapping)."""

    def forward(self, x: Tensor, y: Tensor, keep_x: Tensor, keep_y: Tensor) -> Streams:
        """See the module. The residual is the own stream: a swap that changes nothing would otherwise be one."""
        half = x.shape[-1] // 2
        x_in = torch.cat([self.over(y[..., :half], keep_y, keep_x), x[..., half:]], dim=-1)
        y_in = torch.cat([self.over(x[..., :half], keep_x, keep_y), y[..., half:]], dim=-1)
        return x + self.text(x_in, keep_x) - x_in, y + self.image(y_in, keep_y) - y_in


class Coupled(_Pair):
    """Two Mambas; between layers each stream is added what a small network makes of the other's output (Coupled Mamba,
    as its program does it)."""

    def __init__(self, config: CifrConfig, width: int) -> None:
        super().__init__(config, width)
        self.to_text, self.to_image = (FeedForward(width, width, width) for _ in range(2))

    def forward(self, x: Tensor, y: Tensor, keep_x: Tensor, keep_y: Tensor) -> Streams:
        x, y = self.text(x, keep_x), self.image(y, keep_y)
        to_x, to_y = self.over(self.to_text(y), keep_y, keep_x), self.over(self.to_image(x), keep_x, keep_y)
        return x + to_x, y + to_y


class CrossAttention(nn.Module):
    """M3AE's co-attention layer, which the paper replaced: each stream attends to itself, then to the other."""

    def __init__(self, config: CifrConfig, width: int) -> None:
        super().__init__()
        dropout = config.dropout or 0.0
        shape = BlockShape(width, HEADS, 4 * width, dropout, attention_dropout=dropout)
        self.text, self.image = (QueryBlock(shape, crosses=True) for _ in range(2))

    def forward(self, x: Tensor, y: Tensor, keep_x: Tensor, keep_y: Tensor) -> Streams:
        return self.text(x, y, keep_x, keep_y), self.image(y, x, keep_y, keep_x)


VARIANTS: dict[str, Callable[[CifrConfig, int], nn.Module]] = {
    "swapC": SwapC,
    "swapAll": SwapAll,
    "concat": Concat,
    "interleave": Interleave,
    "sum": Sum,
    "tokenswap": TokenSwap,
    "coupled": Coupled,
    "xattn": CrossAttention,
}
