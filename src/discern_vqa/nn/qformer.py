"""A query transformer (Li et al., "BLIP-2", its Q-Former): K learned vectors read an image and come back as K regions.

Post-norm layers: the queries attend to each other, in every `every`-th layer also to the image, then a feed-forward
network. Letters: K queries, S places of what is read, d width.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from discern_vqa.errors import ConfigError
from discern_vqa.nn.encoders.base import from_folder
from discern_vqa.nn.encoders.bert import bert
from discern_vqa.nn.transformer import Attention, BlockShape, PostNormBlock

BERT_EPS = 1e-12  # epsilon of the norms of every BERT that is known here
MAPS_OF = 2  # relevance is averaged over so many of the last layers that look at the image


class QueryBlock(PostNormBlock):
    """One layer: z = LN(MHA(z) + z); z = LN(attention to `seen` + z) where it crosses; z = LN(FFN(z) + z). With
    BERT's `eps` and without `inner_dropout` it is BERT's layer, but for what crosses."""

    def __init__(self, shape: BlockShape, crosses: bool) -> None:
        super().__init__(shape)
        self.crosses = crosses
        if crosses:
            self.cross = Attention(shape.width, shape.heads, shape.dropout)
            self.norm_cross = nn.LayerNorm(shape.width, shape.eps)

    def forward(  # type: ignore[override]
        self, z: Tensor, seen: Tensor, keep: Tensor | None = None, keep_seen: Tensor | None = None
    ) -> Tensor:
        """z (B, K, d), seen (B, S, d), keep (B, K) and keep_seen (B, S) True = may be attended to."""
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
    """Z (B, K, d); maps (B, K, S) and, of queries that are words, word_maps (B, M, S): where each looked, the mean over
    heads and the last layers, or none."""

    Z: Tensor
    maps: Tensor | None
    word_maps: Tensor | None = None


class QueryTransformer(nn.Module):
    """K learned queries through `layers` layers of `QueryBlock`, every `every`-th of which crosses."""

    def __init__(self, shape: BlockShape, queries: int, layers: int, every: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, shape.width) * 0.02)
        self.enter = nn.LayerNorm(shape.width, shape.eps)
        self.drop = nn.Dropout(shape.dropout)
        self.blocks = nn.ModuleList(QueryBlock(shape, crosses=number % every == 0) for number in range(layers))

    def forward(
        self, seen: Tensor, words: Tensor | None = None, keep: Tensor | None = None, maps: bool = False
    ) -> Queried:
        """seen (B, S, d) -> Z (B, K, d).

        words (B, M, d), keep (B, M) True = a real one: further queries, which the learned ones may attend to and
        which do not come back (a query transformer that knows the question). maps: also say where each query looked.
        """
        K, z, may = len(self.queries), self.queries.expand(seen.shape[0], -1, -1), None
        if words is not None:
            z = torch.cat([z, words], dim=1)
            may = torch.cat([keep.new_ones(z.shape[0], K), keep], dim=1) if keep is not None else None
        z = self.drop(self.enter(z))
        looked: list[Tensor] = []
        for module in self.blocks:
            block = cast(QueryBlock, module)
            if maps and block.crosses:
                asking = block.between(z, may)
                looked.append(block.cross.weights(asking, block.cross.keys(seen)).mean(1))
            z = block(z, seen, may)
        if not looked:
            return Queried(z[:, :K], None)
        maps_of_all = torch.stack(looked[-MAPS_OF:]).mean(0)
        return Queried(z[:, :K], maps_of_all[:, :K], None if words is None else maps_of_all[:, K:])


@torch.no_grad()
def start_from_bert(net: QueryTransformer, folder: Path) -> list[str]:
    """Self-attention and feed-forward networks of a BERT become those of the query transformer, as BLIP-2 starts its
    own; queries and attention to the image stay random, and their names are returned.

    Raises ConfigError when BERT's layers are of another number or size, or its norms of another epsilon: the recipe
    says both, so that a run opens without its BERT.
    """
    own = bert(folder)
    found: Any = from_folder("BertModel", folder, add_pooling_layer=False)[0] if own is None else own[0]
    block = cast(QueryBlock, net.blocks[0])
    ours = (len(net.blocks), net.queries.shape[1], block.heads, block.expand.out_features)
    config = found.config
    theirs = (config.num_hidden_layers, config.hidden_size, config.num_attention_heads, config.intermediate_size)
    if ours != theirs:
        raise ConfigError(
            f"[model.fvta] weights: {folder.name} has (layers, width, heads, ffn) = {theirs}, the recipe {ours}",
            hint='set them to the same numbers, or weights = ""',
        )
    if config.layer_norm_eps != net.enter.eps:
        raise ConfigError(
            f"[model.fvta] weights: the norms of {folder.name} have eps = {config.layer_norm_eps}, the recipe's "
            f"{net.enter.eps}",
            hint=f"fvta.eps = {config.layer_norm_eps}",
        )
    pairs: list[tuple[nn.Module, nn.Module]] = [(net.enter, found.embeddings.LayerNorm)]
    for module, layer in zip(net.blocks, found.encoder.layer, strict=True):
        block, attention = cast(QueryBlock, module), layer.attention
        for name in ("weight", "bias"):
            parts = [getattr(attention.self, part).get_parameter(name) for part in ("query", "key", "value")]
            block.qkv.get_parameter(name).copy_(torch.cat(parts))
        pairs += [
            (block.out, attention.output.dense),
            (block.norm_attention, attention.output.LayerNorm),
            (block.expand, layer.intermediate.dense),
            (block.shrink, layer.output.dense),
            (block.norm_ffn, layer.output.LayerNorm),
        ]
    for part, source in pairs:
        part.load_state_dict(source.state_dict())
    return [name for name, _ in net.named_parameters() if "cross" in name or name == "queries"]
