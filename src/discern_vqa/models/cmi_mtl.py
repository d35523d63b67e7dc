"""CMI-MTL: Cross-Mamba interaction based multi-task learning (Jin, Zheng, Cui, Sun, Fang, Cong, Su, Wei, Xuan, Wang,
Pacific Graphics 2025). This file is the network: FVTA (a query transformer that picks regions), CIFR (two Mamba streams
with a joint gate), FFAE (a classifier, a head for the answer's type, a generator). How it learns is in
`objectives/cmi_mtl.py`, how it answers in `models/_modes.py`.

The paper's text leaves most of it open; its published program settles it, with defects. `profile = "fixed"` (default)
is the same architecture with the defects repaired, `profile = "released"` computes what the program computed; each
defect (D1 ... D14) is a key of its own, listed in docs/paper_map.md.

Letters: B texts, U images, N cells, M text positions, K regions, d width, E inner width, A answers (docs/notation.md;
the answers of a table are K there, here A, since the paper's queries are K).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from einops import rearrange
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from discern_vqa.data.batch import Decision, Inputs
from discern_vqa.nn import alignment
from discern_vqa.nn.cross_mamba import CifrConfig
from discern_vqa.nn.decoder import Decoder, GeneratorConfig, T5Decoder, TinyDecoder
from discern_vqa.nn.encoders import EncoderConfig, image_encoder, text_encoder
from discern_vqa.nn.mixers import Cifr
from discern_vqa.nn.qformer import QueryTransformer
from discern_vqa.nn.resample import mean_of
from discern_vqa.nn.transformer import Dropout

MODES = ("classify", "classify_typed", "generate", "rank", "hybrid")


class FvtaConfig(BaseModel):
    """[model.fvta]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["qformer", "none"] = "qformer"
    """`none` (an ablation): the image tokens themselves go on, and nothing is aligned."""
    queries: int = Field(32, ge=1)
    layers: int = Field(12, ge=1)
    heads: int = Field(12, ge=1)
    ffn: int = Field(0, ge=0)
    """0: four times the width."""
    every: int = Field(2, ge=1)
    """Every so many layers look at the image."""
    dropout: float = Field(0.1, ge=0, lt=1)
    embed: int = Field(256, ge=2)
    """Width of the space in which images and texts are compared."""
    text: Literal["first", "mean"] = "first"
    """t: the state of the text's first position, or the mean over its words."""
    query: Literal["learned", "text"] = "learned"
    """`text`: the question's words are queries too, so that regions are picked for the question."""
    topk: int = Field(0, ge=0)
    """So many image cells, the most relevant ones, go on beside the regions."""
    tau: float = Field(0.07, gt=0)
    """First value of the learned temperature."""
    tau_range: tuple[float, float] | None = None
    """It stays within. Fixed: 0.01 ... 0.5; released: anywhere."""
    token: Literal["none", "filip", "gloria", "sparc"] = "none"
    """A further alignment of cells and words."""
    token_tau: float = Field(0.07, gt=0)


class Config(BaseModel):
    """[model]. Sizes are the paper's; what is None is chosen by the profile."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Literal["cmi_mtl"] = "cmi_mtl"
    profile: Literal["fixed", "released"] = "fixed"
    image: EncoderConfig = EncoderConfig()
    text: EncoderConfig = EncoderConfig()
    width: int = Field(768, ge=8)
    """d."""
    fvta: FvtaConfig = FvtaConfig()
    cifr: CifrConfig = CifrConfig()
    generator: GeneratorConfig = GeneratorConfig()
    mask_padding: bool | None = None
    """D5: padded words are left out of the scans, the pooling and the generator's memory. Fixed: on; released: off."""
    pooling: Literal["first", "mean", "attn"] = "first"
    """What the classifier reads of each stream: its first position (the paper), the mean, or a learned choice."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """On what the classifier reads."""
    type_head: bool | None = None
    """A head that says whether the answer is open. Fixed: on; released: off."""
    hybrid_below: float = Field(0.5, ge=0, le=1)
    """`hybrid` generates where an open question's best class is less sure than this."""

    def resolved(self) -> "Config":
        """With the profile's choice wherever a key was left open."""
        released = self.profile == "released"
        fvta = self.fvta.model_copy(
            update={"tau_range": self.fvta.tau_range or ((1e-6, 1e6) if released else (0.01, 0.5)),
                    "ffn": self.fvta.ffn or 4 * self.width}  # fmt: skip
        )
        target = self.generator.target or ("normalized" if released else "raw")
        return self.model_copy(
            update={
                "fvta": fvta,
                "cifr": self.cifr.resolved(released),
                "generator": self.generator.model_copy(update={"target": target}),
                "mask_padding": not released if self.mask_padding is None else self.mask_padding,
                "type_head": not released if self.type_head is None else self.type_head,
            }
        )


