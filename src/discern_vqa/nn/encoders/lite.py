"""`lite`: MobileNetV2 (ImageNet) and all-MiniLM-L6-v2, small pre-trained encoders that run on a laptop.

Both may be frozen: then their states are computed once (`states`) and only the projections here are trained. A
hidden cell of cached states is replaced by a learned vector; with pixels its block of pixels is covered by grey.
"""

import math
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from discern_vqa.errors import ConfigError
from discern_vqa.nn.encoders.base import Encoded, EncoderConfig, ImageEncoder, TextEncoder, from_folder

IMAGE_WEIGHTS, TEXT_WEIGHTS = "mobilenet_v2_1.0_224", "all-minilm-l6-v2"


class LiteImage(ImageEncoder):
    """MobileNetV2: cells of 32 pixels, 1,280 channels; input RGB in [-1, 1].

    Batch norm is folded in the weights at hand (running mean 0, variance 1), so its statistics stay frozen.
    """

    def __init__(self, config: EncoderConfig, d: int, folder: Path | None) -> None:
        super().__init__()
        from transformers import MobileNetV2Config, MobileNetV2Model

        if folder is None:
            self.backbone, self.random = MobileNetV2Model(MobileNetV2Config()), ["all"]
        else:
            self.backbone, self.random = from_folder(MobileNetV2Model, folder)
        self.backbone.requires_grad_(not config.frozen)
        self.size = config.size or 224
        side = math.ceil(self.size / 32)
        self.grid, self.state_width = (side, side), 1280
        self.mask = nn.Parameter(torch.zeros(self.state_width))
        self.project_global = nn.Sequential(nn.LayerNorm(self.state_width), nn.Linear(self.state_width, d))
        self.project_cells = nn.Sequential(nn.LayerNorm(self.state_width), nn.Linear(self.state_width, d))

    def train(self, mode: bool = True) -> "LiteImage":
        """The backbone's batch norm keeps its statistics."""
        super().train(mode)
        self.backbone.eval()
        return self

    def states(self, image: Tensor) -> Tensor:
        """See ImageEncoder; the global state is the mean of the cells."""
        features = self.backbone(image.contiguous() * 2 - 1).last_hidden_state
        cells = rearrange(features, "u w r c -> u (r c) w")
        return torch.cat([cells.mean(1, keepdim=True), cells], dim=1)

    def forward(self, image: Tensor, hidden: Tensor | None = None) -> Encoded:
        """See ImageEncoder."""
        if image.ndim == 4:
            if hidden is not None:
                block = rearrange(hidden, "u (r c) -> u 1 r c", r=self.grid[0])
                block = block.repeat_interleave(32, 2).repeat_interleave(32, 3)[..., : self.size, : self.size]
                image = image.masked_fill(block, 0.5)
            image = self.states(image)
        cells = image[:, 1:]
        if hidden is not None:
            cells = torch.where(hidden[..., None], self.mask.to(cells.dtype), cells)
        return Encoded(h=self.project_global(image[:, 0]), H=self.project_cells(cells))

    def pretrained(self) -> list[nn.Parameter]:
        """MobileNetV2's own."""
        return list(self.backbone.parameters())


class LiteText(TextEncoder):
    """all-MiniLM-L6-v2 (a BERT of 6 layers, width 384); the global state is the mean over the real tokens."""

    def __init__(self, config: EncoderConfig, d: int, folder: Path | None) -> None:
        super().__init__()
        from transformers import AutoModel, BertConfig, BertModel

        if folder is None:
            small = BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536)
            self.backbone, self.random = BertModel(small, add_pooling_layer=False), ["all"]
        else:
            self.backbone, self.random = from_folder(AutoModel, folder, add_pooling_layer=False)
        if not hasattr(self.backbone.config, "hidden_size"):
            raise ConfigError(f"{folder} is no text encoder", hint=f"name a folder such as {TEXT_WEIGHTS}")
        self.frozen = config.frozen
        self.backbone.requires_grad_(not config.frozen)
        self.state_width = self.backbone.config.hidden_size
        self.mask = nn.Parameter(torch.zeros(self.state_width))
        self.project_global = nn.Sequential(nn.LayerNorm(self.state_width), nn.Linear(self.state_width, d))
        self.project_words = nn.Sequential(nn.LayerNorm(self.state_width), nn.Linear(self.state_width, d))

    def train(self, mode: bool = True) -> "LiteText":
        """A frozen backbone stays in eval mode: its states must not depend on dropout."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def states(self, tokens: Tensor, keep: Tensor) -> Tensor:
        """See TextEncoder; the answer slot's state is a padding token's that has seen the whole text."""
        return self.backbone(input_ids=tokens, attention_mask=keep.long()).last_hidden_state

    def forward(
        self, tokens: Tensor, keep: Tensor, hidden: Tensor | None = None, states: Tensor | None = None
    ) -> Encoded:
        """See TextEncoder. Trained: hidden words are replaced before the backbone; frozen: in its states."""
        if states is None and hidden is not None and not self.frozen:
            words = self.backbone.get_input_embeddings()(tokens)
            words = torch.where(hidden[..., None], self.mask.to(words.dtype), words)
            states = self.backbone(inputs_embeds=words, attention_mask=keep.long()).last_hidden_state
        else:
            states = self.states(tokens, keep) if states is None else states
            if hidden is not None:
                states = torch.where(hidden[..., None], self.mask.to(states.dtype), states)
        weight = keep.to(states.dtype)[..., None]
        mean = (states * weight).sum(1) / weight.sum(1).clamp(min=1)
        return Encoded(h=self.project_global(mean), H=self.project_words(states))

    def pretrained(self) -> list[nn.Parameter]:
        """MiniLM's own."""
        return list(self.backbone.parameters())
