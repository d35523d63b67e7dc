"""CMI-MTL: Cross-Mamba interaction based multi-task learning (Jin, Zheng, Cui, Sun, Fang, Cong, Su, Wei, Xuan, Wang,
Pacific Graphics 2025). This file is the network: FVTA (a query transformer that picks regions), CIFR (two Mamba streams
with a joint gate), FFAE (a classifier, a head for the answer's type, a generator). How it learns is in
`objectives/cmi_mtl.py`, how it answers in `answering/modes.py`.

The paper's text leaves most of it open; its published program settles it, with defects. `profile = "fixed"` (default)
is the same architecture with the defects repaired, `profile = "released"` computes what the program computed; each
defect (D1 ... D14) is a key of its own, listed in docs/paper_map.md.

Letters: B texts, U images, N cells, M text positions, K regions, d width, E inner width, A answers (docs/notation.md;
the answers of a table are K there, here A, since the paper's queries are K).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import Tensor, nn

from discern_vqa.bases import ModelBase, ModelConfig, Part
from discern_vqa.config import Table
from discern_vqa.data.batch import Decision, Inputs, PriorScores
from discern_vqa.nn.cross_mamba import Cifr, CifrConfig
from discern_vqa.nn.decoder import Decoder, GeneratorConfig, Read, T5Decoder, TinyDecoder
from discern_vqa.nn.encoders import EncoderConfig, image_encoder, text_encoder
from discern_vqa.nn.fvta import Fvta, FvtaConfig, Regions, Tokens
from discern_vqa.nn.resample import mean_of
from discern_vqa.nn.transformer import Dropout


class Readings(Table):
    """[model.readings]: where the published program differs from its repaired form (docs/options.md). Other such keys
    belong to the parts `fvta`, `cifr` and `generator`."""

    mask_padding: bool | None = None
    """D5: the scans, the pooling and the generator leave padded words out. None: on (fixed), off (released)."""
    type_head: bool | None = None
    """A head predicts whether the answer is open. None: on (fixed), off (released)."""


class Config(ModelConfig):
    """[model]. Sizes are the paper's; what is None is chosen by the profile."""

    name: Literal["cmi_mtl"] = "cmi_mtl"
    profile: Literal["fixed", "released"] = "fixed"
    """`released` gives other answers each time (D1), so that its result is a mean over five seeds or more, with their
    spread (docs/experiments.md)."""
    image: EncoderConfig = EncoderConfig()
    text: EncoderConfig = EncoderConfig()
    width: int = Field(768, ge=8)
    """d: the width of both streams."""
    fvta: FvtaConfig = FvtaConfig()
    cifr: CifrConfig = CifrConfig()
    generator: GeneratorConfig = GeneratorConfig()
    pooling: Literal["first", "mean", "attn"] = "first"
    """What the classifier reads of each stream: its first position (the paper), the mean, or a learned weighting."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """The dropout on what the classifier reads."""
    hybrid_below: float = Field(0.5, ge=0, le=1)
    """The mode `hybrid` generates the answer to an open question whose best class is less certain than this."""
    readings: Readings = Readings()

    def chosen(self) -> dict[str, Any]:
        fixed = self.profile == "fixed"
        return {
            "readings": {"mask_padding": fixed, "type_head": fixed},
            "generator": {"target": "raw" if fixed else "normalized"},
        }

    def resolved(self) -> Self:
        released = self.profile == "released"
        inner = {"fvta": self.fvta.resolved(released, self.width), "cifr": self.cifr.resolved(released)}
        return super().resolved().model_copy(update=inner)

    def parts(self) -> dict[str, Part]:
        return super().parts() | {
            "fvta": Part("query transformer", self.fvta, foreign=False),
            "generator": Part("generator", self.generator),
        }

    def writer(self) -> GeneratorConfig | None:
        return None if self.generator.kind == "none" else self.generator

    def generates_below(self) -> float:
        return self.hybrid_below


@dataclass(frozen=True)
class Fused:
    """CIFR and what is read of it: X (B, M, d), Y (B, K, d), c (B, 2d); keep (B, M + K) of [X; Y];
    prior: see `Inputs`."""

    tokens: Tokens
    regions: Regions
    X: Tensor
    Y: Tensor
    c: Tensor
    keep: Tensor
    prior: PriorScores | None = None


class Model(ModelBase):
    """CMI-MTL. `answers`: A; `symbols`: how many tokens the generator's tokenizer has."""

    config: Config
    output_layers: ClassVar = ("head.3", "head_type")
    answer_layers: ClassVar = ("head.3",)
    optional_parts: ClassVar = ("head_type", "fvta", "cifr", "generator")

    def __init__(
        self,
        config: Config,
        answers: int,
        vocabulary: int,
        length: int,
        text_ids: list[int] | None = None,
        image_folder: Path | None = None,
        text_folder: Path | None = None,
        symbols: int = 0,
        generator_folder: Path | None = None,
        fvta_folder: Path | None = None,
    ) -> None:
        super().__init__()
        self.config = config = config.resolved()
        d = config.width
        self.image = image_encoder(config.image, d, image_folder)
        self.text = text_encoder(config.text, d, vocabulary, length, text_folder)
        self.text.reads_padding = not config.readings.mask_padding
        self.modality = nn.Parameter(torch.randn(2, d) * 0.02)
        self.fvta = Fvta(config.fvta, d, fvta_folder)
        self.cifr = Cifr(config.cifr, d)
        self.pool_text, self.pool_image = (_Pool(d, config.pooling) for _ in range(2))
        self.drop = Dropout(config.dropout)
        self.head = nn.Sequential(nn.Linear(2 * d, 2 * d), nn.LayerNorm(2 * d), nn.GELU(), nn.Linear(2 * d, answers))
        if config.readings.type_head:
            self.head_type = nn.Linear(2 * d, 1)
        if config.generator.kind == "t5":
            self.generator: Decoder = T5Decoder(config.generator, d, generator_folder)
        elif config.generator.kind == "tiny":
            self.generator = TinyDecoder(config.generator, d, symbols or config.generator.symbols)
        for name, parameter in self.named_parameters():
            if name in UNUSED or name.startswith("text.project_global."):
                parameter.requires_grad_(False)

    @property
    def modes(self) -> tuple[str, ...]:
        """The ways of answering that this model has, cheapest first."""
        typed, writes = bool(self.config.readings.type_head), self.writes
        modes = {"classify_typed": typed, "generate": writes, "rank": writes, "hybrid": typed and writes}
        return ("classify", *(mode for mode, present in modes.items() if present))

    @property
    def writes(self) -> bool:
        """True when there is a generator."""
        return self.config.generator.kind != "none"

    def encode(self, inputs: Inputs) -> Tokens:
        """T and V of cmi_mtl.md 1.2: encoder states, each with the vector of its modality."""
        picture = self.image(inputs.image)
        text = self.text(inputs.tokens, inputs.keep, None, inputs.text_states)
        e_text, e_image = self.modality
        V = torch.cat([picture.h[:, None], picture.H], dim=1) + e_image
        return Tokens(text.H + e_text, V, inputs.keep, inputs.words, inputs.which)

    def forward(self, inputs: Inputs) -> Fused:
        """FVTA, then CIFR, then what the heads read."""
        tokens = self.encode(inputs)
        regions = self.fvta(tokens)
        keep = tokens.keep if self.config.readings.mask_padding else torch.ones_like(tokens.keep)
        keep_y = torch.ones(regions.Z.shape[:2], dtype=torch.bool, device=keep.device)
        X, Y = self.cifr(tokens.T, regions.Z, keep, keep_y)
        c = torch.cat([self.pool_text(X, keep), self.pool_image(Y, keep_y)], dim=-1)
        return Fused(tokens, regions, X, Y, self.drop(c), torch.cat([keep, keep_y], dim=1), inputs.prior)

    def classify(self, fused: Fused) -> Tensor:
        """f (B, A): the classifier over all questions; on top of a prior where there is one."""
        scores: Tensor = self.head(fused.c)
        return scores if fused.prior is None else fused.prior.add_to(scores)

    def openness(self, fused: Fused) -> Tensor:
        """(B,) logit of p(open)."""
        return self.head_type(fused.c)[:, 0]

    def read(self, fused: Fused, rows: Tensor | None = None) -> Read:
        """What the generator reads: M = [X; Y] (of the given rows)."""
        memory, keep = torch.cat([fused.X, fused.Y], dim=1), fused.keep
        return self.generator.read(memory, keep) if rows is None else self.generator.read(memory[rows], keep[rows])

    def decide(self, inputs: Inputs) -> Decision:
        """argmax of these scores is the answer of `classify`, the same for open and closed questions."""
        fused = self(inputs)
        openness = self.openness(fused).float() if self.config.readings.type_head else None
        scores = self.classify(fused).float()
        return Decision(scores if fused.prior is None else fused.prior.mix_with(scores), openness)

    def answer_state(self, inputs: Inputs) -> Tensor:
        """(B, 2d) what the classifier reads: c."""
        return self(inputs).c

    def attention(self, inputs: Inputs) -> Tensor:
        """The relevance map of cmi_mtl.md 2.1 (B, rows, columns), each summing to 1; without FVTA, how well each cell's
        fused state fits the text's."""
        relevance = self.fvta(self.encode(inputs), maps=True).relevance
        if relevance is None:
            fused = self(inputs)
            fit = (fused.Y[:, 1:] @ fused.X[:, 0, :, None])[..., 0]
            relevance = fit.div(self.config.width**0.5).softmax(-1)
        cells = relevance.float()
        return (cells / cells.sum(-1, keepdim=True)).unflatten(1, self.image.grid)


