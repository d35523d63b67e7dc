"""What every encoder is: pixels or ids (or cached states of them) in, `Encoded(h, H)` out."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from discern_vqa.config import Table
from discern_vqa.errors import RunError
from discern_vqa.nn.resample import mean_of


class EncoderConfig(Table):
    """[model.image] and [model.text]."""

    kind: Literal["tiny", "lite", "hf"] = "tiny"
    """`tiny`: a small encoder with random weights; `lite`: MobileNetV2 and MiniLM; `hf`: any of `transformers`."""
    weights: str = ""
    """The name of a weights folder (or a hub id); with `hf` and an empty name, `architecture` with random weights."""
    architecture: Literal["clip-vit-base-patch32", "clip-vit-base-patch16", "roberta-base"] = "clip-vit-base-patch32"
    """What `hf` builds where no folder is named (A4); the CLIP models have both towers."""
    project: bool = True
    """Off: the encoder's last states without a projection, for models that are as wide as the encoder."""
    own_cells: bool = False
    """CLIP's image tower: H_I has a learned projection of its own instead of CLIP's (A5). Other encoders have no
    projection that could be shared, and always have their own."""
    frozen: bool = False
    """The pre-trained part is not trained; its states are computed once and cached."""
    train_last: int = Field(default=0, ge=0)
    """With `frozen`, for text encoders of BERT's kind and MobileNetV2: the number of last layers (blocks) that are
    trained all the same, over cached states of the layers below them."""
    size: int = 0
    """The side of the image in pixels; 0: the encoder's own. The positions of a vision transformer are interpolated."""
    pool: int = 0
    """`lite`, and `hf` with feature maps: cells are averaged into pool x pool; 0: as the model makes them. A third of
    the cells costs half of a training step."""
    width: int = 0
    """`tiny`: the width of the encoder; 0: the model's width."""
    layers: int = 2
    """`tiny`: the number of transformer layers."""
    heads: int = 4
    """`tiny`: the number of attention heads in each layer."""
    patch: int = 16
    """`tiny`: the side of a cell in pixels (8, 16 or 32)."""
    channels: int = 32
    """`tiny`: the channels of the first convolutional stage; they double with every halving, up to the width."""


@dataclass(frozen=True)
class Encoded:
    """h (B, d): one vector for the whole; H (B, N or M, d): one for each place."""

    h: Tensor
    H: Tensor


