"""A query transformer (Li et al., "BLIP-2", its Q-Former): K learned vectors read an image and come back as K regions.

Post-norm layers: the queries attend to each other, in every `every`-th layer also to the image, then a feed-forward
network. Letters: K queries, S places of what is read, d width.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from discern_vqa.nn.transformer import Attention, PostNormBlock

MAPS_OF = 2
"""Relevance is averaged over so many of the last layers that look at the image."""


class QueryBlock(PostNormBlock):
    """One layer: z = LN(MHA(z) + z); z = LN(attention to `seen` + z) where it crosses; z = LN(FFN(z) + z)."""

    def __init__(self, width: int, heads: int, ffn: int, dropout: float, crosses: bool, inner: int = 0) -> None:
        super().__init__(width, heads, ffn, dropout, dropout)
        self.crosses = crosses
        if crosses:
            self.cross = Attention(width, heads, dropout, inner)
            self.norm_cross = nn.LayerNorm(width)

    def forward(  # type: ignore[override]
        self, z: Tensor, seen: Tensor, keep: Tensor | None = None, keep_seen: Tensor | None = None
    ) -> Tensor:
        """z (B, K, d), seen (B, S, inner), keep (B, K) and keep_seen (B, S) True = may be attended to."""
        z = self.between(z, keep)
        if self.crosses:
            may = None if keep_seen is None else keep_seen[:, None, None, :]
            z = self.norm_cross(z + self.drop(self.cross(z, self.cross.keys(seen), may)))
        return self.feed_forward(z)

    def between(self, z: Tensor, keep: Tensor | None) -> Tensor:
        """The queries' attention to each other: what asks of the image."""
        return self.norm_attention(z + self.drop(self.attend(z, keep)))


@dataclass(frozen=True)
class Queried:
    """Z (B, K, d); maps (B, K, S): where each query looked, the mean over heads and the last layers, or none."""

    Z: Tensor
    maps: Tensor | None


class QueryTransformer(nn.Module):
    """K learned queries through `layers` layers of `QueryBlock`."""

    def __init__(
        self, width: int, queries: int, layers: int, heads: int, ffn: int, dropout: float, every: int = 2
    ) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, width) * 0.02)
        self.enter = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            QueryBlock(width, heads, ffn, dropout, crosses=number % every == 0) for number in range(layers)
        )

    def forward(
        self, seen: Tensor, words: Tensor | None = None, keep: Tensor | None = None, maps: bool = False
    ) -> Queried:
        """seen (B, S, d) -> Z (B, K, d).

        words (B, M, d), keep (B, M) True = a real one: further queries, which the learned ones may attend to and
        which do not come back (a query transformer that knows the question). maps: also say where each query looked.
        """
        K, z, may = len(self.queries), self.queries.expand(len(seen), -1, -1), None
        if words is not None:
            z = torch.cat([z, words], dim=1)
            may = torch.cat([keep.new_ones(len(z), K), keep], dim=1) if keep is not None else None
        z = self.drop(self.enter(z))
        looked: list[Tensor] = []
        for module in self.blocks:
            block = cast(QueryBlock, module)
            if maps and block.crosses:
                asking = block.between(z, may)[:, :K]
                looked.append(block.cross.weights(asking, block.cross.keys(seen)).mean(1))
            z = block(z, seen, may)
        return Queried(z[:, :K], torch.stack(looked[-MAPS_OF:]).mean(0) if looked else None)