@dataclass(frozen=True)
class Tokens:
    """The two encoders' states with their modality's vector: texts (B M d), images (U 1+N d), masks (B M)."""

    T: Tensor
    V: Tensor
    keep: Tensor
    words: Tensor
    which: Tensor


@dataclass(frozen=True)
class Regions:
    """FVTA. Z (B, K, d) goes on; q (U, K, e) and t (B, e): unit vectors that the alignment compares; relevance (B, N):
    where the region that fits the question best was seen (when asked for). Without FVTA there is only Z."""

    Z: Tensor
    q: Tensor | None
    t: Tensor | None
    relevance: Tensor | None


@dataclass(frozen=True)
class Fused:
    """CIFR and what is read of it: X (B, M, d), Y (B, K, d), c (B, 2d); keep (B, M + K) of [X; Y]."""

    tokens: Tokens
    regions: Regions
    X: Tensor
    Y: Tensor
    c: Tensor
    keep: Tensor


class Model(nn.Module):
    """CMI-MTL. `answers`: A; `symbols`: how many tokens the generator's tokenizer has."""

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
    ) -> None:
        super().__init__()
        self.config = config = config.resolved()
        d, fvta = config.width, config.fvta
        self.image = image_encoder(config.image, d, image_folder)
        self.text = text_encoder(config.text, d, vocabulary, length, text_folder)
        self.modality = nn.Parameter(torch.randn(2, d) * 0.02)
        if fvta.kind == "qformer":
            self.qformer = QueryTransformer(
                d, fvta.queries, fvta.layers, fvta.heads, fvta.ffn, fvta.dropout, fvta.every
            )
            self.to_q, self.to_t = nn.Linear(d, fvta.embed), nn.Linear(d, fvta.embed)
            self.tau = nn.Parameter(torch.tensor(fvta.tau))
            if fvta.query == "text":
                self.ask = nn.Linear(d, d)
        if fvta.token != "none":
            self.to_places, self.to_words = nn.Linear(d, fvta.embed), nn.Linear(d, fvta.embed)
        self.cifr = Cifr(config.cifr, d)
        self.pool_text, self.pool_image = (_Pool(d, config.pooling) for _ in range(2))
        self.drop = Dropout(config.dropout)
        self.head = nn.Sequential(nn.Linear(2 * d, 2 * d), nn.LayerNorm(2 * d), nn.GELU(), nn.Linear(2 * d, answers))
        if config.type_head:
            self.head_type = nn.Linear(2 * d, 1)
        if config.generator.kind == "t5":
            self.generator: Any = T5Decoder(config.generator, d, generator_folder)
        elif config.generator.kind == "tiny":
            self.generator = TinyDecoder(config.generator, d, symbols or config.generator.symbols)
        for name, parameter in self.named_parameters():
            if name in UNUSED or name.startswith("text.project_global."):
                parameter.requires_grad_(False)

    @property
    def modes(self) -> tuple[str, ...]:
        """The ways of answering that this model has, cheapest first."""
        wanted = {"classify_typed": self.config.type_head, "hybrid": self.config.type_head and self.writes}
        return tuple(mode for mode in MODES if wanted.get(mode, mode == "classify" or self.writes))

    @property
    def writes(self) -> bool:
        """True when there is a generator."""
        return self.config.generator.kind != "none"

    # -- encoders ------------------------------------------------------------------------------------------------------

    def encode(self, inputs: Inputs) -> Tokens:
        """T and V of cmi_mtl.md 1.2: encoder states, each with the vector of its modality."""
        picture = self.image(inputs.image)
        text = self.text(inputs.tokens, inputs.keep, None, inputs.text_states)
        e_text, e_image = self.modality
        V = torch.cat([picture.h[:, None], picture.H], dim=1) + e_image
        return Tokens(text.H + e_text, V, inputs.keep, inputs.words, inputs.which)

    # -- FVTA ----------------------------------------------------------------------------------------------------------

    def fvta(self, tokens: Tokens, maps: bool = False) -> Regions:
        """Fine-grained visual-text feature alignment: K regions of each image, and what the alignment compares.

        The alignment always compares regions that have not seen the question: it would otherwise recognise itself.
        maps: also say where the winning region's query looked.
        """
        config, which = self.config.fvta, tokens.which
        if config.kind == "none":
            return Regions(tokens.V[which], None, None, None)
        wants = maps or bool(config.topk)
        plain = self.qformer(tokens.V, maps=wants)
        q, t = F.normalize(self.to_q(plain.Z), dim=-1), F.normalize(self.to_t(self.text_state(tokens)), dim=-1)
        if config.query == "text":
            asked = self.qformer(tokens.V[which], self.ask(tokens.T), tokens.keep, maps=wants)
            Z, looked = asked.Z, asked.maps
        else:
            Z, looked = plain.Z[which], None if plain.maps is None else plain.maps[which]
        relevance = None if looked is None else self.relevance(looked, self.winner(q[which], t))
        if config.topk and relevance is not None:
            best = relevance.topk(min(config.topk, relevance.shape[1]), dim=1).indices + 1
            cells = tokens.V[which].gather(1, best[..., None].expand(-1, -1, Z.shape[-1]))
            Z = torch.cat([Z, cells], dim=1)
        return Regions(Z, q, t, relevance)

    def text_state(self, tokens: Tokens) -> Tensor:
        """(B, d): what stands for a whole text in the alignment."""
        return tokens.T[:, 0] if self.config.fvta.text == "first" else mean_of(tokens.T, tokens.words)

    @staticmethod
    def winner(q: Tensor, t: Tensor) -> Tensor:
        """k* (B,): the region that fits its own question best; q (B, K, e), t (B, e)."""
        return (q.float() @ t.float()[..., None])[..., 0].argmax(-1)

    @staticmethod
    def relevance(looked: Tensor, winner: Tensor) -> Tensor:
        """r (B, N): how much the winning region's query looked at each cell, in the last two layers that look.

        looked (B, K, 1 + N); winner (B,) of `winner`.
        """
        return looked[torch.arange(len(winner), device=winner.device), winner, 1:]

    def similarities(self, images: Tensor, texts: Tensor) -> Tensor:
        """s_ij = max_k <q_ik, t_j> / tau, (I, J); images (I, K, e), texts (J, e)."""
        return alignment.max_over_queries(images, texts)[0] / self.tau

    def places_and_words(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Unit vectors of cells (B, N, e) and words (B, M, e) for the token terms."""
        places = F.normalize(self.to_places(tokens.V[:, 1:]), dim=-1)[tokens.which]
        return places, F.normalize(self.to_words(tokens.T), dim=-1)

    @torch.no_grad()
    def clamp(self) -> None:
        """Keeps the temperature within its range; after a step."""
        if self.config.fvta.kind == "qformer":
            self.tau.clamp_(*(self.config.fvta.tau_range or (0.01, 0.5)))

    # -- CIFR ----------------------------------------------------------------------------------------------------------

    def forward(self, inputs: Inputs) -> Fused:
        """FVTA, then CIFR, then what the heads read."""
        tokens = self.encode(inputs)
        regions = self.fvta(tokens)
        keep = tokens.keep if self.config.mask_padding else torch.ones_like(tokens.keep)
        keep_y = torch.ones(regions.Z.shape[:2], dtype=torch.bool, device=keep.device)
        X, Y = self.cifr(tokens.T, regions.Z, keep, keep_y)
        c = torch.cat([self.pool_text(X, keep), self.pool_image(Y, keep_y)], dim=-1)
        return Fused(tokens, regions, X, Y, self.drop(c), torch.cat([keep, keep_y], dim=1))

    # -- FFAE ----------------------------------------------------------------------------------------------------------

    def classify(self, fused: Fused) -> Tensor:
        """f (B, A): the classifier over all questions."""
        return self.head(fused.c)

    def openness(self, fused: Fused) -> Tensor:
        """(B,) logit of p(open)."""
        return self.head_type(fused.c)[:, 0]

    def read(self, fused: Fused, rows: Tensor | None = None) -> Any:
        """What the generator reads: M = [X; Y] (of the given rows)."""
        memory, keep = torch.cat([fused.X, fused.Y], dim=1), fused.keep
        decoder: Decoder = self.generator
        return decoder.read(memory, keep) if rows is None else decoder.read(memory[rows], keep[rows])

    # -- answering -----------------------------------------------------------------------------------------------------

    def decide(self, inputs: Inputs) -> Decision:
        """argmax of these scores is the answer of `classify`, the same for open and closed questions."""
        fused = self(inputs)
        kind = self.openness(fused).float() if self.config.type_head else None
        return Decision(scores=self.classify(fused).float(), openness=kind)

    def attention(self, inputs: Inputs) -> Tensor:
        """The relevance map of cmi_mtl.md 2.1 (B, rows, columns), each summing to 1; without FVTA, how well each cell's
        fused state fits the text's."""
        relevance = self.fvta(self.encode(inputs), maps=True).relevance
        if relevance is None:
            fused = self(inputs)
            fit = (fused.Y[:, 1:] @ fused.X[:, 0, :, None])[..., 0]
            relevance = fit.div(self.config.width**0.5).softmax(-1)
        cells = relevance.float()
        cells = cells / cells.sum(-1, keepdim=True)
        return rearrange(cells, "b (r c) -> b r c", r=self.image.grid[0])


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
            weight = self.weigh(v)[..., 0].float().masked_fill(~keep, -torch.inf).softmax(-1).to(v.dtype)
            chosen = (weight[:, None] @ v)[:, 0]
        return torch.tanh(self.dense(chosen))