class Encoder(nn.Module):
    """What encoders of images and of texts share."""

    pretrained_parts: tuple[str, ...] = ()  # names of the submodules that came from elsewhere
    state_width: int  # c, width of the states that may be cached
    random: list[str]  # names of the parameters that stayed random when pre-trained weights were loaded
    mask: nn.Parameter  # the vector that stands for what is hidden; `TinyImage` has a grey instead

    def pretrained(self) -> list[nn.Parameter]:
        """The parameters that came from elsewhere and may want their own learning rate."""
        return [parameter for name in self.pretrained_parts for parameter in getattr(self, name).parameters()]

    def covered(self, states: Tensor, hidden: Tensor | None) -> Tensor:
        """(B, L, c) with `mask` where hidden (B, L) is True; none: nothing is hidden."""
        return states if hidden is None else torch.where(hidden[..., None], self.mask.to(states.dtype), states)

    def frozen_digest(self) -> str:
        """Of what a frozen encoder's states follow from: all that is not trained. It is taken of the weights in memory,
        since the file that they came from may be elsewhere, or another by now, when a run is opened."""
        still = {name: tensor for name, tensor in self.named_parameters() if not tensor.requires_grad}
        digest = hashlib.sha256()
        for name, tensor in sorted((still | dict(self.named_buffers())).items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


class ImageEncoder(Encoder):
    """An image encoder of a grid of cells."""

    size: int  # side in pixels of the images it reads
    grid: tuple[int, int]  # (rows, columns) of cells; N = rows * columns
    trains_last = False  # layers are trained over the states that may be cached, which are then not the encoder's last

    @property
    def cells(self) -> int:
        """N."""
        return self.grid[0] * self.grid[1]

    def states(self, image: Tensor) -> Tensor:
        """(U, 3, size, size) pixels in [0, 1] -> (U, 1 + N, c) states, global first: what a frozen encoder caches."""
        raise NotImplementedError(f"{type(self).__name__} has no states that could be cached")

    def forward(self, image: Tensor, hidden: Tensor | None = None) -> Encoded:
        """image: pixels (U, 3, size, size) or cached states (U, 1 + N, c); hidden (U, N) True = hide this cell."""
        raise NotImplementedError


Once = Callable[[Tensor, Tensor, Callable[[int, Tensor], Tensor]], Tensor]
"""`data.bounded.PerText`: ids (B, M), keep (B, M) and a function of a length and some rows (n,) to what is made of all
rows."""


class TextEncoder(Encoder):
    """A text encoder of M positions, the last of which is the answer slot."""

    once: Once | None = None
    """For answering, when weights stay as they are and texts are not changed: what the last layers make of a text is
    made once. Set by whoever opens a model to ask it."""
    reads_padding = False
    """Whether the model reads what stands behind a text too, as the published program of CMI-MTL does."""

    def columns(self, keep: Tensor) -> Tensor:
        """Which positions (M,) are worth computing for texts `keep` (B, M): those that any of them has, and the answer
        slot. All where padding is read, or where a graph of fixed shapes is made."""
        if self.reads_padding or torch.compiler.is_exporting():
            return torch.ones_like(keep[0])
        columns = keep.any(0)
        columns[-1] = True
        return columns

    def states(self, tokens: Tensor, keep: Tensor) -> Tensor:
        """(B, M) ids -> (B, M, c) states: what a frozen encoder caches."""
        raise NotImplementedError(f"{type(self).__name__} has no states that could be cached")

    def states_up_to(self, length: int, tokens: Tensor, keep: Tensor) -> Tensor:
        """As `states`, of texts of at most `length` tokens: the states of padding behind them, which count nowhere, may
        be 0. What a text gets follows from itself and from `length`, and not from the others."""
        return self.states(tokens, keep)

    def forward(
        self, tokens: Tensor, keep: Tensor, hidden: Tensor | None = None, states: Tensor | None = None
    ) -> Encoded:
        """tokens, keep (B, M); hidden (B, M) True = hide this word; states: cached ones, instead of reading tokens."""
        raise NotImplementedError

    def sentence(
        self, states: Tensor, keep: Tensor, layers: nn.ModuleList | None = None, length: int | None = None
    ) -> Tensor:
        """(B, M, c) cached states -> (B, c): the mean over the real tokens, once `layers` have read the states (the
        last ones as they came, where an encoder trains them). length: no text has more tokens; None: not known."""
        return mean_of(states, keep)


def from_folder(kind: Any, folder: Path, **settings: Any) -> tuple[nn.Module, list[str]]:
    """A `transformers` module from a folder, and the names of its parameters that stayed random. kind: its class, or
    the class's name.

    A folder with a configuration and no weights (as a run folder keeps it) gives the bare architecture.
    """
    import transformers
    from transformers.utils import logging

    cls = getattr(transformers, kind) if isinstance(kind, str) else kind
    # What stays random is listed by us; the library's own bars and tables would bury it.
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if not any(folder.glob("*.safetensors")):
        from transformers import AutoConfig

        # from_config of the Auto classes and the constructor of the concrete ones are the same thing.
        build = getattr(cls, "from_config", None) or cls._from_config
        bare: nn.Module = build(_own_config(cls, AutoConfig.from_pretrained(folder, local_files_only=True)), **settings)
        return bare.float(), ["all"]  # a configuration may name the half precision of the weights it came with
    module, report = cls.from_pretrained(
        folder, local_files_only=True, output_loading_info=True, dtype=torch.float32, **settings
    )
    if wrong := list(report.get("mismatched_keys", [])):
        raise RunError(f"{folder} does not fit its own configuration: {wrong[:3]}", hint="download the folder again")
    return module, sorted(report.get("missing_keys", []))


def _own_config(cls: Any, config: Any) -> Any:
    """A whole CLIP folder describes two towers; a tower's class wants its own part."""
    wanted = getattr(cls, "config_class", None)
    if wanted is None or isinstance(config, wanted):
        return config
    part = config.vision_config if "Vision" in wanted.__name__ else config.text_config
    part.projection_dim = config.projection_dim
    return part
