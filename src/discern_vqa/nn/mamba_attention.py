"""The attention that a selective scan implies (Ali, Zimerman and Wolf 2024; cmi_mtl.md F.3): a scan is linear in what
it reads, so what position t takes from position s is a number for each channel,

    a_ts = C_t^T (exp(A sum_{r = s+1 .. t} dt_r) * B_s) dt_s        u_t = sum_{s <= t} a_ts x~_s + D x~_t

and CMI-MTL's gate, which lets a channel through or not, weighs it. Letters: B rows, L positions, E inner width, S
states.
"""

import torch
from torch import Tensor

from discern_vqa.nn.cross_mamba import CrossGate
from discern_vqa.nn.mamba import Driven, MambaBlock
from discern_vqa.nn.resample import averaging, interpolating


def implicit_attention(driven: Driven, A: Tensor, D: Tensor, reverse: bool = False) -> Tensor:
    """(B, L, L, E): what each position (second axis) takes from each (third), so that u = sum_s a_ts x~_s exactly.

    A (E, S) negative, D (E,), which stands on the diagonal. Padding gives and takes nothing. Costs L^2 E S
    exponentials: for the short sequences of questions and regions.
    """
    dt, B, C, keep = driven.dt, driven.B, driven.C, driven.keep
    if keep is not None:
        dt = dt * keep[..., None]
    if reverse:
        dt, B, C = dt.flip(1), B.flip(1), C.flip(1)
    L, run = dt.shape[1], dt.cumsum(1)
    past = run[:, :, None] - run[:, None]  # (B L L E): the sum of dt after s, up to t
    later = torch.ones(L, L, dtype=torch.bool, device=dt.device).triu(1)[None, :, :, None]
    a = torch.zeros_like(past)
    for state in range(A.shape[1]):
        decay = torch.exp((A[:, state] * past).masked_fill(later, -torch.inf))
        a += C[:, :, None, None, state] * decay * B[:, None, :, None, state]
    a = a * dt[:, None]
    a = a + torch.eye(L, device=a.device, dtype=a.dtype)[None, :, :, None] * D
    a = a.flip(1, 2) if reverse else a
    return a if keep is None else a * keep[:, :, None, None] * keep[:, None, :, None]


def block_attention(block: MambaBlock, x: Tensor, keep: Tensor | None = None) -> Tensor:
    """The same of a block's scans in all its directions, averaged as they are: (B, L, L, E)."""
    each = [implicit_attention(w.read(x, keep), -torch.exp(w.A_log), w.D, w.reverse) for w in block.directions]
    return torch.stack(each).mean(0)


def image_attention(layer: CrossGate, x: Tensor, y: Tensor, keep_x: Tensor, keep_y: Tensor) -> Tensor:
    """(B, K, K): what each region takes from each in one layer of CMI-MTL, mean over channels of |gate * a|, each row
    summing to 1."""
    first, second = layer.pair
    z_x, (y_in, z_y) = first.halves(x)[1], second.halves(y)
    a = block_attention(second, y_in, keep_y)  # (B K K E)
    gate = layer.gate(z_x, z_y, keep_x, keep_y)  # (B L E), at the words
    at_words = torch.einsum("blk,bkse->blse", averaging(keep_y, keep_x), a)
    weight = interpolating(keep_x, keep_y) @ (gate[:, :, None] * at_words).abs().mean(-1)
    return weight / weight.sum(-1, keepdim=True).clamp(min=1e-12)


def word_gates(layer: CrossGate, x: Tensor, y: Tensor, keep_x: Tensor, keep_y: Tensor) -> Tensor:
    """(B, L): how far each word opens the layer's gate: the mean over channels of |g|; nothing at padding (F.4)."""
    first, second = layer.pair
    z_x, z_y = first.halves(x)[1], second.halves(y)[1]
    return layer.gate(z_x, z_y, keep_x, keep_y).abs().mean(-1) * keep_x
