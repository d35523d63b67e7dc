"""`lite`: MobileNetV2 (ImageNet) and all-MiniLM-L6-v2, small pre-trained encoders that run on a laptop; the same two
classes wrap any other `transformers` folder that is no CLIP (`kind = "hf"`).

Both may be frozen: then their states are computed once (`states`) and only the projections here are trained. A
hidden cell of cached states is replaced by a learned vector; with pixels its block of pixels is covered by grey.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from discern_vqa.errors import ConfigError
from discern_vqa.nn.encoders.base import Encoded, EncoderConfig, ImageEncoder, TextEncoder, from_folder
from discern_vqa.nn.encoders.bert import Bert, bert
from discern_vqa.nn.encoders.mobilenet import mobilenet
from discern_vqa.nn.encoders.packed import are_packable, packed, penalty_of

IMAGE_WEIGHTS, TEXT_WEIGHTS = "mobilenet_v2_1.0_224", "all-minilm-l6-v2"


class LiteImage(ImageEncoder):
    """MobileNetV2 (cells of 32 pixels, 1,280 channels), or any image model of `transformers` (`kind = "hf"`): maps of
    channels, or patch tokens after a class token. Batch norm keeps its statistics: in the MobileNetV2 at hand it is
    folded (mean 0, variance 1), and small batches would spoil it anyway.

    With `frozen` and `train_last = k` (MobileNetV2) the states that are cached are the map below the last k blocks,
    which are trained together with the convolution that follows them; the state for the whole is that map's mean.
    """

    pretrained_parts = ("backbone", "upper")
    mean: Tensor
    std: Tensor

    def __init__(self, config: EncoderConfig, d: int, folder: Path | None) -> None:
        super().__init__()
        self.backbone: Any  # its annotations do not say what its parts are
        if own := mobilenet(folder):
            self.backbone, self.random = own
        else:
            assert folder is not None
            self.backbone, self.random = from_folder("AutoModel", folder)
            if any(True for _ in getattr(self.backbone, "pooler", nn.Identity()).parameters()):
                self.backbone.pooler = None  # a trained pooler would never receive a gradient: its output is not used
                self.random = [name for name in self.random if not name.startswith("pooler.")]
        self.backbone.requires_grad_(not config.frozen)
        self.size = config.size or getattr(self.backbone.config, "image_size", 224)
        mean, std = _normalisation(folder)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)
        self.backbone.eval()
        with torch.no_grad():
            map_ = self.backbone(torch.zeros(1, 3, self.size, self.size)).last_hidden_state
        self.is_map, self.pool, width = map_.ndim == 4, config.pool, map_.shape[1]
        self.upper: nn.Module = nn.Identity()
        self.below: tuple[int, int] | None = None
        if config.frozen and config.train_last:
            self.upper = _last_blocks(self.backbone, config)
            with torch.no_grad():
                lower = self.backbone(torch.zeros(1, 3, self.size, self.size)).last_hidden_state
            self.below, self.trains_last = (lower.shape[2], lower.shape[3]), True
        if self.is_map:
            # Convolutions that are trained run with their channels last, which is faster in either direction.
            trained: Any = self.upper if config.frozen else self.backbone  # its annotations lack this form of `to`
            trained.to(memory_format=torch.channels_last)
            side = config.pool or map_.shape[2]
            self.grid = (side, config.pool or map_.shape[3])
        else:
            side = math.isqrt(map_.shape[1] - 1)
            if side * side != map_.shape[1] - 1:
                raise ConfigError(
                    f"{folder}: {map_.shape[1]} states are no class token and a square of patches",
                    hint="name a ViT, a CLIP or a convolutional model",
                )
            self.grid, width = (side, side), map_.shape[2]
        self.state_width = lower.shape[1] if self.below else width
        self.mask = nn.Parameter(torch.zeros(self.state_width))
        self.project_global, self.project_cells = (projection(config, width, d) for _ in range(2))

    def train(self, mode: bool = True) -> "LiteImage":
        """The backbone's batch norm keeps its statistics."""
        super().train(mode)
        self.backbone.eval()
        self.upper.eval()
        return self

    def states(self, image: Tensor) -> Tensor:
        """See ImageEncoder; the global state is the class token, or the mean of the cells of a map."""
        return self.states_by(lambda x: self.backbone(x).last_hidden_state, image)

    def states_by(self, network: Callable[[Tensor], Tensor], image: Tensor) -> Tensor:
        """As `states`, by another way to compute what the backbone computes: normalised images to its last layer."""
        features = network((image - self.mean) / self.std)
        if not self.is_map:
            return features
        return _cells_of(features, 0 if self.below else self.pool)

    def forward(self, image: Tensor, hidden: Tensor | None = None) -> Encoded:
        if image.ndim == 4:
            if hidden is not None:
                block = rearrange(hidden, "u (r c) -> u 1 r c", r=self.grid[0])
                for axis, along in ((2, self.grid[0]), (3, self.grid[1])):
                    block = block.repeat_interleave(math.ceil(self.size / along), axis)
                image = image.masked_fill(block[..., : self.size, : self.size], 0.5)
            image = self.states(image)
        if self.below:
            image, hidden = self._rise(image, hidden), None
        cells = self.covered(image[:, 1:], hidden)
        return Encoded(h=self.project_global(image[:, 0]), H=self.project_cells(cells))

    def _rise(self, states: Tensor, hidden: Tensor | None) -> Tensor:
        """States (U, 1 + N', c) below the trained blocks -> (U, 1 + N, w) above them. Where a cell is hidden (U, N),
        the learned vector stands for what lies under it below."""
        assert self.below
        map_ = rearrange(states[:, 1:], "u (r c) w -> u w r c", r=self.below[0])
        if hidden is not None:
            cells = rearrange(hidden.to(map_.dtype), "u (r c) -> u 1 r c", r=self.grid[0])
            covered = F.interpolate(cells, self.below, mode="nearest") > 0
            map_ = torch.where(covered, self.mask.to(map_.dtype)[:, None, None], map_)
        return _cells_of(self.upper(map_), self.pool)


