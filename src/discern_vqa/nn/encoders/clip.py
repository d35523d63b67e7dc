"""`hf`: CLIP's two towers from a `transformers` folder, or its ViT-B/32 architecture with random weights.

CLIP's own projections (`visual_projection`, `text_projection`) are applied to every place, so that h and H share one
space and no parameter is added (cmdpi.md 2.1, A3-A5); with `project = false` the image side gives its last states
without a projection (cmi_mtl.md 1.2). Hidden patches and words are replaced after embedding, before positions are added
(cmdpi.md 2.3). The logit scale is kept, as the learnable temperature of the contrast.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from discern_vqa.errors import ConfigError
from discern_vqa.nn.encoders.base import Encoded, EncoderConfig, ImageEncoder, TextEncoder, from_folder

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class ClipImage(ImageEncoder):
    """CLIP's vision transformer; the class token is the global state."""

    pretrained_parts = ("tower",)
    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig, d: int, folder: Path | None) -> None:
        super().__init__()
        from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

        if folder is None:
            patch = {"patch_size": 16} if config.architecture.endswith("patch16") else {}
            settings = CLIPVisionConfig(projection_dim=d, **patch)
            tower, self.random = CLIPVisionModelWithProjection(settings), ["all"]
        else:
            tower, self.random = from_folder(CLIPVisionModelWithProjection, folder)
        if config.size:
            _resize_positions(tower, config.size)
        if config.project:
            _check_width(tower.config.projection_dim, d, "image")
        else:
            tower.visual_projection = nn.Identity()
            _check_width(tower.config.hidden_size, d, "image", "has states of")
        self.tower, self.frozen = tower.requires_grad_(not config.frozen), config.frozen
        vision = tower.config
        self.size = vision.image_size
        side = self.size // vision.patch_size
        self.cells_alone: nn.Linear | None = None
        if config.own_cells:
            if not config.project:
                raise ConfigError(
                    "[model.image] own_cells = true and project = false: one learns a projection, one wants none",
                    hint="leave out one of them",
                )
            self.cells_alone = nn.Linear(vision.hidden_size, d, bias=False)
            self.random = self.random if folder is None else [*self.random, "cells_alone.weight"]
        self.grid, self.state_width = (side, side), vision.hidden_size if config.own_cells else d
        self.mask = nn.Parameter(torch.randn(vision.hidden_size) * 0.02)
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def states(self, image: Tensor) -> Tensor:
        """See ImageEncoder: the projected states, so that a frozen tower needs nothing more; with `own_cells` those
        before any projection."""
        return self._run(image, None)

    def forward(self, image: Tensor, hidden: Tensor | None = None) -> Encoded:
        """h is the class token's state; with `own_cells` H has a projection of its own."""
        states = image if image.ndim == 3 else self._run(image, hidden)
        if self.cells_alone is None:
            return Encoded(h=states[:, 0], H=states[:, 1:])
        return Encoded(h=self.tower.visual_projection(states[:, 0]), H=self.cells_alone(states[:, 1:]))

    def _run(self, image: Tensor, hidden: Tensor | None) -> Tensor:
        vision = self.tower.vision_model
        patches = vision.embeddings.patch_embedding((image - self.mean) / self.std).flatten(2).transpose(1, 2)
        patches = self.covered(patches, hidden)
        head = vision.embeddings.class_embedding.expand(patches.shape[0], 1, -1)
        positions = vision.embeddings.position_embedding(vision.embeddings.position_ids)
        v = vision.pre_layrnorm(torch.cat([head.to(patches.dtype), patches], dim=1) + positions)
        v = vision.encoder(inputs_embeds=v).last_hidden_state
        v = vision.post_layernorm(v)
        return v if self.cells_alone is not None else self.tower.visual_projection(v)


