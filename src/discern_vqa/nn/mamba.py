"""The Mamba block (Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces"), padding-exact, in
one direction or both. The recurrence itself is `nn.scan`.

    [x, z] = norm(v) W_in            x, z (B, L, E)
    x~ = SiLU(conv(x))               depthwise, over 4 positions
    [delta, B_t, C_t] = x~ W_x       (rank, S, S)
    dt = softplus(delta W_dt + b_dt)
    u = scan(x~, dt, A, B, C, D)     A = -exp(A_log)
    v + (u * SiLU(z)) W_out

Padding is 0 for the convolution and left out by the scan, whose state passes it unchanged: to the last bit, whichever
side it is on. Letters: B rows, L positions, E inner width, S states (the paper's N), docs/notation.md.
"""

import math
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discern_vqa.nn.scan import selective_scan
from discern_vqa.nn.transformer import Dropout

KERNEL = 4  # the positions that the convolution covers
DT_MIN, DT_MAX, DT_FLOOR = 1e-3, 1e-1, 1e-4  # range of the first dt, the Mamba paper's


@dataclass(frozen=True)
class MambaShape:
    """Sizes and switches of a block."""

    width: int  # d
    inner: int  # E
    states: int = 16  # S
    bidirectional: bool = True
    norm: Literal["layer", "biasless"] = "layer"  # "biasless": CMI-MTL as released, see `BiaslessNorm`
    dropout: float = 0.0
    depth: int = 1  # the number of blocks in a row, by whose root the first W_out is divided

    @property
    def dt_rank(self) -> int:
        """R, the rank of dt: a sixteenth of the width, rounded up."""
        return math.ceil(self.width / 16)


@dataclass(frozen=True)
class Driven:
    """What drives a scan, in the sequence's own order: x~ (B, L, E), dt (B, L, E), B and C (B, L, S), keep (B, L)."""

    x: Tensor
    dt: Tensor
    B: Tensor
    C: Tensor
    keep: Tensor | None = None


class SelectiveSsm(nn.Module):
    """Causal convolution and selective scan in one direction; `reverse` runs from the end to the beginning."""

    def __init__(self, shape: MambaShape, reverse: bool = False) -> None:
        super().__init__()
        E, S, R = shape.inner, shape.states, shape.dt_rank
        self.reverse, self.splits = reverse, [R, S, S]
        bound = 1 / math.sqrt(KERNEL)
        self.taps = nn.Parameter(torch.empty(KERNEL, E).uniform_(-bound, bound))
        self.taps.weight_decay = True  # type: ignore[attr-defined]  # a kernel, under a name of its own
        self.tap_bias = nn.Parameter(torch.empty(E).uniform_(-bound, bound))
        self.x_proj = nn.Linear(E, R + 2 * S, bias=False)
        self.dt_proj = nn.Linear(R, E)
        nn.init.uniform_(self.dt_proj.weight, -(R**-0.5), R**-0.5)
        dt = torch.exp(torch.empty(E).uniform_(math.log(DT_MIN), math.log(DT_MAX))).clamp(min=DT_FLOOR)
        with torch.no_grad():
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # softplus of this is dt
        self.A_log = nn.Parameter(torch.arange(1.0, S + 1).repeat(E, 1).log())
        self.A_log.weight_decay = False  # type: ignore[attr-defined]
        self.D = nn.Parameter(torch.ones(E))

    def read(self, x: Tensor, keep: Tensor | None = None) -> Driven:
        """x (B, L, E), keep (B, L) True = a real position -> what drives the scan."""
        x = F.silu(self._convolve(x if keep is None else x * keep[..., None]))
        delta, B, C = self.x_proj(x).split(self.splits, dim=-1)
        return Driven(x, F.softplus(_full(self.dt_proj(delta))), B, C, keep)

    def scan(self, driven: Driven) -> Tensor:
        """u (B, L, E)."""
        A = -torch.exp(_full(self.A_log))
        return selective_scan(
            driven.x, driven.dt, A, driven.B, driven.C, self.D, keep=driven.keep, reverse=self.reverse
        )

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """u (B, L, E) of x (B, L, E)."""
        return self.scan(self.read(x, keep))

    def _convolve(self, x: Tensor) -> Tensor:
        """Depthwise convolution over time as a sum of shifted copies: nothing has to be transposed for it. In reverse
        the taps reach the other way."""
        length, before = x.shape[1], KERNEL - 1
        padded = F.pad(x, (0, 0, 0, before) if self.reverse else (0, 0, before, 0))
        taps = self.taps.flip(0) if self.reverse else self.taps
        if torch.compiler.is_exporting():  # one node of a graph instead of sixteen
            kernel = taps.T[:, None]  # (E 1 KERNEL)
            return F.conv1d(padded.transpose(1, 2), kernel, self.tap_bias, groups=kernel.shape[0]).transpose(1, 2)
        total: Tensor = self.tap_bias
        for place in range(KERNEL):
            total = total + padded[:, place : place + length] * taps[place]
        return total.to(x.dtype)


