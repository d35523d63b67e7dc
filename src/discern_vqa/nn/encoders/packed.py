"""BERT's layers over the positions of a text that are used, without the padding around them.

A batch of short questions is half padding. What works on each position alone (projections, norms, the feed-forward
part: nearly all of a layer) is computed here for the used positions only, packed one behind the other; attention alone
sees the texts side by side. The same arithmetic as `BertLayer` with plain attention, without dropout.
"""

from typing import Any

import torch
from torch import Tensor, nn


def are_packable(layers: nn.ModuleList) -> bool:
    """Whether these are BERT's layers, here or in `transformers`, or RoBERTa's of there, which are the same."""
    return all(type(layer).__name__ in ("BertLayer", "RobertaLayer") for layer in layers)


def penalty_of(keep: Tensor, states: Tensor) -> Tensor:
    """(B, 1, 1, M) for what `keep` (B, M) leaves out of attention, as transformers' plain attention adds it."""
    penalty = torch.zeros(keep.shape, dtype=states.dtype, device=states.device)
    return penalty.masked_fill(~keep, torch.finfo(states.dtype).min)[:, None, None]


def packed(layers: nn.ModuleList, states: Tensor, keep: Tensor, used: Tensor) -> Tensor:
    """States (B, M, c) below `layers` -> those above them at the positions `used` (B, M), 0 elsewhere. Attention reads
    the positions `keep` (B, M), of which every one is used."""
    batch, length, width = states.shape
    places = used.flatten().nonzero()[:, 0]
    penalty = penalty_of(keep, states)

    def beside(packed_rows: Tensor, heads: int) -> Tensor:
        """(U, c) -> (B, heads, M, c / heads)."""
        padded = packed_rows.new_zeros(batch * length, width).index_copy(0, places, packed_rows)
        return padded.view(batch, length, heads, -1).transpose(1, 2)

    v = states.flatten(0, 1)[places]
    for module in layers:
        layer: Any = module  # its annotations do not say what its parts are
        attention = layer.attention.self
        heads = attention.num_attention_heads
        query, key, value = (beside(part(v), heads) for part in (attention.query, attention.key, attention.value))
        weights = (query @ key.transpose(2, 3) * attention.scaling + penalty).softmax(-1)
        read = (weights @ value).transpose(1, 2).reshape(batch * length, width)[places]
        v = layer.feed_forward_chunk(layer.attention.output(read, v))
    return v.new_zeros(batch * length, width).index_copy(0, places, v).view(batch, length, width)
