"""`tiny`: random encoders for phantoms, tests and small sets: a convolutional stem under a transformer, and words."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from discern_vqa.errors import ConfigError
from discern_vqa.nn.encoders.base import Encoded, EncoderConfig, ImageEncoder, TextEncoder
from discern_vqa.nn.transformer import PostNormBlock


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut; group norm, since batches are small and must not see each other."""

    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.norm_first, self.norm_second = nn.GroupNorm(8, outer), nn.GroupNorm(8, outer)
        self.shortcut = nn.Conv2d(inner, outer, 1, stride) if stride > 1 or inner != outer else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(U, inner, H, W) -> (U, outer, H / stride, W / stride)."""
        y = F.relu(self.norm_first(self.first(x)))
        return F.relu(self.norm_second(self.second(y)) + self.shortcut(x))


class TinyImage(ImageEncoder):
    """A residual stem down to cells of `patch` pixels, then post-norm transformer layers with a class token.

    Hiding a cell covers its block of pixels with a learned grey before the first convolution, so that nothing of the
    block reaches any output through the stem's receptive field.
    """

    def __init__(self, config: EncoderConfig, d: int) -> None:
        super().__init__()
        self.size = config.size or 128
        if self.size % config.patch or config.patch not in (8, 16, 32):
            raise ConfigError(
                f"[model.image] size = {self.size}, patch = {config.patch}: expected a patch of 8, 16 or 32 that "
                "divides the size",
                hint="for example size = 128, patch = 16",
            )
        side = self.size // config.patch
        self.grid, self.random = (side, side), ["all (tiny is never pre-trained)"]
        width = config.width or d
        self.state_width, self.patch = width, config.patch
        halvings = {8: 3, 16: 4, 32: 5}[config.patch]
        widths = [min(config.channels * 2**stage, width) for stage in range(halvings)]
        self.entry = nn.Conv2d(3, widths[0], 5, 2, 2, bias=False)
        self.entry_norm = nn.GroupNorm(8, widths[0])
        stages: list[nn.Module] = [
            Residual(inner, outer, 2) for inner, outer in zip(widths[:-1], widths[1:], strict=True)
        ]
        self.stages = nn.Sequential(*stages, Residual(widths[-1], width, 1))
        self.grey = nn.Parameter(torch.full((3, 1, 1), 0.3))
        self.head = nn.Parameter(torch.randn(width) * 0.02)
        self.pos = nn.Parameter(torch.randn(1 + side * side, width) * 0.02)
        self.enter = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            PostNormBlock(width, config.heads, 2 * width, config.dropout) for _ in range(config.layers)
        )
        self.project = nn.Linear(width, d) if width != d else nn.Identity()

    def forward(self, image: Tensor, hidden: Tensor | None = None) -> Encoded:
        """See ImageEncoder."""
        if hidden is not None:
            block = rearrange(hidden, "u (r c) -> u 1 r c", r=self.grid[0])
            block = block.repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)
            image = torch.where(block, self.grey, image)
        x = F.relu(self.entry_norm(self.entry((image - 0.3).contiguous(memory_format=torch.channels_last) * 4)))
        cells = rearrange(self.stages(x), "u w r c -> u (r c) w")
        head = self.head.expand(len(cells), 1, -1)
        v = self.enter(torch.cat([head, cells], dim=1) + self.pos)
        for block in self.blocks:
            v = block(v)
        v = self.project(v)
        return Encoded(h=v[:, 0], H=v[:, 1:])


class TinyText(TextEncoder):
    """Word embeddings under post-norm transformer layers; position 0 (begin) is the global state."""

    def __init__(self, config: EncoderConfig, d: int, vocabulary: int, length: int) -> None:
        super().__init__()
        width = config.width or d
        self.state_width, self.random = width, ["all (tiny is never pre-trained)"]
        self.embed = nn.Embedding(vocabulary, width)
        self.pos = nn.Parameter(torch.randn(length, width) * 0.02)
        self.mask = nn.Parameter(torch.randn(width) * 0.02)
        nn.init.normal_(self.embed.weight, std=0.5)
        self.enter = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            PostNormBlock(width, config.heads, 2 * width, config.dropout) for _ in range(config.layers)
        )
        self.project = nn.Linear(width, d) if width != d else nn.Identity()

    def forward(
        self, tokens: Tensor, keep: Tensor, hidden: Tensor | None = None, states: Tensor | None = None
    ) -> Encoded:
        """See TextEncoder. Padding is never attended to; every position, the answer slot too, attends to the words."""
        v = self.embed(tokens)
        if hidden is not None:
            v = torch.where(hidden[..., None], self.mask.to(v.dtype), v)
        v = self.enter(v + self.pos)
        for block in self.blocks:
            v = block(v, keep)
        v = self.project(v)
        return Encoded(h=v[:, 0], H=v)