class ClipText(TextEncoder):
    """CLIP's causal text transformer; the end-of-text state is the global one.

    Padding is masked as a key (CLIP itself has no padding mask, but never reads past the end of the text): position
    M - 1, the answer slot, has then seen the whole text and nothing else, whatever the text's length.
    """

    pretrained_parts = ("tower",)

    def __init__(self, config: EncoderConfig, d: int, length: int, folder: Path | None) -> None:
        super().__init__()
        from transformers import CLIPTextConfig, CLIPTextModelWithProjection

        if folder is None:
            tower, self.random = CLIPTextModelWithProjection(CLIPTextConfig(projection_dim=d)), ["all"]
        else:
            tower, self.random = from_folder(CLIPTextModelWithProjection, folder)
        _check_width(tower.config.projection_dim, d, "text")
        if length > tower.config.max_position_embeddings:
            raise ConfigError(
                f"[data] text_length = {length}: this CLIP reads at most {tower.config.max_position_embeddings}",
                hint=f"set text_length = {tower.config.max_position_embeddings}",
            )
        self.tower = tower.requires_grad_(not config.frozen)
        self.state_width = d
        self.mask = nn.Parameter(torch.randn(tower.config.hidden_size) * 0.02)

    def states(self, tokens: Tensor, keep: Tensor) -> Tensor:
        return self._run(tokens, keep, None)

    def forward(
        self, tokens: Tensor, keep: Tensor, hidden: Tensor | None = None, states: Tensor | None = None
    ) -> Encoded:
        """h is the state of the last real token, the end of the text."""
        states = self._run(tokens, keep, hidden) if states is None else states
        end = keep.sum(1) - 1
        return Encoded(h=states[torch.arange(states.shape[0], device=states.device), end], H=states)

    def _run(self, tokens: Tensor, keep: Tensor, hidden: Tensor | None) -> Tensor:
        """(B, M, d). Positions that no text of the batch has are not computed, and 0."""
        text, columns = self.tower.text_model, self.columns(keep)
        read = keep[:, columns]
        v = self.covered(
            text.embeddings.token_embedding(tokens[:, columns]), None if hidden is None else hidden[:, columns]
        )
        v = v + text.embeddings.position_embedding.weight[: tokens.shape[1]][columns]
        length = read.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
        itself = torch.eye(length, dtype=torch.bool, device=tokens.device)
        may = (causal & (read[:, None, :] | itself))[:, None]  # (B 1 L L)
        penalty = torch.zeros(may.shape, dtype=v.dtype, device=v.device).masked_fill(~may, torch.finfo(v.dtype).min)
        v = text.encoder(inputs_embeds=v, attention_mask=penalty, is_causal=False).last_hidden_state
        v = self.tower.text_projection(text.final_layer_norm(v))
        if length == tokens.shape[1]:
            return v
        states = v.new_zeros(*tokens.shape, v.shape[-1])
        states[:, columns] = v
        return states


def _check_width(states: int, d: int, which: str, how: str = "projects to") -> None:
    if states != d:
        raise ConfigError(
            f"[model] width = {d}, but this CLIP {which} tower {how} {states}", hint=f"set width = {states}"
        )


@torch.no_grad()
def _resize_positions(tower: nn.Module, size: int) -> None:
    """Makes a vision transformer read images of `size` pixels: its table of positions is interpolated (bicubic), the
    class token's own stays. Raises ConfigError when the patches do not divide the size."""
    vision: Any = tower.vision_model.embeddings  # type: ignore[union-attr]
    side, rest = divmod(size, vision.patch_size)
    if rest:
        raise ConfigError(
            f"[model.image] size = {size}: this encoder's patches of {vision.patch_size} do not divide it",
            hint=f"size = {side * vision.patch_size}",
        )
    table: Tensor = vision.position_embedding.weight
    old = round((len(table) - 1) ** 0.5)
    if side == old:
        return
    grid = rearrange(table[1:], "(r c) w -> 1 w r c", r=old)
    wider = F.interpolate(grid, size=(side, side), mode="bicubic", align_corners=False)
    resized = torch.cat([table[:1], rearrange(wider, "1 w r c -> (r c) w")])
    vision.position_embedding = nn.Embedding(resized.shape[0], resized.shape[1], device=resized.device)
    vision.position_embedding.weight.copy_(resized)
    vision.position_ids = torch.arange(len(resized), device=resized.device)[None]
    vision.image_size = size
    tower.config.image_size = size  # type: ignore[union-attr]