UNUSED = {"image.mask", "image.grey", "text.mask"}
"""Vectors of the encoders that stand for hidden places: nothing is hidden here."""


class _Pool(nn.Module):
    """What the classifier reads of a stream: tanh(W v + b) of its first position, its mean, or a weighted mean."""

    def __init__(self, d: int, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.dense = nn.Linear(d, d)
        if kind == "attn":
            self.weigh = nn.Linear(d, 1)

    def forward(self, v: Tensor, keep: Tensor) -> Tensor:
        """v (B, L, d), keep (B, L) -> (B, d)."""
        if self.kind == "first":
            chosen = v[:, 0]
        elif self.kind == "mean":
            chosen = mean_of(v, keep)
        else:
            chosen = (self.weights(v, keep).to(v.dtype)[:, None] @ v)[:, 0]
        return torch.tanh(self.dense(chosen))

    def weights(self, v: Tensor, keep: Tensor) -> Tensor:
        """(B, L): the share of each position in what is read, summing to 1."""
        if self.kind == "attn":
            return self.weigh(v)[..., 0].float().masked_fill(~keep, -torch.inf).softmax(-1)
        read = keep.float() if self.kind == "mean" else torch.zeros(keep.shape, device=keep.device)
        if self.kind == "first":
            read[:, 0] = 1.0
        return read / read.sum(-1, keepdim=True)
