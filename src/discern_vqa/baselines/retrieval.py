"""*retrieval*: the answers of similar cases, by weighted vote. Sees images, through a frozen encoder; learns no weight.

A case is similar by its words and by its picture (`_cases`); of the nearest `neighbours` each gives its answer a vote
of exp(similarity / temperature). The case that speaks is known, so an answer can be shown with what it was taken from:
`discern ask RUN IMAGE QUESTION --similar 5`.
"""

from collections.abc import Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field

from discern_vqa.baselines._cases import Case, Cases
from discern_vqa.baselines._features import Features
from discern_vqa.baselines._fitted import Baseline, Given, State
from discern_vqa.baselines._rows import Rows
from discern_vqa.baselines._shared import choose, from_shares
from discern_vqa.config import Table
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.nn.encoders.base import EncoderConfig


class Config(Table):
    """[model]: the encoder, and what is tried on validation (the first of each where there is none)."""

    name: Literal["baselines.retrieval"] = "baselines.retrieval"
    image: EncoderConfig = EncoderConfig(kind="lite", frozen=True)
    weights: list[float] = Field([0.5, 0.3, 1.0, 0.0], min_length=1)
    """What the pictures' similarity counts beside the words'; 0: words alone."""
    neighbours: list[int] = Field([20, 5, 1], min_length=1)
    temperatures: list[float] = Field([0.1, 0.2, 0.05], min_length=1)


class Vote(NamedTuple):
    """How the cases' answers become one."""

    weight: float
    neighbours: int
    temperature: float


class Model(Baseline):
    """The training questions, the features of their images, and the encoder that made them."""

    CONFIG = Config

    def __init__(self, cases: Cases, vote: Vote, features: Features, vocabulary: AnswerVocabulary) -> None:
        self.cases, self.vote, self.features, self.vocabulary = cases, vote, features, vocabulary

    @classmethod
    def fit(cls, config: Config, given: Given) -> Self:
        """Encodes the training images; the vote's settings are chosen on validation."""
        features = Features.pretrained(config.image, given.weights, given.seed)
        settings = [Vote(*one) for one in product(config.weights, config.neighbours, config.temperatures)]
        give = partial(_voted, features=features, vocabulary=given.vocabulary)
        vote = choose(settings, give, given.rows, given.vocabulary, given.seed, by=given.by, held_out=given.held_out)
        return cls(_cases(given.rows, Rows.of(given), features), vote, features, given.vocabulary)

    @classmethod
    def load(cls, config: Config, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        """See Baseline."""
        features = Features.kept(config.image, folder, state.arrays)
        cases = Cases(Rows.load(state), state.facts["names"], state.arrays["features"])
        return cls(cases, Vote(**state.facts["vote"]), features, vocabulary)

    def state(self) -> State:
        """See Baseline."""
        facts, arrays = self.cases.rows.state()
        seen = {"features": self.cases.features} | self.features.arrays()
        return State(facts | {"names": self.cases.names, "vote": self.vote._asdict()}, arrays | seen)

    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        """The score is the answer's share of the votes."""
        return _answered(self.cases, self.vote, samples, self.features, self.vocabulary)

    def similar(self, sample: Sample, count: int) -> list[Case]:
        """The cases that speak first, one for each image."""
        (feature,) = self.features.of([sample])
        return self.cases.nearest(sample.question, feature, self.vocabulary.answers, self.vote.weight, count)


def _cases(samples: Sequence[Sample], rows: Rows, features: Features) -> Cases:
    first = {sample.image: sample for sample in samples}
    return Cases(rows, list(first), features.of(list(first.values())))


def _voted(
    vote: Vote, learn: Sequence[Sample], ask: Sequence[Sample], *, features: Features, vocabulary: AnswerVocabulary
) -> list[Answer]:
    rows = Rows.of(Given.of(learn, vocabulary))
    return _answered(_cases(learn, rows, features), vote, ask, features, vocabulary)


def _answered(
    cases: Cases, vote: Vote, samples: Sequence[Sample], features: Features, vocabulary: AnswerVocabulary
) -> list[Answer]:
    if not samples:
        return []
    questions = [sample.question for sample in samples]
    answers = []
    for words, images in cases.similarities(questions, features.of(samples)):
        similarity = words + vote.weight * images
        best = np.argsort(-similarity, kind="stable")[: vote.neighbours]
        voices = np.exp((similarity[best] - similarity[best[0]]) / vote.temperature)
        shares = np.bincount(cases.rows.places[best], voices, minlength=len(vocabulary)) / voices.sum()
        answers.append(from_shares(shares.tolist(), vocabulary))
    return answers
