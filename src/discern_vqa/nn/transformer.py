"""Textbook transformer parts: the post-norm block of CMDPI Eq. 3 and small builders. Letters: docs/notation.md."""

import math

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
        kept = torch.from_numpy(drawn >= out_of_256).view(x.shape)
        return x * kept.to(x.dtype).mul_(256 / (256 - out_of_256))


class PostNormBlock(nn.Module):
    """One layer of Eq. 3: v' = LN(MHA(v) + v); v = LN(FFN(v') + v'), with GELU.

    Equals `nn.TransformerEncoderLayer(width, heads, ffn, activation="gelu", norm_first=False)` with the same weights;
    ours can return the attention weights and share one fused call with a key mask. 3,152,384 parameters at width 512,
    ffn 2,048.
    """

    def __init__(self, width: int, heads: int, ffn: int, dropout: float = 0.0, attention_dropout: float = 0.0) -> None:
        super().__init__()
        self.heads, self.attention_dropout = heads, attention_dropout
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.expand, self.shrink = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norm_attention, self.norm_ffn = nn.LayerNorm(width), nn.LayerNorm(width)
        self.drop = Dropout(dropout)
        nn.init.xavier_uniform_(self.qkv.weight)
        nn.init.zeros_(self.qkv.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, v: Tensor, keep: Tensor | None = None) -> Tensor:
        """v (B, T, d); keep (B, T) True = may be attended to. Returns (B, T, d)."""
        return self.feed_forward(self.norm_attention(v + self.drop(self.attend(v, keep))))

    def feed_forward(self, v: Tensor) -> Tensor:
        """The second half of the block."""
        return self.norm_ffn(v + self.drop(self.shrink(self.drop(F.gelu(self.expand(v))))))

    def attend(self, v: Tensor, keep: Tensor | None) -> Tensor:
        """MHA(v), heads joined."""
        q, k, values = rearrange(self.qkv(v), "b t (three a e) -> three b a t e", three=3, a=self.heads)
        mask = None if keep is None else keep[:, None, None, :]
        drop = self.attention_dropout if self.training else 0.0
        if v.device.type == "cpu" and torch.is_grad_enabled():
            # The fused kernel's backward pass is 5 to 10 times slower than plain products here (bf16, T about 90).
            joined = F.dropout(self._weights(q, k, mask), drop) @ values
        else:
            joined = F.scaled_dot_product_attention(q, k, values, attn_mask=mask, dropout_p=drop)
        return self.out(rearrange(joined, "b a t e -> b t (a e)"))

    @staticmethod
    def _weights(q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
        if mask is not None:
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        return scores.softmax(-1, dtype=scores.dtype)

    def attention(self, v: Tensor, keep: Tensor | None) -> Tensor:
        """The attention weights (B, heads, T, T) of this block for input v: rows are queries."""
        q, k, _ = rearrange(self.qkv(v), "b t (three a e) -> three b a t e", three=3, a=self.heads)
        return self._weights(q, k, None if keep is None else keep[:, None, None, :])


class FeedForward(nn.Sequential):
    """Linear - GELU - Linear."""

    def __init__(self, inner: int, hidden: int, outer: int) -> None:
        super().__init__(nn.Linear(inner, hidden), nn.GELU(), nn.Linear(hidden, outer))
