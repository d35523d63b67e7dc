"""Free-form answers: a small decoder of our own, T5 behind the same methods, beam search and likelihoods.

A decoder reads the memory once (`read`), gives the scores of each next token (`logits`), and knows its sizes. Every
answer is token ids with END after them and PAD behind that; decoding starts from PAD, as T5's does. Letters: B rows,
T places of the memory, G tokens of an answer, V tokens there are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from discern_vqa.config import Table
from discern_vqa.nn.encoders.base import from_folder
from discern_vqa.nn.transformer import Attention, Dropout, FeedForward

PAD, END = 0, 1  # T5's own ids, and those of our byte pairs


class GeneratorConfig(Table):
    """[model.generator]."""

    kind: Literal["none", "tiny", "t5"] = "tiny"
    """`tiny`: a small decoder that reads the fused states; `t5`: T5, whose encoder reads them first; `none`: answers
    are chosen and never written."""
    weights: str = ""
    """`t5`: the name of a weights folder (or a hub id); empty: T5-base's architecture with random weights."""
    layers: int = Field(default=2, ge=1)
    """`tiny`: the number of layers."""
    heads: int = Field(default=4, ge=1)
    """`tiny`: the number of attention heads in each layer."""
    ffn: int = Field(default=0, ge=0)
    """`tiny`: the inner width of the feed-forward networks; 0: four times the width."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """`tiny`: the dropout."""
    symbols: int = Field(default=1024, ge=258)
    """The largest number of tokens of the byte-pair tokenizer that is made where no tokenizer folder is named."""
    length: int = Field(default=17, ge=2)
    """G: the number of tokens of an answer, END included; longer training answers are cut."""
    target: Literal["raw", "normalized"] | None = None
    """What is learned: the words of the answer in lower case, or the normalised answer (which turns "none" into "0").
    None: raw (fixed), normalized (released)."""
    beams: int = Field(default=3, ge=1)
    """The width of the beam search that writes an answer."""


@dataclass(frozen=True)
class Read:
    """What a decoder made of the memory, once for all tokens: tensors (B, ...) of each layer, and its mask (B, ...)."""

    layers: list[tuple[Tensor, ...]]
    mask: Tensor

    def rows(self, chosen: Tensor) -> "Read":
        """The rows `chosen` (n,), repeats allowed."""
        return Read([tuple(tensor[chosen] for tensor in layer) for layer in self.layers], self.mask[chosen])


class Decoder(nn.Module):
    """What generation needs. `size`: V; `random`: as in ImageEncoder."""

    size: int
    random: list[str]

    def read(self, memory: Tensor, keep: Tensor) -> Read:
        """memory (B, T, d), keep (B, T) True = real."""
        raise NotImplementedError

    def logits(self, read: Read, answers: Tensor) -> Tensor:
        """answers (B, G), shifted by the decoder itself -> (B, G, V): scores of token g from those before it."""
        raise NotImplementedError

    def pretrained(self) -> list[nn.Parameter]:
        """As in ImageEncoder."""
        return []


def shifted(answers: Tensor) -> Tensor:
    """(B, G) -> (B, G): PAD, then the answer without its last token."""
    return F.pad(answers[:, :-1], (1, 0), value=PAD)


class TinyDecoder(Decoder):
    """A pre-norm transformer decoder whose output layer is its word table."""

    def __init__(self, config: GeneratorConfig, width: int, size: int) -> None:
        super().__init__()
        self.size, self.random = size, ["all (tiny is never pre-trained)"]
        self.embed = nn.Embedding(size, width)
        self.pos = nn.Parameter(torch.randn(config.length, width) * 0.02)
        nn.init.normal_(self.embed.weight, std=width**-0.5)
        self.drop = Dropout(config.dropout)
        self.blocks = nn.ModuleList(_DecoderBlock(config, width) for _ in range(config.layers))
        self.norm_memory, self.leave = nn.LayerNorm(width), nn.LayerNorm(width)

    def read(self, memory: Tensor, keep: Tensor) -> Read:
        """Keys and values of every layer."""
        memory = self.norm_memory(memory)
        return Read([cast(_DecoderBlock, block).cross.keys(memory) for block in self.blocks], keep[:, None, None, :])

    def logits(self, read: Read, answers: Tensor) -> Tensor:
        length = answers.shape[1]
        v = self.drop(self.embed(shifted(answers)) * self.embed.embedding_dim**0.5 + self.pos[:length])
        causal = torch.ones(length, length, dtype=torch.bool, device=v.device).tril()
        for block, keys in zip(self.blocks, read.layers, strict=True):
            v = block(v, keys, read.mask, causal)
        return self.leave(v) @ self.embed.weight.T


class _DecoderBlock(nn.Module):
    def __init__(self, config: GeneratorConfig, width: int) -> None:
        super().__init__()
        self.itself, self.cross = (Attention(width, config.heads, config.dropout) for _ in range(2))
        self.ffn = FeedForward(width, config.ffn or 4 * width, width)
        self.norm_itself, self.norm_cross, self.norm_ffn = (nn.LayerNorm(width) for _ in range(3))
        self.drop = Dropout(config.dropout)

    def forward(self, v: Tensor, keys: tuple[Tensor, Tensor], may: Tensor, causal: Tensor) -> Tensor:
        inner = self.norm_itself(v)
        v = v + self.drop(self.itself(inner, self.itself.keys(inner), causal))
        v = v + self.drop(self.cross(self.norm_cross(v), keys, may))
        return v + self.drop(self.ffn(self.norm_ffn(v)))


class T5Decoder(Decoder):
    """T5 from a `transformers` folder, or T5-base's architecture: its encoder reads the memory, its decoder answers."""

    def __init__(self, config: GeneratorConfig, width: int, folder: Path | None) -> None:
        super().__init__()
        from transformers import T5Config, T5ForConditionalGeneration

        if folder is None:
            base = T5Config(d_model=768, d_kv=64, d_ff=3072, num_layers=12, num_heads=12, decoder_start_token_id=0)
            self.t5, self.random = T5ForConditionalGeneration(base), ["all"]
        else:
            self.t5, self.random = from_folder(T5ForConditionalGeneration, folder)
        self.size = self.t5.config.vocab_size
        inner = self.t5.config.d_model
        self.project = nn.Linear(width, inner) if width != inner else nn.Identity()

    def read(self, memory: Tensor, keep: Tensor) -> Read:
        """What T5's encoder makes of the memory."""
        states = self.t5.encoder(inputs_embeds=self.project(memory), attention_mask=keep.long()).last_hidden_state
        return Read([(states,)], keep.long())

    def logits(self, read: Read, answers: Tensor) -> Tensor:
        ids = shifted(answers)
        return self.t5(
            encoder_outputs=read.layers[0], attention_mask=read.mask, decoder_input_ids=ids, use_cache=False
        ).logits

    def pretrained(self) -> list[nn.Parameter]:
        """T5's own."""
        return list(self.t5.parameters())


