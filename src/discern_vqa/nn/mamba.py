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
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discern_vqa.errors import ConfigError
from discern_vqa.nn.scan import selective_scan
from discern_vqa.nn.scan.ssd import ssd
from discern_vqa.nn.transformer import Dropout

DT_MIN, DT_MAX, DT_FLOOR = 1e-3, 1e-1, 1e-4
"""Range of the first dt, the Mamba paper's."""


@dataclass(frozen=True)
class MambaShape:
    """Sizes and switches of a block: d `width`, E `inner`, S `states`, `rank` of dt, `kernel` of the convolution.

    `head`: 0 for Mamba's own scan; else so many channels share one dt and one number A, as in Mamba-2 (`HeadwiseSsm`).
    `norm`: "layer", or "biasless" (CMI-MTL as released, see `BiaslessNorm`). `conv`: "causal", or "same", which looks
    both ways. `depth`: so many blocks follow each other; W_out starts smaller by its root (1: as it comes).
    """

    width: int
    inner: int
    states: int = 16
    rank: int = 0
    kernel: int = 4
    head: int = 0
    bidirectional: bool = True
    conv: Literal["causal", "same"] = "causal"
    norm: Literal["layer", "biasless"] = "layer"
    dropout: float = 0.0
    depth: int = 1

    @property
    def dt_rank(self) -> int:
        """R: `rank`, or a sixteenth of the width."""
        return self.rank or math.ceil(self.width / 16)


@dataclass(frozen=True)
class Driven:
    """What drives a scan, in the sequence's own order: x~ (B, L, E), dt (B, L, E), B and C (B, L, S), keep (B, L)."""

    x: Tensor
    dt: Tensor
    B: Tensor
    C: Tensor
    keep: Tensor | None = None


class SelectiveSsm(nn.Module):
    """Convolution and selective scan in one direction; `reverse` runs from the end to the beginning."""

    def __init__(self, shape: MambaShape, reverse: bool = False) -> None:
        super().__init__()
        E, S, R, steps = shape.inner, shape.states, shape.dt_rank, self.steps(shape)
        self.reverse, self.conv, self.splits = reverse, shape.conv, [R, S, S]
        bound = 1 / math.sqrt(shape.kernel)
        self.taps = nn.Parameter(torch.empty(shape.kernel, E).uniform_(-bound, bound))
        self.taps.weight_decay = True  # type: ignore[attr-defined]  # a kernel, under a name of its own
        self.tap_bias = nn.Parameter(torch.empty(E).uniform_(-bound, bound))
        self.x_proj = nn.Linear(E, R + 2 * S, bias=False)
        self.dt_proj = nn.Linear(R, steps)
        nn.init.uniform_(self.dt_proj.weight, -(R**-0.5), R**-0.5)
        dt = torch.exp(torch.empty(steps).uniform_(math.log(DT_MIN), math.log(DT_MAX))).clamp(min=DT_FLOOR)
        with torch.no_grad():
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # softplus of this is dt
        self.A_log = nn.Parameter(self.first_A(shape).log())
        self.A_log.weight_decay = False  # type: ignore[attr-defined]
        self.D = nn.Parameter(torch.ones(steps))

    def steps(self, shape: MambaShape) -> int:
        """How many dt there are at a position: one for each channel."""
        return shape.inner

    def first_A(self, shape: MambaShape) -> Tensor:
        """-A before training (E, S): 1 ... S for every channel."""
        return torch.arange(1.0, shape.states + 1).repeat(shape.inner, 1)

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
        kernel, length = len(self.taps), x.shape[1]
        before = kernel - 1 if self.conv == "causal" else (kernel - 1) // 2
        after = kernel - 1 - before
        padded = F.pad(x, (0, 0, after, before) if self.reverse else (0, 0, before, after))
        taps = self.taps.flip(0) if self.reverse else self.taps
        total: Tensor = self.tap_bias
        for place in range(kernel):
            total = total + padded[:, place : place + length] * taps[place]
        return total.to(x.dtype)


class HeadwiseSsm(SelectiveSsm):
    """The scan of Mamba-2 (Dao and Gu, 2024): `head` channels share one dt, one number A and one D; (B, L, H) of dt."""

    def __init__(self, shape: MambaShape, reverse: bool = False) -> None:
        if shape.inner % shape.head:
            raise ConfigError(
                f"[model.cifr] head = {shape.head} does not divide the inner width {shape.inner}",
                hint=f"for example head = {math.gcd(shape.inner, 64)}",
            )
        super().__init__(shape, reverse)
        self.head = shape.head

    def steps(self, shape: MambaShape) -> int:
        """One dt for each head."""
        return shape.inner // shape.head

    def first_A(self, shape: MambaShape) -> Tensor:
        """-A before training (H,): evenly over 1 ... 16, the range of Mamba-2."""
        return torch.empty(self.steps(shape)).uniform_(1, 16)

    def scan(self, driven: Driven) -> Tensor:
        """u (B, L, E)."""
        turn = (lambda part: part.flip(1)) if self.reverse else (lambda part: part)
        x = turn(driven.x).unflatten(-1, (-1, self.head))
        keep = None if driven.keep is None else turn(driven.keep)
        A = -torch.exp(_full(self.A_log))
        return turn(ssd(x, turn(driven.dt), A, turn(driven.B), turn(driven.C), self.D, keep).flatten(-2))


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
        make = HeadwiseSsm if shape.head else SelectiveSsm
        self.ways = nn.ModuleList(make(shape, reverse) for reverse in ways)
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


class BiaslessNorm(nn.Module):
    """CMI-MTL's LayerNorm as released (D4 of cmi_mtl.md 1.4): it has a bias and never adds it; beside it stands the
    weight of an RMSNorm that is never used. Both are kept, so that sizes and weight files agree."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.rms_weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, v: Tensor) -> Tensor:
        """(..., width) -> the same: mean 0 and variance 1, scaled."""
        return F.layer_norm(v, self.weight.shape, self.weight, None, self.eps)


def _full(x: Tensor) -> Tensor:
    """In single precision at least: dt and A decide over many steps at once."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