def _cells_of(map_: Tensor, pool: int) -> Tensor:
    """(U, w, r, c) -> (U, 1 + N, w): the mean, and the cells, averaged into pool x pool unless it is 0."""
    mean = map_.mean((2, 3))[:, None]
    map_ = F.adaptive_avg_pool2d(map_, pool) if pool else map_
    return torch.cat([mean, rearrange(map_, "u w r c -> u (r c) w")], dim=1)


def _last_blocks(backbone: Any, config: EncoderConfig) -> nn.Sequential:
    """Takes the last `train_last` blocks, and the convolution that follows them, out of a MobileNetV2, to be trained.
    Raises ConfigError for another encoder, or for more blocks than there are."""
    blocks = backbone.layer if hasattr(backbone, "conv_1x1") else None
    backbone.layer, last = _parted(blocks, config.train_last, "image", "blocks", "no blocks as a MobileNetV2 has")
    upper = nn.Sequential(*last, backbone.conv_1x1)
    backbone.conv_1x1 = nn.Identity()
    return upper.requires_grad_(True)


def _parted(
    layers: nn.ModuleList | None, count: int, part: str, name: str, otherwise: str
) -> tuple[nn.ModuleList, nn.ModuleList]:
    """All layers but the last `count`, and these. Raises ConfigError where there are fewer, or none."""
    if layers is None or len(layers) < count:
        raise ConfigError(
            f"[model.{part}] train_last = {count}: this encoder has "
            + (otherwise if layers is None else f"{len(layers)} {name}"),
            hint="set train_last = 0, or frozen = false to train all of it",
        )
    return layers[: len(layers) - count], layers[len(layers) - count :]


def projection(config: EncoderConfig, states: int, d: int) -> nn.Module:
    """From an encoder's own states to the model's width; nothing with `project = false`, which needs equal widths."""
    if config.project:
        return nn.Sequential(nn.LayerNorm(states), nn.Linear(states, d))
    if states != d:
        raise ConfigError(
            f"[model] width = {d}, project = false: this encoder's states are {states} wide",
            hint=f"set width = {states}, or project = true",
        )
    return nn.Identity()


def _normalisation(folder: Path | None) -> tuple[list[float], list[float]]:
    """Mean and spread that the folder's preprocessor_config.json asks for; 0.5 each (pixels in [-1, 1]) without."""
    path = folder / "preprocessor_config.json" if folder is not None else None
    content = json.loads(path.read_text(encoding="utf-8")) if path is not None and path.is_file() else {}
    return content.get("image_mean", [0.5] * 3), content.get("image_std", [0.5] * 3)


