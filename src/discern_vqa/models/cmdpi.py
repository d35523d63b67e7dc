"""CMDPI: Cross-Modality Discriminative Pattern Identification (He, Ren, Pan, Zhang, Li: "Rethinking Medical VQA
Models: Towards Data-Efficient Learning"). This file is the network of section 3.1 (Eq. 1, 3, 4); how it learns is in
`objectives/cmdpi_pretrain.py` (Eq. 2, 5-7) and `objectives/cmdpi_finetune.py` (Eq. 8-13).

Letters: B texts, U images, N cells, M text positions, T = 1 + N + M, d width, V ids, K answers (docs/notation.md).
"""

from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import torch
from einops import rearrange
from pydantic import Field
from torch import Tensor, nn

from discern_vqa.bases import ModelBase, ModelConfig
from discern_vqa.config import Table
from discern_vqa.data.batch import Decision, Inputs
from discern_vqa.nn.encoders import Encoded, EncoderConfig, image_encoder, text_encoder
from discern_vqa.nn.transformer import BlockShape, FeedForward, PostNormBlock


class Readings(Table):
    """[model.readings]: where the paper's text can be read in several ways (docs/options.md)."""

    answer_slot: Literal["last_text", "eot", "ans_token", "global"] = "last_text"
    """A1: where the answer is read. The paper's index -1 is the last text position, which is reserved for it."""
    head_T: Literal["eot", "bos"] = "eot"
    """A3: the text position that stands for the whole text; "bos", the first, is for bidirectional text encoders."""
    image_target: Literal["pixel", "pixel_patchnorm", "embed_sg"] | None = None
    """A6: what L_img regresses. None: "pixel" (paper), "pixel_patchnorm" (robust)."""
    text_head: Literal["linear", "mlm", "tied"] = "linear"
    """A10: the layers that reconstruct the text."""
    input_ln: bool | None = None
    """A38: LayerNorm on [h, H_I, H_T] before the positions are added. None: off (paper), on (robust)."""
    tau_learned: bool = False
    """A16: the temperature of Eq. 7 is learned (CLIP's logit scale), within 0.01 .. 0.2; else it is fixed."""


class Config(ModelConfig):
    """[model]. Defaults are the paper's; `profile = "robust"` changes those whose literal reading is weak."""

    name: Literal["cmdpi"] = "cmdpi"
    profile: Literal["paper", "robust"] = "paper"
    """`paper`: what the paper says; `robust`: other choices where its literal reading is weak (docs/options.md)."""
    image: EncoderConfig = EncoderConfig()
    text: EncoderConfig = EncoderConfig()
    width: int = Field(512, ge=8)
    """d: the width of h, H and RecNet."""
    layers: int = Field(4, ge=1)
    """The number of RecNet's layers."""
    heads: int = Field(8, ge=1)
    """The number of attention heads in each layer."""
    ffn: int = Field(2048, ge=8)
    """The inner width of RecNet's feed-forward networks."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """The dropout of RecNet (A40)."""
    attention_dropout: float | None = Field(None, ge=0, lt=1)
    """The dropout of RecNet's attention weights; None: as `dropout`."""
    image_target_size: int = 0
    """The side in pixels of the image that is reconstructed; 0: that of the encoder's input."""
    image_target_grey: bool = False
    """The image that is reconstructed has one grey channel instead of three colours."""
    compact_text: bool = False
    """FFN_T has a row for each id that occurs in the training texts (for laptops), instead of one for each of V ids."""
    tau_kept: bool = False
    """CLIP's logit scale is a parameter, as in the paper's count, even where it is not learned and never read."""
    readings: Readings = Readings()

    def chosen(self) -> dict[str, Any]:
        robust = self.profile == "robust"
        readings = {"image_target": "pixel_patchnorm" if robust else "pixel", "input_ln": robust}
        return {"attention_dropout": self.dropout, "readings": readings}

    def target_image(self) -> tuple[int, bool]:
        return self.image_target_size, self.image_target_grey

    def compacts_text(self) -> bool:
        return self.compact_text


@dataclass(frozen=True)
class Features:
    """Eq. 1: global and local features of images and texts, texts' rows aligned (B)."""

    h_img: Tensor  # (B d)
    H_img: Tensor  # (B N d)
    h_txt: Tensor  # (B d)
    H_txt: Tensor  # (B M d)


