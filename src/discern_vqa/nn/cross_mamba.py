"""Cross-Mamba: two streams, each scanned by a Mamba of its own words, let through where *both* streams' gates agree
(CMI-MTL's CIFR, cmi_mtl.md 2.2). `Cifr` stacks such layers; what it is compared with is in
`lab/mixers.py`.

    [x, z_x] = norm(X) W_in      u_x = scan(x)        the same for Y
    g = SiLU(z_x * pool(z_y))                         the cross-modal gate, at the text's positions
    X + (u_x * g) W_out          Y + up(pool(u_y) * g) W_out

pool averages the image's K positions into the text's L, up interpolates back; both leave padding out.
"""

from typing import Literal, Self, cast

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from discern_vqa import registry
from discern_vqa.config import Table
from discern_vqa.nn.mamba import MambaBlock, MambaShape
from discern_vqa.nn.resample import averaging, interpolating

Streams = tuple[Tensor, Tensor]
Variant = Literal[
    "gate", "swapC", "swapAll", "concat", "interleave", "sum", "tokenswap", "coupled", "xattn", "none", "random"
]


class CifrConfig(Table):
    """[model.cifr]. What is None is chosen by the model's profile (`resolved`)."""

    variant: Variant = "gate"
    """The layer: `gate` is the paper's, `lab/mixers.py` has the others. `random` is `gate` with `released_random`."""
    layers: int = Field(default=2, ge=1)
    """The number of layers."""
    expand: int = Field(default=2, ge=1)
    """The inner width E is this many times d."""
    states: int = Field(default=16, ge=1)
    """S: the number of states of each channel."""
    shared: bool = True
    """D14: one set of weights serves both streams (`gate`); off: each stream has its own."""
    bidirectional: bool | None = None
    """D3: the scan runs in both directions; in one, what is read at position 0 has seen position 0 only. None: on
    (fixed), off (released)."""
    norm: Literal["layer", "biasless"] | None = None
    """D4: the released norm never adds its bias. None: "layer" (fixed), "biasless" (released)."""
    dropout: float | None = Field(default=None, ge=0, lt=1)
    """The dropout on the output projection. None: 0.1 (fixed), 0 (released, which never uses its dropout)."""
    scaled_out: bool | None = None
    """The first W_out is divided by the root of the number of layers. None: on (fixed), off (released)."""
    released_random: bool | None = None
    """D1: all weights are drawn anew in every forward pass and never trained. None: off (fixed), on (released)."""

    def resolved(self, released: bool) -> Self:
        """With the profile's choice wherever a key was left open."""
        return self.filled(
            bidirectional=not released,
            norm="biasless" if released else "layer",
            dropout=0.0 if released else 0.1,
            scaled_out=not released,
            released_random=released or self.variant == "random",
        )

    def shape(self, width: int) -> MambaShape:
        """The blocks' sizes at model width `width`."""
        return MambaShape(
            width=width,
            inner=self.expand * width,
            states=self.states,
            bidirectional=bool(self.bidirectional),
            norm=self.norm or "layer",
            dropout=self.dropout or 0.0,
            depth=self.layers if self.scaled_out else 1,
        )


class CrossGate(nn.Module):
    """One layer of the paper's variant, `gate`."""

    def __init__(self, config: CifrConfig, width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(MambaBlock(config.shape(width)) for _ in range(1 if config.shared else 2))

    @property
    def pair(self) -> tuple[MambaBlock, MambaBlock]:
        """The blocks of the text and of the image; where weights are shared, twice the same."""
        return cast(MambaBlock, self.blocks[0]), cast(MambaBlock, self.blocks[-1])

    def forward(self, x: Tensor, y: Tensor, keep_x: Tensor, keep_y: Tensor) -> Streams:
        """x (B, L, d) text, y (B, K, d) image, keep (B, L), (B, K) True = a real position -> the same shapes."""
        first, second = self.pair
        (x_in, z_x), (y_in, z_y) = first.halves(x), second.halves(y)
        u_x, u_y = first.scan(x_in, keep_x), second.scan(y_in, keep_y)
        gate = self.gate(z_x, z_y, keep_x, keep_y)
        pool, up = averaging(keep_y, keep_x).to(u_y.dtype), interpolating(keep_x, keep_y).to(u_y.dtype)
        u_x, u_y = u_x * gate, up @ (pool @ u_y * gate)
        return x + first.out(u_x, keep_x), y + second.out(u_y, keep_y)

    def gate(self, own: Tensor, other: Tensor, keep_own: Tensor, keep_other: Tensor) -> Tensor:
        """g (B, L, E) at the positions of `own`: SiLU(z_own * z_other), the other pooled to them."""
        return F.silu(own * (averaging(keep_other, keep_own).to(other.dtype) @ other))


class Cifr(nn.Module):
    """`layers` layers of one variant; none of `none`."""

    def __init__(self, config: CifrConfig, width: int) -> None:
        super().__init__()
        self.config, self.width = config, width
        self.layers = nn.ModuleList() if config.released_random else self.drawn()

    def drawn(self) -> nn.ModuleList:
        """New layers with random weights."""
        if self.config.variant == "none":
            return nn.ModuleList()
        layer: type[nn.Module] = CrossGate
        if self.config.variant not in ("gate", "random"):
            layer = registry.load("lab", "mixers").VARIANTS[self.config.variant]
        return nn.ModuleList(layer(self.config, self.width) for _ in range(self.config.layers))

    def forward(self, x: Tensor, y: Tensor, keep_x: Tensor, keep_y: Tensor) -> Streams:
        """x (B, L, d) text, y (B, K, d) image, keep (B, L), (B, K) True = a real position -> the same shapes.

        With `released_random` (D1) the layers are drawn here, anew each time, by torch's own generator: the published
        program does so, and nothing of them is trained, saved or the same twice.
        """
        layers = self.drawn().to(x.device).requires_grad_(False) if self.config.released_random else self.layers
        for layer in layers:
            x, y = layer(x, y, keep_x, keep_y)
        return x, y
