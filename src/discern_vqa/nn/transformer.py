"""Textbook transformer parts: the post-norm block of CMDPI Eq. 3, attention, builders. Letters: docs/notation.md."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class Dropout(nn.Module):
    """Dropout whose mask on a CPU is made of random bytes: the usual one draws a double for every number, and took a
    third of a whole training step. There p is rounded to 1/256, and the scale with it; the seed is torch's."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """x with a share p of its numbers set to 0 and the others scaled up; x itself in eval mode."""
        if not self.training or self.p == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        out_of_256 = max(1, round(self.p * 256))
        seed = int(torch.randint(2**62, (1,)))
        drawn = np.frombuffer(np.random.Generator(np.random.SFC64(seed)).bytes(x.numel()), dtype=np.uint8)
        mask = torch.from_numpy(drawn >= out_of_256).view(x.shape)
        return x * mask.to(x.dtype).mul_(256 / (256 - out_of_256))


EPS = 1e-5  # PyTorch's own epsilon of a LayerNorm


@dataclass(frozen=True)
class BlockShape:
    """Sizes and dropouts of a `PostNormBlock`."""

    width: int
    heads: int
    ffn: int
    dropout: float = 0.0
    attention_dropout: float = 0.0
    eps: float = EPS  # of the norms
    inner_dropout: bool = True  # between the FFN's two layers too, as PyTorch's layer has it


class PostNormBlock(nn.Module):
    """One layer of Eq. 3: v' = LN(MHA(v) + v); v = LN(FFN(v') + v'), with GELU.

    Equals `nn.TransformerEncoderLayer(width, heads, ffn, activation="gelu", norm_first=False)` with the same weights;
    ours can return the attention weights and share one fused call with a key mask. 3,152,384 parameters at width 512,
    ffn 2,048.
    """

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        width, ffn = shape.width, shape.ffn
        self.heads, self.attention_dropout = shape.heads, shape.attention_dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.expand, self.shrink = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norm_attention, self.norm_ffn = nn.LayerNorm(width, shape.eps), nn.LayerNorm(width, shape.eps)
        self.drop, self.drop_inner = Dropout(shape.dropout), Dropout(shape.dropout if shape.inner_dropout else 0.0)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, v: Tensor, keep: Tensor | None = None) -> Tensor:
        """v (B, T, d); keep (B, T) True = may be attended to. Returns (B, T, d)."""
        return self.feed_forward(self.norm_attention(v + self.drop(self.attend(v, keep))))

    def at(self, v: Tensor, keep: Tensor | None, place: Tensor) -> Tensor:
        """As `forward`, of one position of each row alone, place (B,): (B, d). A last layer of which no more is read
        costs a sixth."""
        width = v.shape[-1]
        one = v[torch.arange(v.shape[0], device=v.device), place][:, None]
        q = rearrange(
            F.linear(one, self.qkv.weight[:width], self.qkv.bias[:width]), "b t (a e) -> b a t e", a=self.heads
        )
        pair = F.linear(v, self.qkv.weight[width:], self.qkv.bias[width:])
        k, values = rearrange(pair, "b t (two a e) -> two b a t e", two=2, a=self.heads)
        mask = None if keep is None else keep[:, None, None, :]
        joined = attended(q, k, values, mask, self.attention_dropout if self.training else 0.0)
        attention = self.out(rearrange(joined, "b a t e -> b t (a e)"))
        return self.feed_forward(self.norm_attention(one + self.drop(attention)))[:, 0]

    def feed_forward(self, v: Tensor) -> Tensor:
        """The second half of the block."""
        return self.norm_ffn(v + self.drop(self.shrink(self.drop_inner(F.gelu(self.expand(v))))))

    def attend(self, v: Tensor, keep: Tensor | None) -> Tensor:
        """MHA(v), heads joined."""
        q, k, values = rearrange(self.qkv(v), "b t (three a e) -> three b a t e", three=3, a=self.heads)
        mask = None if keep is None else keep[:, None, None, :]
        joined = attended(q, k, values, mask, self.attention_dropout if self.training else 0.0)
        return self.out(rearrange(joined, "b a t e -> b t (a e)"))

    def attention(self, v: Tensor, keep: Tensor | None) -> Tensor:
        """The attention weights (B, heads, T, T) of this block for input v: rows are queries."""
        q, k, _ = rearrange(self.qkv(v), "b t (three a e) -> three b a t e", three=3, a=self.heads)
        return attention_weights(q, k, None if keep is None else keep[:, None, None, :])


class Attention(nn.Module):
    """Multi-head attention of one sequence to another (or to itself), with weights that can be looked at.

    `keys` are a method of their own: a decoder computes those of what it reads once and uses them at every word.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.pair = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        for linear in (self.query, self.pair, self.out):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def keys(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """seen (B, S, width) -> keys and values, (B, heads, S, e) each."""
        k, values = rearrange(self.pair(seen), "b s (two a e) -> two b a s e", two=2, a=self.heads)
        return k, values

    def forward(self, v: Tensor, keys: tuple[Tensor, Tensor], may: Tensor | None = None) -> Tensor:
        """v (B, T, width) -> (B, T, width). may, to be broadcast to (B, heads, T, S): True = may be attended to."""
        q = rearrange(self.query(v), "b t (a e) -> b a t e", a=self.heads)
        joined = attended(q, *keys, may, self.dropout if self.training else 0.0)
        return self.out(rearrange(joined, "b a t e -> b t (a e)"))

    def weights(self, v: Tensor, keys: tuple[Tensor, Tensor], may: Tensor | None = None) -> Tensor:
        """The attention weights (B, heads, T, S): rows are queries, and sum to 1."""
        return attention_weights(rearrange(self.query(v), "b t (a e) -> b a t e", a=self.heads), keys[0], may)


def attended(q: Tensor, k: Tensor, values: Tensor, may: Tensor | None, dropout: float) -> Tensor:
    """softmax(q k^T / sqrt(e)) values, (B, heads, T, e)."""
    if q.device.type == "cpu" and torch.is_grad_enabled():
        # The fused kernel's backward pass is 5 to 10 times slower than plain products here (bf16, T about 90).
        return F.dropout(attention_weights(q, k, may), dropout) @ values
    return F.scaled_dot_product_attention(q, k, values, attn_mask=may, dropout_p=dropout)


def attention_weights(q: Tensor, k: Tensor, may: Tensor | None) -> Tensor:
    """softmax(q k^T / sqrt(e)), (B, heads, T, S); where `may` is False nothing is attended to."""
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
    if may is not None:
        scores = scores.masked_fill(~may, torch.finfo(scores.dtype).min)
    return scores.softmax(-1, dtype=scores.dtype)


class FeedForward(nn.Sequential):
    """Linear - GELU - Linear."""

    def __init__(self, inner: int, hidden: int, outer: int) -> None:
        super().__init__(nn.Linear(inner, hidden), nn.GELU(), nn.Linear(hidden, outer))
