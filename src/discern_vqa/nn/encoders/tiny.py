"""`tiny`: random encoders for phantoms, tests and small sets: a convolutional stem under a transformer, and words."""

import torch
from einops import rearrange
from torch import Tensor, nn

from discern_vqa.errors import ConfigError
from discern_vqa.nn.encoders.base import Encoded, EncoderConfig, ImageEncoder, TextEncoder
from discern_vqa.nn.transformer import BlockShape, PostNormBlock


def _stage(inner: int, outer: int, stride: int) -> nn.Sequential:
    """(U, inner, H, W) -> (U, outer, H / stride, W / stride)."""
    return nn.Sequential(
        nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU(inplace=True)
    )


class TinyImage(ImageEncoder):
    """A convolutional stem down to cells of `patch` pixels, then post-norm transformer layers with a class token.

    Batch norm, since from nothing and with a few thousand images it learned findings where group norm learned none
    (docs/LOG.md); when answering it uses its running figures, so that images do not see each other.

    The class token starts from a summary that knows where things are (mean, maximum and a thin copy of every cell),
    not from a constant: sides are asked about, and attention alone is slow to find out. Hiding a cell covers its block
    of pixels with a learned grey before the first convolution.
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
        entry = [nn.Conv2d(1, widths[0], 5, 2, 2, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
        stages: list[nn.Module] = []
        for number, (inner, outer) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            stages.append(_stage(inner, outer, 2))
            if number:  # the largest maps are costly, and there is little to combine in them yet
                stages.append(_stage(outer, outer, 1))
        self.stem = nn.Sequential(*entry, *stages, _stage(widths[-1], width, 1))
        self.grey = nn.Parameter(torch.tensor(0.3))
        self.thin = nn.Conv2d(width, 32, 1)
        self.summary = nn.Linear(2 * width + 32 * side * side, width)
        self.pos = nn.Parameter(torch.randn(1 + side * side, width) * 0.02)
        self.enter = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(
            PostNormBlock(BlockShape(width, config.heads, 2 * width)) for _ in range(config.layers)
        )
        self.project = nn.Linear(width, d) if width != d else nn.Identity()

    def forward(self, image: Tensor, hidden: Tensor | None = None) -> Encoded:
        """See ImageEncoder. Colours are averaged: phantoms and most radiology are grey."""
        image = image.mean(1, keepdim=True)
        if hidden is not None:
            block = rearrange(hidden, "u (r c) -> u 1 r c", r=self.grid[0])
            block = block.repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)
            image = torch.where(block, self.grey, image)
        x = self.stem(((image - 0.35) / 0.25).contiguous(memory_format=torch.channels_last))
        thin = rearrange(self.thin(x), "u w r c -> u (w r c)")
        head = self.summary(torch.cat([x.mean((2, 3)), x.amax((2, 3)), thin], dim=1))
        cells = rearrange(x, "u w r c -> u (r c) w")
        v = self.enter(torch.cat([head[:, None], cells], dim=1) + self.pos)
        for layer in self.blocks:
            v = layer(v)
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
            PostNormBlock(BlockShape(width, config.heads, 2 * width)) for _ in range(config.layers)
        )
        self.project = nn.Linear(width, d) if width != d else nn.Identity()

    def forward(
        self, tokens: Tensor, keep: Tensor, hidden: Tensor | None = None, states: Tensor | None = None
    ) -> Encoded:
        """See TextEncoder. Padding is never attended to; every position, the answer slot too, attends to the words."""
        v = self.enter(self.covered(self.embed(tokens), hidden) + self.pos)
        for block in self.blocks:
            v = block(v, keep)
        v = self.project(v)
        return Encoded(h=v[:, 0], H=v)
