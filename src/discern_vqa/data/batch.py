"""What a batch is: `Inputs` (all that a model may see), `Targets` (what only a loss may see), and how they are made.

B texts about U distinct images: `which` says which row of `image` a text is about, so that an image is encoded once
for all the questions on it. Letters as in docs/notation.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Self

import torch
from torch import Tensor

from discern_vqa.data import laterality
from discern_vqa.data.answer_tokens import Writer
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.pairs import Pairing, choose_partners
from discern_vqa.data.prior.source import PriorSource
from discern_vqa.data.sample import CLOSED, OPEN, Sample
from discern_vqa.data.sources import ImageSource, Key, PixelSource, StateSource, TextStates, stable_hash
from discern_vqa.data.text import Tokenizer, plain
from discern_vqa.division import Place, Share, share_of


class _Record:
    """Moves every tensor of a record to a device."""

    def to(self, device: torch.device | str) -> Self:
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}  # type: ignore[arg-type]
        moved = {name: value.to(device) for name, value in values.items() if isinstance(value, Tensor | _Record)}
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass(frozen=True)
class PriorScores(_Record):
    """The prior's scores of each answer (`data/prior`), to which a model's scores are added."""

    log_p: Tensor  # (B, K) log-probabilities
    share: Tensor | None = None  # (B,) the weight of the prior alone in the final probabilities; None: 0

    def add_to(self, scores: Tensor) -> Tensor:
        """(B, K) a model's scores plus the prior's, from which the loss is computed."""
        return scores + self.log_p.to(scores.dtype)

    def mix_with(self, scores: Tensor) -> Tensor:
        """(B, K) log-probabilities to answer by, from the scores that `add_to` returned: their softmax, mixed with the
        prior's probabilities by `share`. A network that has memorised its training questions is overconfident."""
        if self.share is None:
            return scores
        both = torch.stack([scores.float().log_softmax(-1), self.log_p.float().log_softmax(-1)])
        return torch.logsumexp(both + torch.stack([1 - self.share, self.share]).log()[..., None], dim=0)


@dataclass(frozen=True)
class Inputs(_Record):
    """What a radiologist would be sent: images and questions."""

    image: Tensor  # (U, 3, H, W) pixels in [0, 1], or (U, 1 + N, c) states of a frozen encoder (global state first)
    which: Tensor  # (B,) row of `image` for each text
    tokens: Tensor  # (B, M) ids; the last slot is always padding (the answer slot)
    keep: Tensor  # (B, M) True = a real token
    words: Tensor  # (B, M) True = a real token that is no special token: may be hidden and reconstructed
    text_states: Tensor | None = None  # (B, M, c) cached states of a frozen text encoder
    prior: PriorScores | None = None


@dataclass(frozen=True)
class Targets(_Record):
    """What only a loss may see."""

    answer: Tensor  # (B,) class of the answer; -1: a caption, or an answer outside the vocabulary
    is_caption: Tensor  # (B,) True = a caption
    image: Tensor  # (U, C, h, w) the image to reconstruct, in [0, 1], cut into as many patches as there are cells
    image_key: Tensor  # (B,) equal numbers = equal image (false negatives of a contrast)
    text_key: Tensor  # (B,) the same of the text
    near: Tensor  # (B,) row of `image` that shows a similar image (Eq. 8); -1: none
    partner: Tensor  # (B,) row of the whole batch with the same organ and question type (Eq. 11); -1: none
    is_open: Tensor  # (B,) 1.0 an open question, 0.0 a closed one, -1.0 a caption, or the data set does not say
    written: Tensor | None = None  # (B, G) the answers as tokens, for a model that writes them
    second: Tensor | None = None  # another view of `image` where that is cached states, for a contrast of two views
    statement: Inputs | None = None  # captions, and questions with their answers, as texts; text_key is then of these


@dataclass(frozen=True)
class Batch(_Record):
    """Inputs, targets, and the samples' ids in the same order.

    Where several processes train together it holds the texts and images of one of them; only `Targets.partner` then
    counts rows of the whole batch.
    """

    inputs: Inputs
    targets: Targets
    ids: tuple[str, ...]
    share: Share | None = None  # what of the whole batch this is, where several processes divide it


@dataclass(frozen=True)
class Decision:
    """What a model decides."""

    scores: Tensor  # (B, K) before the softmax, one column for each answer of the vocabulary
    openness: Tensor | None = None  # (B,) logit of "the answer is open", where the model has a head for it


IS_OPEN = {OPEN: 1.0, CLOSED: 0.0}