class MambaBlock(nn.Module):
    """norm, W_in, one scan or two, W_out. `gate`: with a z half (the Mamba block), or without (nothing but x).

    A second direction has its own convolution, W_x, W_dt, A and D; W_in and W_out serve both, and u is their mean.
    """

    def __init__(self, shape: MambaShape, gate: bool = True) -> None:
        super().__init__()
        self.gate = gate
        self.norm: nn.Module = nn.LayerNorm(shape.width) if shape.norm == "layer" else BiaslessNorm(shape.width)
        self.enter = nn.Linear(shape.width, (2 if gate else 1) * shape.inner, bias=False)
        ways = (False, True) if shape.bidirectional else (False,)
        self.ways = nn.ModuleList(SelectiveSsm(shape, reverse) for reverse in ways)
        self.leave = nn.Linear(shape.inner, shape.width, bias=False)
        with torch.no_grad():
            self.leave.weight.div_(math.sqrt(shape.depth))
        self.drop = Dropout(shape.dropout)

    def halves(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """v (B, L, d) -> x and z (B, L, E) before the convolution; z is x where there is no gate."""
        x = self.enter(self.norm(v))
        if not self.gate:
            return x, x
        x, z = x.chunk(2, dim=-1)
        return x, z

    @property
    def directions(self) -> list[SelectiveSsm]:
        """The scans; `ways` holds them as modules, whose type it forgets."""
        return cast(list[SelectiveSsm], list(self.ways))

    def scan(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """u (B, L, E): the mean of both directions."""
        return torch.stack([way(x, keep) for way in self.ways]).mean(0) if len(self.ways) > 1 else self.ways[0](x, keep)

    def out(self, u: Tensor, keep: Tensor | None = None) -> Tensor:
        """What is added to the stream, (B, L, d); nothing at padding."""
        added = self.drop(self.leave(u))
        return added if keep is None else added * keep[..., None]

    def forward(self, v: Tensor, keep: Tensor | None = None) -> Tensor:
        """v (B, L, d), keep (B, L) True = a real position -> (B, L, d)."""
        x, z = self.halves(v)
        u = self.scan(x, keep)
        return v + self.out(u * F.silu(z) if self.gate else u, keep)


class BiaslessNorm(nn.LayerNorm):
    """CMI-MTL's LayerNorm as released (D4 of cmi_mtl.md 1.4): it has a bias and never adds it, and the weight of an
    RMSNorm that is never used. Both are kept, so that sizes and weight files agree."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.rms_weight = nn.Parameter(torch.ones(width))

    def forward(self, v: Tensor) -> Tensor:
        """(..., width) -> the same: mean 0 and variance 1, scaled."""
        return F.layer_norm(v, self.normalized_shape, self.weight, None, self.eps)


def _full(x: Tensor) -> Tensor:
    """In single precision at least: dt and A decide over many steps at once."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
