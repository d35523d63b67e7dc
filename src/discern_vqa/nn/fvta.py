"""Fine-grained visual-text feature alignment (CMI-MTL's FVTA, cmi_mtl.md 2.1): a query transformer picks K regions of
an image, which are compared with texts, say where they were seen, and go on to be mixed with the words.

    q_ik = norm(W_v Z_ik)      t_j = norm(W_t T_j0)      s_ij = max_k <q_ik, t_j> / tau

Letters: B texts, U images, N cells, M text positions, K regions, d width, e width of the comparison.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from discern_vqa.config import Table
from discern_vqa.nn import alignment
from discern_vqa.nn.qformer import BERT_EPS, QueryTransformer, start_from_bert
from discern_vqa.nn.transformer import EPS, BlockShape


class FvtaConfig(Table):
    """[model.fvta]."""

    kind: Literal["qformer", "none"] = "qformer"
    """`none` (an ablation): the image tokens themselves are passed on, and nothing is aligned."""
    weights: str = ""
    """The name of a folder (or a hub id) of a BERT of the same sizes from which the query transformer starts; empty: it
    starts from random weights."""
    queries: int = Field(default=32, ge=1)
    """K: the number of learned queries."""
    layers: int = Field(default=12, ge=1)
    """The number of layers of the query transformer."""
    heads: int = Field(default=12, ge=1)
    """The number of attention heads in each layer."""
    ffn: int = Field(default=0, ge=0)
    """The inner width of the feed-forward networks; 0: four times the width."""
    every: int = Field(default=2, ge=1)
    """Every so many layers attend to the image."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """The dropout, at BERT's places if it starts from a BERT, else inside the feed-forward networks too."""
    eps: float | None = Field(default=None, gt=0)
    """The epsilon of the norms. None: BERT's, 1e-12, with `weights`; PyTorch's, 1e-5, without."""
    embed: int = Field(default=256, ge=2)
    """The width of the space in which images and texts are compared."""
    query: Literal["learned", "text"] = "learned"
    """`text`: the words of the question are queries too, so that regions are picked for the question."""
    topk: int = Field(default=0, ge=0)
    """The number of image cells, the most relevant ones, that are passed on in addition to the regions."""
    tau_range: tuple[float, float] | None = None
    """The range of the learned temperature. None: 0.01 ... 0.5 (fixed), unlimited (released)."""
    token: Literal["none", "filip", "gloria", "sparc"] = "none"
    """An additional alignment of cells and words; its weight is `weights.token` of [objective]."""

    def resolved(self, released: bool, width: int) -> Self:
        """With the profile's choice wherever a key was left open."""
        sized = self.model_copy(update={"ffn": self.ffn or 4 * width})
        return sized.filled(tau_range=(1e-6, 1e6) if released else (0.01, 0.5), eps=BERT_EPS if self.weights else EPS)

    def shape(self, width: int) -> BlockShape:
        """The query transformer's layers at model width `width`."""
        return BlockShape(
            width, self.heads, self.ffn, self.dropout, self.dropout, self.eps or EPS, inner_dropout=not self.weights
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
    """FVTA. Without it there is only Z; q and t are unit vectors, the last two are there with maps."""

    Z: Tensor  # (B, K, d): what goes on
    q: Tensor | None = None  # (U, K, e): images, as the alignment compares them
    t: Tensor | None = None  # (B, e): texts, as the alignment compares them
    looked: Tensor | None = None  # (B, K, 1 + N): where each region was seen
    relevance: Tensor | None = None  # (B, N): where the region that fits the question best was seen


class Fvta(nn.Module):
    random: list[str]  # names of the parameters that stayed random, where it started from a BERT

    def __init__(self, config: FvtaConfig, width: int, folder: Path | None = None) -> None:
        super().__init__()
        self.config, self.random = config, []
        if config.kind == "qformer":
            self.qformer = QueryTransformer(config.shape(width), config.queries, config.layers, config.every)
            if folder is not None:
                self.random = start_from_bert(self.qformer, folder)
            self.to_q, self.to_t = nn.Linear(width, config.embed), nn.Linear(width, config.embed)
            self.tau = nn.Parameter(torch.tensor(0.07))
            if config.query == "text":
                self.ask = nn.Linear(width, width)
        if config.token != "none":
            self.to_places, self.to_words = nn.Linear(width, config.embed), nn.Linear(width, config.embed)

    def pretrained(self) -> list[nn.Parameter]:
        """None: what started from a BERT learns at the model's own rate."""
        return []

    def forward(self, tokens: Tokens, maps: bool = False) -> Regions:
        """K regions of each text's image, and what the alignment compares.

        The alignment always compares regions that have not seen the question: it would otherwise recognise itself.
        maps: also say where the winning region's query looked.
        """
        config, which = self.config, tokens.which
        if config.kind == "none":
            return Regions(tokens.V[which])
        maps = maps or bool(config.topk)
        plain = self.qformer(tokens.V, maps=maps)
        q, t = F.normalize(self.to_q(plain.Z), dim=-1), F.normalize(self.to_t(tokens.T[:, 0]), dim=-1)
        if config.query == "text":
            informed = self.qformer(tokens.V[which], self.ask(tokens.T), tokens.keep, maps=maps)
            Z, looked = informed.Z, informed.maps
        else:
            Z, looked = plain.Z[which], None if plain.maps is None else plain.maps[which]
        relevance = None if looked is None else self.relevance(looked, self.winner(q[which], t))
        if config.topk and relevance is not None:
            best = relevance.topk(min(config.topk, relevance.shape[1]), dim=1).indices + 1
            cells = tokens.V[which].gather(1, best[..., None].expand(-1, -1, Z.shape[-1]))
            Z = torch.cat([Z, cells], dim=1)
        return Regions(Z, q, t, looked, relevance)

    def looked(self, tokens: Tokens) -> Tensor:
        """(B, K, 1 + N): where each region was seen, each row summing to 1; without FVTA a region is its own place."""
        if self.config.kind == "none":
            places = tokens.V.shape[1]
            return torch.eye(places, device=tokens.V.device).expand(len(tokens.which), -1, -1)
        return cast(Tensor, self(tokens, maps=True).looked)

    @staticmethod
    def winner(q: Tensor, t: Tensor) -> Tensor:
        """k* (B,): the region that fits its own question best; q (B, K, e), t (B, e)."""
        return (q.float() @ t.float()[..., None])[..., 0].argmax(-1)

    @staticmethod
    def relevance(looked: Tensor, winner: Tensor) -> Tensor:
        """r (B, N): how much the winning region's query looked at each cell, in the last two layers that look.

        looked (B, K, 1 + N); winner (B,) of `winner`.
        """
        return looked[torch.arange(winner.shape[0], device=winner.device), winner, 1:]

    def similarities(self, images: Tensor, texts: Tensor) -> Tensor:
        """s_ij = max_k <q_ik, t_j> / tau, (I, J); images (I, K, e), texts (J, e)."""
        return alignment.max_over_queries(images, texts)[0] / self.tau

    def places_and_words(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Unit vectors of cells (B, N, e) and words (B, M, e) for the token terms."""
        places = F.normalize(self.to_places(tokens.V[:, 1:]), dim=-1)[tokens.which]
        return places, F.normalize(self.to_words(tokens.T), dim=-1)

    @property
    def knows_words(self) -> bool:
        """Whether single words meet single cells: in a token term, or as queries that look at the image."""
        return self.config.token != "none" or (self.config.kind == "qformer" and self.config.query == "text")

    def cells_of_words(self, tokens: Tokens) -> Tensor:
        """(B, M, N): the share of each cell in what a word found in its image; rows of words sum to 1, of padding to 0.

        The token term's own weights; without it, where the words' queries looked. Only where `knows_words`.
        """
        if self.config.token != "none":
            return alignment.cells_of_words(self.config.token, *self.places_and_words(tokens), tokens.words)
        asked = self.qformer(tokens.V[tokens.which], self.ask(tokens.T), tokens.keep, maps=True)
        cells = cast(Tensor, asked.word_maps)[..., 1:].float()
        return cells / cells.sum(-1, keepdim=True) * tokens.words[..., None]

    @torch.no_grad()
    def clamp(self) -> None:
        """Keeps the temperature within its range; after a step."""
        if self.config.kind == "qformer":
            self.tau.clamp_(*(self.config.tau_range or (0.01, 0.5)))
