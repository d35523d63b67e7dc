"""*retrieval*: the answers of similar cases, by weighted vote. Sees images, through a frozen encoder; learns no weight.

A case is similar by its words and by its image (`fitting.cases`); of the nearest `neighbours` each gives its answer a
vote of exp(similarity / temperature). The case that speaks is known, so an answer can be shown with its source:
`discern ask RUN IMAGE QUESTION --similar 5`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.fitting.cases import Cases, EncoderTable
from discern_vqa.fitting.features import Features
from discern_vqa.fitting.fitted import Baseline, State
from discern_vqa.fitting.given import Given, choose
from discern_vqa.fitting.shared import from_shares

SEES = "the question and the image, through a frozen encoder"
SEES_PIXELS = True
RANK = 4
SUBJECT = "a vote of similar cases"

Config = EncoderTable


class Vote(NamedTuple):
    """How the cases' answers become one. `weight`: of the similarity of images relative to that of words."""

    weight: float
    neighbours: int
    temperature: float


SETTINGS = [Vote(*setting) for setting in product((0.5, 0.3, 1.0, 0.0), (20, 5, 1), (0.1, 0.2, 0.05))]
"""What is tried on validation; the first where there is none."""
Nearest = list[tuple[NDArray[np.int64], NDArray[np.float64]]]
"""For each question the nearest cases' answers and similarities, best first."""


@dataclass(eq=False)
class Model(Baseline):
    """The training questions, the features of their images, and the encoder that made them."""

    cases: Cases
    vote: Vote
    features: Features
    vocabulary: AnswerVocabulary

    @classmethod
    def fit(cls, config: EncoderTable, given: Given) -> Self:
        """Encodes the training images; the vote's settings are chosen on validation."""
        features = Features.pretrained(config.image, given.weights, given.seed)
        most = max(setting.neighbours for setting in SETTINGS)

        def prepare(learn: Given, ask: Sequence[Sample]) -> Callable[[Vote], list[Answer]]:
            cases = Cases.of(learn, features)

            @cache  # one search serves all votes of a weight
            def nearest(weight: float) -> Nearest:
                return _nearest(cases, weight, most, ask, features)

            return lambda vote: _voted(nearest(vote.weight), vote, given.vocabulary)

        vote = choose(SETTINGS, prepare, given)
        return cls(Cases.of(given, features), vote, features, given.vocabulary)

    @classmethod
    def load(cls, config: EncoderTable, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        cases, features = Cases.load_with_encoder(config.image, state, folder)
        return cls(cases, Vote(**state.facts["vote"]), features, vocabulary)

    def state(self) -> State:
        facts, arrays = self.cases.state()
        return State(facts | {"vote": self.vote._asdict()}, arrays | self.features.arrays())

    def forget(self, images: Collection[str]) -> None:
        """See Baseline."""
        self.features.forget(images)

    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        """The score is the answer's share of the votes."""
        if not samples:
            return []
        nearest = _nearest(self.cases, self.vote.weight, self.vote.neighbours, samples, self.features)
        return _voted(nearest, self.vote, self.vocabulary)


def _nearest(cases: Cases, weight: float, count: int, samples: Sequence[Sample], features: Features) -> Nearest:
    nearest = []
    for words, images in cases.similarities([sample.question for sample in samples], features.of(samples)):
        similarity = words + weight * images
        best = np.argsort(-similarity, kind="stable")[:count]
        nearest.append((cases.rows.places[best], similarity[best]))
    return nearest


def _voted(nearest: Nearest, vote: Vote, vocabulary: AnswerVocabulary) -> list[Answer]:
    answers = []
    for places, similarity in nearest:
        voices = np.exp((similarity[: vote.neighbours] - similarity[0]) / vote.temperature)
        shares = np.bincount(places[: vote.neighbours], voices, minlength=len(vocabulary)) / voices.sum()
        answers.append(from_shares(shares.tolist(), vocabulary))
    return answers