@dataclass(frozen=True)
class Reconstruction:
    """Eq. 3 and 4: RecNet's last layer and the state of the answer slot; the three outputs are methods of the model."""

    H_out: Tensor  # (B T d)
    h_ans: Tensor  # (B d)


class Model(ModelBase):
    """CMDPI. `answers`: K; `text_ids`: the ids that FFN_T can name (all V of them unless `compact_text`)."""

    text_rows: Tensor
    config: Config
    output_layers: ClassVar = ("ffn_image", "ffn_text", "ffn_answer")
    answer_layers: ClassVar = ("ffn_answer",)
    optional_parts: ClassVar = ("ans_token", "enter", "log_tau")

    def __init__(
        self,
        config: Config,
        answers: int,
        vocabulary: int,
        length: int,
        text_ids: list[int] | None = None,
        image_folder: Path | None = None,
        text_folder: Path | None = None,
    ) -> None:
        super().__init__()
        self.config = config = config.resolved()
        d, self.length = config.width, length
        self.image = image_encoder(config.image, d, image_folder)
        self.text = text_encoder(config.text, d, vocabulary, length, text_folder)
        self.fusion = FeedForward(2 * d, 4 * d, d)
        has_token = config.readings.answer_slot == "ans_token"
        self.pos = nn.Parameter(torch.randn(1 + self.image.cells + length + has_token, d) * 0.02)
        self.h_shared = nn.Parameter(torch.randn(d) * 0.02)  # h~ of Eq. 2
        if has_token:
            self.ans_token = nn.Parameter(torch.randn(d) * 0.02)
        self.enter = nn.LayerNorm(d) if config.readings.input_ln else nn.Identity()
        shape = BlockShape(d, config.heads, config.ffn, config.dropout, config.attention_dropout or 0.0)
        self.blocks = nn.ModuleList(PostNormBlock(shape) for _ in range(config.layers))
        self.ffn_image = nn.Linear(d, self.target_width)
        rows, outputs = torch.arange(vocabulary), vocabulary
        if config.compact_text and text_ids:
            rows, outputs = torch.full((vocabulary,), -1), len(text_ids)
            rows[torch.tensor(text_ids)] = torch.arange(outputs)
        self.register_buffer("text_rows", rows, persistent=False)
        if config.readings.text_head == "linear":
            self.ffn_text: nn.Module = nn.Linear(d, outputs)
        elif config.readings.text_head == "mlm":
            self.ffn_text = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.LayerNorm(d), nn.Linear(d, outputs))
        else:
            self.ffn_text = _Tied(self.text, d)
        self.ffn_answer = nn.Linear(d, answers)
        if config.readings.tau_learned or config.tau_kept:
            self.log_tau = nn.Parameter(torch.tensor(0.07).log(), requires_grad=config.readings.tau_learned)

    # -- Eq. 1 -------------------------------------------------------------------------------------------------------

    def encode(
        self, inputs: Inputs, hidden_cells: Tensor | None = None, hidden_words: Tensor | None = None
    ) -> Features:
        """Eq. 1, lines 1-2 (Eq. 2, lines 1-2 when something is hidden): encodes each image once, then aligns rows.

        hidden_cells (U, N), hidden_words (B, M): True = hidden.
        """
        picture = self.image(inputs.image, hidden_cells)
        return self.align(picture, self.encode_text(inputs, hidden_words), inputs.which)

    def encode_text(self, inputs: Inputs, hidden_words: Tensor | None = None) -> Encoded:
        """The text side of Eq. 1."""
        text = self.text(inputs.tokens, inputs.keep, hidden_words, inputs.text_states)
        return replace(text, h=text.H[:, 0]) if self.config.readings.head_T == "bos" else text

    def align(self, picture: Encoded, text: Encoded, which: Tensor) -> Features:
        """Rows of U images repeated for the B texts about them."""
        return Features(h_img=picture.h[which], H_img=picture.H[which], h_txt=text.h, H_txt=text.H)

    def fuse(self, h_img: Tensor, h_txt: Tensor) -> Tensor:
        """Eq. 1, line 3: h_F = GlobalFusion(h_I, h_T), a feed-forward network on the pair."""
        return self.fusion(torch.cat([h_img, h_txt], dim=-1))

    # -- Eq. 3 -------------------------------------------------------------------------------------------------------

    def recnet(self, h: Tensor, H_img: Tensor, H_txt: Tensor, keep: Tensor) -> Reconstruction:
        """Eq. 3: RecNet on v_0 = [h, H_I, H_T] + pos. Padding is no key; the answer slot is one.

        h (B, d): h_F, or h~ for the local pass; keep (B, M) True = a real token.
        """
        v, may = self.sequence(h, H_img, H_txt, keep)
        used, v_used, may_used = self._used(v, may)
        for block in self.blocks:
            v_used = block(v_used, may_used)
        if v_used.shape[1] < v.shape[1]:
            v = v_used.new_zeros(v.shape)
            v[:, used] = v_used
        else:
            v = v_used
        return Reconstruction(H_out=v, h_ans=v[torch.arange(v.shape[0], device=v.device), self.slot(keep)])

    def answer_alone(self, h: Tensor, H_img: Tensor, H_txt: Tensor, keep: Tensor) -> Tensor:
        """(B, d) the state of the answer slot, as `recnet` gives it; nothing else of the last layer is computed."""
        used, v, may = self._used(*self.sequence(h, H_img, H_txt, keep))
        *before, last = self.blocks
        for block in before:
            v = block(v, may)
        return cast(PostNormBlock, last).at(v, may, used.cumsum(0)[self.slot(keep)] - 1)

    def _used(self, v: Tensor, may: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Which positions (T,) any row of the batch may attend to, and v and may there: the others change nothing; with
        short questions they are a fifth."""
        if torch.compiler.is_exporting():  # how many there are depends on the numbers, and a graph has fixed shapes
            return may.new_ones(may.shape[1]), v, may
        used = may.any(0)
        return used, v[:, used], may[:, used]

    def sequence(self, h: Tensor, H_img: Tensor, H_txt: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
        """v_0 (B, T, d) of Eq. 3 and which positions may be attended to (B, T)."""
        parts = [h[:, None], H_img, H_txt]
        keep = keep.clone()
        if self.config.readings.answer_slot == "last_text":
            keep[:, -1] = True
        may = [keep.new_ones(h.shape[0], 1 + H_img.shape[1]), keep]
        if self.config.readings.answer_slot == "ans_token":
            parts.append(self.ans_token.expand(h.shape[0], 1, -1).to(h.dtype))
            may.append(keep.new_ones(h.shape[0], 1))
        return self.enter(torch.cat(parts, dim=1)) + self.pos, torch.cat(may, dim=1)

    def slot(self, keep: Tensor) -> Tensor:
        """(B,) the position of T at which the answer is read (A1)."""
        if self.config.readings.answer_slot == "global":
            return keep.new_zeros(keep.shape[0], dtype=torch.int64)
        if self.config.readings.answer_slot == "eot":
            return keep.sum(1) + self.image.cells
        return torch.full((keep.shape[0],), len(self.pos) - 1, device=keep.device)

    # -- Eq. 4 -------------------------------------------------------------------------------------------------------

    def output_image(self, H_out: Tensor) -> Tensor:
        """Eq. 4, line 1: Output_I = FFN_I(H_o[1 .. N]), (B, N, p)."""
        return self.ffn_image(H_out[:, 1 : 1 + self.image.cells])

    def output_text(self, H_out: Tensor, where: Tensor) -> Tensor:
        """Eq. 4, line 2: Output_T = FFN_T(H_o[N+1 .. N+M]) at the positions that enter the loss.

        where (B, M) True = wanted; returns (n, V), rows in the order of `where`'s True entries.
        """
        start = 1 + self.image.cells
        return self.ffn_text(H_out[:, start : start + self.length][where])

    def output_answer(self, h_ans: Tensor) -> Tensor:
        """Eq. 4, line 3: Ans' = FFN_A(H_o[-1]), (B, K) before the softmax."""
        return self.ffn_answer(h_ans)

    # -- what is reconstructed (Eq. 5's Input_I and Input_T) -----------------------------------------------------------

    @property
    def target_width(self) -> int:
        """p: numbers in a patch of the image, or the encoder's states' width."""
        if self.config.readings.image_target == "embed_sg":
            return self.config.width
        side = (self.config.image_target_size or self.image.size) // self.image.grid[0]
        return side * side * (1 if self.config.image_target_grey else 3)

    def patches(self, picture: Tensor) -> Tensor:
        """P(I): (U, C, h, w) in [0, 1] -> (U, N, p), normalised over the image or over each patch (MAE)."""
        rows, columns = self.image.grid
        height, width = picture.shape[-2] // rows, picture.shape[-1] // columns
        picture = (picture[..., : rows * height, : columns * width] - 0.45) / 0.27  # about CLIP's mean and spread
        patches = rearrange(picture, "u c (r h) (k w) -> u (r k) (c h w)", r=rows, k=columns)
        if self.config.readings.image_target == "pixel_patchnorm":
            spread = patches.var(-1, keepdim=True).add(1e-4).sqrt()
            patches = (patches - patches.mean(-1, keepdim=True)) / spread
        return patches

    def image_target(self, H_img: Tensor, picture: Tensor, which: Tensor) -> Tensor:
        """Input_I for each text, (B, N, p): patches of its image (U, C, h, w), or the unmasked states H_img."""
        sg = self.config.readings.image_target == "embed_sg"
        return H_img.detach() if sg else self.patches(picture)[which]

    def text_targets(self, tokens: Tensor, where: Tensor) -> Tensor:
        """Input_T at the positions that enter the loss: (n,) rows of FFN_T; -1: it has none for that word."""
        return self.text_rows[tokens[where]]

    # -- 2.6 inference -------------------------------------------------------------------------------------------------

    def forward(self, inputs: Inputs) -> Reconstruction:
        """One pass without masking, deviation or mixup."""
        features = self.encode(inputs)
        h_fused = self.fuse(features.h_img, features.h_txt)
        return self.recnet(h_fused, features.H_img, features.H_txt, inputs.keep)

    def decide(self, inputs: Inputs) -> Decision:
        """argmax of these scores is the answer, the same for open and closed questions."""
        return Decision(self.add_prior(self.output_answer(self.answer_state(inputs)).float(), inputs))

    def answer_state(self, inputs: Inputs) -> Tensor:
        """(B, d) what the answer is read from: h_D, the state of the answer slot."""
        if self.training:  # as ever: dropout would be drawn for other shapes
            return self(inputs).h_ans
        features = self.encode(inputs)
        h_fused = self.fuse(features.h_img, features.h_txt)
        return self.answer_alone(h_fused, features.H_img, features.H_txt, inputs.keep)

    def attentions(self, inputs: Inputs) -> list[Tensor]:
        """How each of RecNet's layers attends, the mean over heads: (B, T, T) each, rows are queries."""
        features = self.encode(inputs)
        h_fused = self.fuse(features.h_img, features.h_txt)
        v, may = self.sequence(h_fused, features.H_img, features.H_txt, inputs.keep)
        weights = []
        for block in self.blocks:
            weights.append(cast(PostNormBlock, block).attention(v, may).mean(1))
            v = block(v, may)
        return weights

    def attention(self, inputs: Inputs) -> Tensor:
        """Attention roll-out of the answer slot to the cells (cmdpi.md 6.4): (B, rows, columns), each summing to 1."""
        weights = self.attentions(inputs)
        residual = torch.eye(weights[0].shape[1], device=weights[0].device)
        steps = [(layer + residual) / 2 for layer in weights]
        return self.cells_of(reduce(lambda rolled, step: step @ rolled, steps), inputs)

    def cells_of(self, weights: Tensor, inputs: Inputs) -> Tensor:
        """The answer slot's row of (B, T, T) weights at the cells: (B, rows, columns), each summing to 1."""
        slot = self.slot(inputs.keep)
        cells = weights[torch.arange(len(slot), device=slot.device), slot][:, 1 : 1 + self.image.cells]
        return (cells / cells.sum(-1, keepdim=True)).unflatten(1, self.image.grid)

    def parameter_count(self) -> int:
        """By the rule of cmdpi.md section 4: everything trained, without the vectors that stand for hidden places."""
        skipped = {"image.mask", "text.mask", "image.grey"}
        return sum(p.numel() for name, p in self.named_parameters() if name not in skipped)


class _Tied(nn.Module):
    """A10, `tied`: scores against the text encoder's own word embeddings."""

    def __init__(self, text: nn.Module, d: int) -> None:
        super().__init__()
        embeddings = [module for module in text.modules() if isinstance(module, nn.Embedding)]
        self.embedding = [max(embeddings, key=lambda table: table.num_embeddings)]  # a list: not registered twice
        self.project = nn.Linear(d, self.embedding[0].embedding_dim)

    def forward(self, H: Tensor) -> Tensor:
        """(n, d) -> (n, V)."""
        return self.project(H) @ self.embedding[0].weight.T