def answer_losses(logits: Tensor, answers: Tensor) -> tuple[Tensor, Tensor]:
    """-log p of every token that is no padding, (B, G) with 0 elsewhere, and which those are (B, G)."""
    real = answers != PAD
    loss = F.cross_entropy(logits.float().flatten(0, 1), answers.flatten(), reduction="none").view(answers.shape)
    return loss * real, real


@dataclass(frozen=True)
class Generated:
    """tokens (B, beams, G), best first; log_p (B, beams): log of the answer's probability, END included."""

    tokens: Tensor
    log_p: Tensor


@torch.no_grad()
def beam_search(decoder: Decoder, read: Read, count: int, beams: int, length: int, device: torch.device) -> Generated:
    """The likeliest answers by beam search, without a penalty for length.

    count: B. An ended answer keeps its place among the beams at its own probability until a likelier one takes it;
    what has not ended after `length` tokens stays as it is.
    """
    tokens = torch.full((count, beams, length), PAD, dtype=torch.int64, device=device)
    log_p = torch.full((count, beams), -torch.inf, device=device)
    log_p[:, 0] = 0  # all beams are equal at first
    ended = torch.zeros(count, beams, dtype=torch.bool, device=device)
    spread = read.rows(torch.arange(count, device=device).repeat_interleave(beams))
    first = torch.arange(count, device=device)[:, None]
    for step in range(length):
        scores = decoder.logits(spread, tokens[:, :, : step + 1].flatten(0, 1))[:, -1].float().log_softmax(-1)
        scores = scores.view(count, beams, -1)
        scores[..., PAD] = -torch.inf
        stay = torch.full_like(scores, -torch.inf)
        stay[..., PAD] = 0
        together = (log_p[..., None] + torch.where(ended[..., None], stay, scores)).flatten(1)
        log_p, flat = together.topk(beams, dim=1)
        parent, token = flat // scores.shape[-1], flat % scores.shape[-1]
        tokens, ended = tokens[first, parent], ended[first, parent]
        tokens[:, :, step] = token
        ended = ended | (token == END)
        if bool(ended.all()):
            break
    return Generated(tokens, log_p)


@torch.no_grad()
def rank_answers(decoder: Decoder, read: Read, count: int, candidates: Tensor, first: int) -> Tensor:
    """log p of each candidate answer (A, G) for each of `count` rows: (B, A).

    Only the `first` likeliest by their first token are scored in full, the others are -inf.
    """
    device = candidates.device
    start = torch.full((count, 1), PAD, dtype=torch.int64, device=device)
    opening = decoder.logits(read, start)[:, 0].float().log_softmax(-1)[:, candidates[:, 0]]  # (B A)
    chosen = opening.topk(min(first, len(candidates)), dim=1).indices
    lengths = (candidates != PAD).sum(1)
    scores = torch.full_like(opening, -torch.inf)
    for row in range(count):
        for alike in _by_length(chosen[row], lengths):
            answers = candidates[alike, : int(lengths[alike].max())]
            spread = read.rows(torch.full_like(alike, row))
            loss, _ = answer_losses(decoder.logits(spread, answers), answers)
            scores[row, alike] = -loss.sum(1)
    return scores


def _by_length(chosen: Tensor, lengths: Tensor) -> list[Tensor]:
    """The chosen candidates (n,) in groups, none more than about twice as long as another of its group: most answers
    are a word or two, and padded to the longest one they cost as much."""
    doubled = lengths[chosen].float().log2().ceil()
    return [chosen[doubled == length] for length in doubled.unique()]
