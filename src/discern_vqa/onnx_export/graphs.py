"""A run's network as three modules that are exported apart, so that nothing is computed twice:

    image_encoder   pixels of an image                       -> what the network reads of it
    text_encoder    token ids of a question                  -> what the network reads of it
    answer          both of them, and the prior's own inputs -> a probability for each answer

They are the run's own modules; what is cut is where `model.image` and `model.text` hand over. States of frozen encoders
are rounded to bfloat16 as the run's caches round them, and the last step is the softmax over the answers that may be
chosen, so that another program has nothing to compute. Letters as in docs/notation.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from discern_vqa.answering.decisions import decided
from discern_vqa.bases import ModelBase
from discern_vqa.data.batch import Batcher, Inputs, PriorScores
from discern_vqa.data.prior.source import PriorSource
from discern_vqa.data.prior.wording import CLUES
from discern_vqa.data.text import Tokenizer, WordTokenizer
from discern_vqa.evaluation.features import vector_of_text
from discern_vqa.nn.encoders import Encoded, ImageEncoder, TextEncoder
from discern_vqa.nn.encoders.folded import folded
from discern_vqa.nn.encoders.lite import LiteImage, LiteText
from discern_vqa.run import Run


@dataclass(frozen=True)
class GraphModule:
    """A module with examples of what it is given, by name, and the names of what it returns.

    `dynamic`: of each input the names of its first axes, which may be of any length.
    """

    name: str
    module: nn.Module
    examples: Mapping[str, Tensor]
    dynamic: Mapping[str, tuple[str, ...]]
    outputs: tuple[str, ...]


class ImageGraph(nn.Module):
    """pixels (U, 3, size, size) in [0, 1] -> features (U, 1 + N, d), vector (U, c) and, where the prior compares
    images, prior_vector (U, k)."""

    def __init__(self, encoder: ImageEncoder, frozen: bool, for_prior: bool) -> None:
        super().__init__()
        self.encoder, self.frozen, self.for_prior = encoder, frozen, for_prior
        network = folded(encoder.backbone) if isinstance(encoder, LiteImage) else None
        self.network = network if frozen or for_prior else None

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        states = self._states(pixels) if self.frozen or self.for_prior else None
        encoded = self.encoder(states if self.frozen else pixels)
        still = states is not None and self.frozen and not self.encoder.trains_last
        vector = states[:, 0] if still and states is not None else encoded.h
        return (_joined(encoded), vector, *([states[:, 0]] if self.for_prior and states is not None else []))

    def _states(self, pixels: Tensor) -> Tensor:
        if self.network is not None and isinstance(self.encoder, LiteImage):
            states = self.encoder.states_by(self.network, pixels)
        else:
            states = self.encoder.states(pixels)
        return _rounded(states) if self.frozen else states


class TextGraph(nn.Module):
    """ids (B, M), keep (B, M) True = a real token -> features (B, 1 + M, d), vector (B, c) and, where the prior
    compares questions, prior_vector (B, c').

    A frozen BERT that `crops` takes any L < M of the positions, the last of which is the answer slot: (B, L). Most
    questions are short, and what stands behind them changes nothing (`LiteText.states_up_to`).
    """

    def __init__(
        self, encoder: TextEncoder, frozen: bool, tokenizer: Tokenizer, length: int, prior: nn.ModuleList | None
    ) -> None:
        super().__init__()
        self.encoder, self.frozen, self.length, self.prior = encoder, frozen, length, prior
        is_bert = isinstance(encoder, LiteText) and encoder.backbone.config.model_type == "bert"
        self.crops = frozen and is_bert
        self.is_words = isinstance(tokenizer, WordTokenizer)

    def forward(self, ids: Tensor, keep: Tensor) -> tuple[Tensor, ...]:
        states = self._states(ids, keep) if self.frozen else None
        encoded = self.encoder(ids, keep, None, states)
        if self.crops:
            before, slot = encoded.H[:, :-1], encoded.H[:, -1:]
            between = self.length - ids.shape[1]
            encoded = Encoded(encoded.h, torch.cat([F.pad(before, (0, 0, 0, between)), slot], dim=1))
        vector = vector_of_text(self.encoder, ids, keep, states, self.is_words)
        outputs = [_joined(encoded), vector]
        if self.prior is not None:
            assert states is not None  # cases are compared by frozen encoders alone
            outputs.append(self.encoder.sentence(states, keep, self.prior))
        return tuple(outputs)

    def _states(self, ids: Tensor, keep: Tensor) -> Tensor:
        if not (self.crops and isinstance(self.encoder, LiteText)):
            return _rounded(self.encoder.states(ids, keep))
        places = torch.cat([torch.arange(ids.shape[1] - 1), torch.tensor([self.length - 1])])
        read = self.encoder.backbone(input_ids=ids, attention_mask=keep.long(), position_ids=places[None])
        return _rounded(read.last_hidden_state)


class AnswerGraph(nn.Module):
    """image_features (U, 1 + N, d), which (B,), text_features (B, 1 + M, d), keep (B, M) and, as far as the prior reads
    them, clues (B, K, C), image_prior_vector (U, k), text_prior_vector (B, c') -> probabilities (B, K) and, where the
    model predicts it, openness (B,): a logit of "the answer is open".

    `model` has lost its encoders to `Given`.
    """

    def __init__(self, model: ModelBase, batcher: Batcher) -> None:
        super().__init__()
        self.model, self.vocabulary = model, batcher.vocabulary
        self.prior: PriorSource | None = batcher.prior

    def forward(
        self,
        image_features: Tensor,
        which: Tensor,
        text_features: Tensor,
        keep: Tensor,
        clues: Tensor | None = None,
        image_prior_vector: Tensor | None = None,
        text_prior_vector: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        prior = None
        if self.prior is not None and self.prior.prior is not None:
            fitted = self.prior.prior
            if clues is None:
                clues = text_features.new_zeros(text_features.shape[0], len(self.vocabulary), len(CLUES))
            closeness = None
            if fitted.cases is not None and image_prior_vector is not None and text_prior_vector is not None:
                closeness = fitted.cases.closeness(text_prior_vector, image_prior_vector[which])
            log_p = fitted.scores(clues, closeness)
            prior = PriorScores(log_p, self.prior.shares(log_p))
        # Ids are read by the encoder alone, and which words may be hidden by nobody who answers.
        inputs = Inputs(image_features, which, keep.long(), keep, keep, text_features, prior)
        decision = decided(self.model, inputs, self.vocabulary)
        probabilities = decision.scores.float().softmax(-1)
        return (probabilities,) if decision.openness is None else (probabilities, decision.openness.float())


class Given(nn.Module):
    """In the place of an encoder: hands over what that has made. `image` or `states`: (B, 1 + L, d)."""

    def __init__(self, encoder: ImageEncoder | TextEncoder) -> None:
        super().__init__()
        if isinstance(encoder, ImageEncoder):
            self.grid, self.cells, self.size = encoder.grid, encoder.cells, encoder.size

    def forward(
        self, given: Tensor, keep: Tensor | None = None, hidden: Tensor | None = None, states: Tensor | None = None
    ) -> Encoded:
        features = given if states is None else states
        return Encoded(h=features[:, 0], H=features[:, 1:])


def graphs_of(run: Run, model: ModelBase, batcher: Batcher) -> tuple[GraphModule, GraphModule, GraphModule]:
    """The three modules of a run's own network in eval mode on the CPU; `model` is taken apart, and answers no more."""
    config, source = run.recipe.model, batcher.prior
    prior = source.prior if source is not None else None
    has_cases = prior is not None and prior.cases is not None
    image = ImageGraph(model.image, config.image.frozen, has_cases)
    layers = source.layers if source is not None and has_cases else None
    length, size = batcher.length, model.image.size
    text = TextGraph(model.text, config.text.frozen, batcher.tokenizer, length, layers)
    read = min(9, length) if text.crops else length
    ids = torch.full((3, read), 1)
    keep = (torch.arange(read) < torch.tensor([4, 6, 5])[:, None]) & (torch.arange(read) < read - 1)
    pixels = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        of_image, of_text = image(pixels), text(ids, keep)
    model.image, model.text = Given(model.image), Given(model.text)  # type: ignore[assignment]
    given: dict[str, Tensor] = {"image_features": of_image[0], "which": torch.tensor([0, 1, 1])}
    given |= {"text_features": of_text[0], "keep": F.pad(keep, (0, length - read))}
    if source is not None and prior is not None and run.recipe.prior.wording:
        given["clues"] = torch.zeros(3, len(batcher.vocabulary), len(CLUES))
    if has_cases:
        given |= {"image_prior_vector": of_image[2], "text_prior_vector": of_text[2]}
    vectors = ("features", "vector", *(["prior_vector"] if has_cases else []))
    answer = AnswerGraph(model, batcher).eval()
    with torch.no_grad():
        outputs = ("probabilities", "openness")[: len(answer(**given))]
    axes = {name: ("images" if name.startswith("image") else "texts",) for name in given}
    of_texts = dict.fromkeys(("ids", "keep"), ("texts", "tokens") if text.crops else ("texts",))
    return (
        GraphModule("image_encoder", image.eval(), {"pixels": pixels}, {"pixels": ("images",)}, vectors),
        GraphModule("text_encoder", text.eval(), {"ids": ids, "keep": keep}, of_texts, vectors),
        GraphModule("answer", answer, given, axes, outputs),
    )


def _joined(encoded: Encoded) -> Tensor:
    return torch.cat([encoded.h[:, None], encoded.H], dim=1)


def _rounded(states: Tensor) -> Tensor:
    """As the caches of states keep them."""
    return states.to(torch.bfloat16).float()