class LiteText(TextEncoder):
    """all-MiniLM-L6-v2 (a BERT of 6 layers, width 384); the global state is the mean over the real tokens.

    With `frozen` and `train_last = k` the states that are cached are those below the last k layers, which are trained
    (without dropout: a frozen backbone stays in eval mode).
    """

    pretrained_parts = ("backbone", "upper")

    def __init__(self, config: EncoderConfig, d: int, folder: Path | None) -> None:
        super().__init__()
        self.backbone: Any  # its annotations do not say what its parts are
        if folder is None and config.kind == "hf":
            from transformers import RobertaConfig, RobertaModel

            base = RobertaConfig(vocab_size=50_265, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)
            self.backbone, self.random = RobertaModel(base, add_pooling_layer=False), ["all"]
        elif own := bert(folder):
            self.backbone, self.random = own
        else:
            assert folder is not None
            self.backbone, self.random = from_folder("AutoModel", folder, add_pooling_layer=False)
        if not hasattr(self.backbone.config, "hidden_size"):
            raise ConfigError(f"{folder} is no text encoder", hint=f"name a folder such as {TEXT_WEIGHTS}")
        self.frozen = config.frozen
        self.backbone.requires_grad_(not config.frozen)
        self.upper = _last_layers(self.backbone, config) if config.frozen and config.train_last else nn.ModuleList()
        self.state_width = self.backbone.config.hidden_size
        self.mask = nn.Parameter(torch.zeros(self.state_width))
        self.project_global, self.project_words = (projection(config, self.state_width, d) for _ in range(2))

    def train(self, mode: bool = True) -> "LiteText":
        """A frozen backbone stays in eval mode: its states must not depend on dropout."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
            self.upper.eval()
        return self

    def states(self, tokens: Tensor, keep: Tensor) -> Tensor:
        """See TextEncoder; the answer slot's state is a padding token's that has seen the whole text."""
        return self.backbone(input_ids=tokens, attention_mask=keep.long()).last_hidden_state

    def states_up_to(self, length: int, tokens: Tensor, keep: Tensor) -> Tensor:
        """See TextEncoder. BERT reads these positions and the answer slot alone."""
        if not isinstance(self.backbone, Bert):  # whose positions are numbered as they stand in the text
            return self.states(tokens, keep)
        columns = torch.zeros_like(keep[0])
        columns[:length], columns[-1] = True, True
        return self._read_at(columns, tokens, keep)

    def _read(self, tokens: Tensor, keep: Tensor) -> Tensor:
        """As `states`, but positions that no text of the batch has are not computed, and 0."""
        columns = self.columns(keep)
        if bool(columns.all()) or not _numbers_by_words(self.backbone):
            return self.states(tokens, keep)
        return self._read_at(columns, tokens, keep)

    def _read_at(self, columns: Tensor, tokens: Tensor, keep: Tensor) -> Tensor:
        """The states at these positions (M,), 0 elsewhere."""
        given = {"position_ids": columns.nonzero().T} if isinstance(self.backbone, Bert) else {}
        read = self.backbone(input_ids=tokens[:, columns], attention_mask=keep[:, columns].long(), **given)
        states = read.last_hidden_state.new_zeros(*tokens.shape, self.state_width)
        states[:, columns] = read.last_hidden_state
        return states

    def sentence(
        self, states: Tensor, keep: Tensor, layers: nn.ModuleList | None = None, length: int | None = None
    ) -> Tensor:
        return super().sentence(self._rise(states, keep, layers, length) if layers else states, keep)

    def _rise(self, states: Tensor, keep: Tensor, layers: nn.ModuleList, length: int | None = None) -> Tensor:
        """States (B, M, c) below the given last layers -> those above them, of the used positions: a text's own (up to
        `length`) and the answer slot."""
        if torch.compiler.is_exporting():  # how many are used depends on the numbers, and a graph has fixed shapes
            return self._through(layers, states, keep)
        columns = self.columns(keep)
        if length is not None:
            columns[:length] = True
        v, read = states[:, columns], keep[:, columns]
        if are_packable(layers):
            used = read.clone()
            used[:, -1] = True
            v = packed(layers, v, read, used)
        else:
            v = self._through(layers, v, read)
        risen = v.new_zeros(states.shape)
        risen[:, columns] = v
        return risen

    @staticmethod
    def _through(layers: nn.ModuleList, v: Tensor, keep: Tensor) -> Tensor:
        penalty = penalty_of(keep, v)
        for layer in layers:
            v = layer(v, penalty)
        return v

    def forward(
        self, tokens: Tensor, keep: Tensor, hidden: Tensor | None = None, states: Tensor | None = None
    ) -> Encoded:
        """See TextEncoder. Trained: hidden words are replaced before the backbone; frozen: in its states."""
        if states is None and hidden is not None and not self.frozen:
            words = self.covered(self.backbone.get_input_embeddings()(tokens), hidden)
            states = self.backbone(inputs_embeds=words, attention_mask=keep.long()).last_hidden_state
        else:
            below = states = self.covered(self._read(tokens, keep) if states is None else states, hidden)
            if self.upper and self.once is not None and hidden is None and not torch.is_grad_enabled():
                states = self.once(
                    tokens, keep, lambda length, rows: self._rise(below[rows], keep[rows], self.upper, length)
                )
            elif self.upper:
                states = self._rise(states, keep, self.upper)
        mean = super().sentence(states, keep)
        return Encoded(h=self.project_global(mean), H=self.project_words(states))


def _numbers_by_words(backbone: Any) -> bool:
    """Whether a word's position can be told to this encoder, or follows from the words before it: it does not matter
    then how much padding is left out between the text and the answer slot."""
    return isinstance(backbone, Bert) or type(backbone).__name__ == "RobertaModel"


def _last_layers(backbone: Any, config: EncoderConfig) -> nn.ModuleList:
    """Takes the last `train_last` layers out of a BERT-like backbone, to be trained; plain attention in both parts, for
    the fused kernel is slow backwards on a CPU and its mask differs. Raises ConfigError."""
    layers = getattr(getattr(backbone, "encoder", None), "layer", None)
    lower, upper = _parted(layers, config.train_last, "text", "layers", "no list `encoder.layer`")
    backbone.set_attn_implementation("eager")
    backbone.encoder.layer = lower
    return upper.requires_grad_(True)