@dataclass(eq=False)
class Batcher:
    """Turns samples into batches; holds what that needs."""

    tokenizer: Tokenizer
    vocabulary: AnswerVocabulary
    length: int
    images: ImageSource
    texts: TextStates | None = None
    mirror: bool = False  # half of the images are mirrored for learning, where all texts about them allow it
    writer: Writer | None = None  # for models that write their answers
    prior: PriorSource | None = None
    pairing: Pairing = field(default_factory=Pairing)  # to be set: which similar images and partners travel along
    second_view: bool = False  # to be set: batches bring another view of cached images
    statements: bool = False  # to be set: batches bring the questions with their answers as texts too
    place: Place | None = None  # to be set where several processes train together: batches are this one's share

    def images_of(self, samples: Sequence[Sample], view: int = 0) -> tuple[Tensor, list[str]]:
        """The distinct images of the samples as a model sees them, and their names in the same order."""
        paths = {sample.image: sample.path for sample in samples}
        return self.images.get(list(paths.items()), view=view)[0], list(paths)

    def inputs(self, samples: Sequence[Sample], view: int = 0) -> Inputs:
        """Batch without targets, for answering: no answer is read. `view`: which cached view of the images."""
        inputs = self._inputs(samples, *self.images_of(samples, view))
        if self.prior is None or self.prior.prior is None:
            return inputs
        shown = inputs if view == 0 else replace(inputs, image=self.images_of(samples)[0])
        log_p = self.prior.scores_for([sample.text for sample in samples], shown)
        return replace(inputs, prior=PriorScores(log_p, self.prior.shares(log_p)))

    def batch(self, samples: Sequence[Sample], rng: torch.Generator) -> Batch:
        """Batch with targets. All choices (mirroring, view, similar image, partner) come from `rng`."""
        if self.mirror:
            samples = self._mirrored(samples, rng)
        paths = {sample.image: sample.path for sample in samples}
        images = set(paths)
        similar = [self.pairing.similar_image(sample, images, rng) for sample in samples]
        for key in similar:
            if key is not None:
                paths.setdefault(*key)
        rows = {key: row for row, key in enumerate(paths)}
        near = [-1 if key is None else rows[key[0]] for key in similar]
        keys, share = list(paths.items()), None
        if self.place is not None:
            share = share_of(self.place, [rows[sample.image] for sample in samples], near, len(keys))
            keys = [keys[row] for row in share.images.rows.tolist()]
        image, target = self._images(keys, rng, share)
        second = None
        if self.second_view and self.images.views > 1:
            second, _ = self._images(keys, rng, share)
        partner = choose_partners(samples, rng, self.pairing.same_answer_type)
        if share is not None:
            own = share.texts.rows.tolist()
            samples, similar, partner = [samples[row] for row in own], [similar[row] for row in own], partner[own]
            rows = {key: row for row, (key, _) in enumerate(keys)}
            near = [-1 if key is None else rows[key[0]] for key in similar]
        targets = Targets(
            answer=torch.tensor([-1 if s.is_caption else self.vocabulary.index(s.answer) for s in samples]),
            is_caption=torch.tensor([s.is_caption for s in samples]),
            image=target,
            image_key=torch.tensor([stable_hash(s.image) for s in samples]),
            text_key=torch.tensor([stable_hash(plain(s.statement if self.statements else s.text)) for s in samples]),
            near=torch.tensor(near),
            partner=partner,
            is_open=torch.tensor([IS_OPEN.get(s.answer_type, -1.0) for s in samples]),
            written=None if self.writer is None else self.writer.encode([s.answer for s in samples]),
            second=second,
            statement=self._inputs(samples, image, list(rows), [s.statement for s in samples])
            if self.statements
            else None,
        )
        inputs = self._inputs(samples, image, list(rows))
        if self.prior is not None:
            # Without a share, which is used for answering only.
            inputs = replace(inputs, prior=PriorScores(self.prior.training_scores(samples)))
        return Batch(inputs, targets, tuple(sample.id for sample in samples), share)

    def _images(self, keys: list[Key], rng: torch.Generator, share: Share | None) -> tuple[Tensor, Tensor]:
        if share is None:
            return self.images.get(keys, rng=rng)
        assert isinstance(self.images, PixelSource | StateSource)  # what training learns from
        return self.images.get_share(keys, rng, share.images)

    def _inputs(
        self, samples: Sequence[Sample], image: Tensor, keys: list[str], texts: Sequence[str] | None = None
    ) -> Inputs:
        rows = {key: row for row, key in enumerate(keys)}
        tokens = self.tokenizer.encode(texts or [sample.text for sample in samples], self.length)
        return Inputs(
            image=image,
            which=torch.tensor([rows[sample.image] for sample in samples]),
            tokens=tokens.ids,
            keep=tokens.keep,
            words=tokens.words,
            text_states=self.texts.get(tokens) if self.texts else None,
        )

    def _mirrored(self, samples: Sequence[Sample], rng: torch.Generator) -> list[Sample]:
        """The samples, about half of their images mirrored: an image as a whole, or not at all.

        An image stays as it is when one of its texts cannot be mirrored, or would get an answer outside the vocabulary.
        """
        images = list(dict.fromkeys(sample.image for sample in samples))
        coins = (torch.rand(len(images), generator=rng) < 0.5).tolist()
        turned = {image for image, coin in zip(images, coins, strict=True) if coin}
        copies = [laterality.mirrored(sample) if sample.image in turned else None for sample in samples]
        for sample, copy in zip(samples, copies, strict=True):
            if copy is None or (copy.answer != sample.answer and self.vocabulary.index(copy.answer) < 0):
                turned.discard(sample.image)
        pairs = zip(samples, copies, strict=True)
        return [copy if copy is not None and sample.image in turned else sample for sample, copy in pairs]
