"""BERT's encoder (Devlin et al. 2019), with the names and the settings of the weights that `transformers` publishes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discern_vqa.nn.encoders.packed import penalty_of
from discern_vqa.nn.encoders.plain_weights import Embedding, Linear, drawn, opened

_DEFAULTS = {
    "vocab_size": 30_522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
"""What a config.json leaves out."""
_ASKED = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute", "is_decoder": False}
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
"""How all-MiniLM-L6-v2 differs from BERT's base size."""


class Embeddings(nn.Module):
    """The sum of a word's, a position's and the first segment's vector, normalised."""

    position_ids: Tensor
    token_type_ids: Tensor

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = Embedding(config.vocab_size, width, padding_idx=config.pad_token_id)
        self.position_embeddings = Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        # As `transformers` has them: digests of frozen encoders are taken of them.
        positions = torch.arange(config.max_position_embeddings)[None]
        self.register_buffer("position_ids", positions, persistent=False)
        self.register_buffer("token_type_ids", torch.zeros_like(positions), persistent=False)

    def forward(self, words: Tensor, places: Tensor) -> Tensor:
        """words (B, M, c) vectors of words; places (1, M) or (B, M) their positions."""
        segment = self.token_type_embeddings(self.token_type_ids[:, :1])
        return self.dropout(self.LayerNorm(words + segment + self.position_embeddings(places)))


class Heads(nn.Module):
    """Self-attention. Plain: as printed, with weights that can be looked at; else torch's fused kernel."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width = config.hidden_size
        self.query, self.key, self.value = (Linear(width, width) for _ in range(3))
        self.num_attention_heads = config.num_attention_heads
        self.scaling = (width // config.num_attention_heads) ** -0.5
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)
        self.is_plain = False

    def forward(self, v: Tensor, penalty: Tensor) -> Tensor:
        """v (B, M, c); penalty (B, 1, 1, M) is added to the scores. (B, M, c)."""
        query, key, value = (
            part(v).unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        if self.is_plain:
            weights = (query @ key.transpose(2, 3) * self.scaling + penalty).softmax(-1)
            read = self.dropout(weights) @ value
        else:
            share = self.dropout.p if self.training else 0.0
            read = F.scaled_dot_product_attention(query, key, value, penalty, share, scale=self.scaling)
        return read.transpose(1, 2).flatten(2)


class Residual(nn.Module):
    """A projection whose result is added to what was there before, and normalised."""

    def __init__(self, inputs: int, config: Any) -> None:
        super().__init__()
        self.dense = Linear(inputs, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        return self.LayerNorm(self.dropout(self.dense(x)) + before)


class Attention(nn.Module):
    """`self` and `output`, as published weights name them."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.self = Heads(config)
        self.output = Residual(config.hidden_size, config)


class BertLayer(nn.Module):
    """Attention, then the feed-forward network."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = nn.ModuleDict({"dense": Linear(config.hidden_size, config.intermediate_size)})
        self.output = Residual(config.intermediate_size, config)

    def forward(self, v: Tensor, penalty: Tensor) -> Tensor:
        """v (B, M, c); penalty (B, 1, 1, M)."""
        return self.feed_forward_chunk(self.attention.output(self.attention.self(v, penalty), v))

    def feed_forward_chunk(self, v: Tensor) -> Tensor:
        """The second half, of each position alone: (..., c)."""
        return self.output(F.gelu(self.intermediate["dense"](v)), v)


class Layers(nn.Module):
    """`layer`, as published weights name them."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.layer = nn.ModuleList(BertLayer(config) for _ in range(config.num_hidden_layers))


class Bert(nn.Module):
    """Ids (B, M) to states (B, M, c), called as BERT of `transformers` is."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config = SimpleNamespace(**config)
        self.embeddings = Embeddings(self.config)
        self.encoder = Layers(self.config)

    def get_input_embeddings(self) -> nn.Module:
        """From ids to vectors of words."""
        return self.embeddings.word_embeddings

    def set_attn_implementation(self, name: str) -> None:
        """name: "eager" (plain), or "sdpa" (fused)."""
        for layer in self.encoder.layer:
            cast(BertLayer, layer).attention.self.is_plain = name == "eager"

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> SimpleNamespace:
        """Ids, or vectors of words in their place; attention_mask (B, M): 1 a real token; position_ids (1, M): where
        the tokens stand, in turn unless it is given. The states as `last_hidden_state`."""
        words = self.embeddings.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        places = self.embeddings.position_ids[:, : words.shape[1]] if position_ids is None else position_ids
        v = self.embeddings(words, places)
        keep = torch.ones(v.shape[:2], device=v.device) if attention_mask is None else attention_mask
        penalty = penalty_of(keep > 0, v)
        for layer in self.encoder.layer:
            v = layer(v, penalty)
        return SimpleNamespace(last_hidden_state=v)


def bert(folder: Path | None) -> tuple[Bert, list[str]] | None:
    """The network of a folder and the names of what no file filled, as `from_folder`; None of another network, or of
    weights that are not whole. Without a folder, all of it is random, in the size of all-MiniLM-L6-v2."""
    if folder is None:
        return drawn(lambda: Bert({**_DEFAULTS, **MINILM, "model_type": "bert"})), ["all"]
    return opened(Bert, folder, _ASKED, _DEFAULTS, "bert.")
