"""*question_prior*: how often each answer was given to this very question, and to questions that begin alike. No image.

From all answers down to the question as asked, each step's shares lean on those of the step before:

    p_0 = shares of all answers        p_k = (counts_k + trust p_(k-1)) / (n_k + trust)

with k = questions that share the first word, the first two, three, four, and the whole question; a step that train
does not have is passed over. The opening words are the question's type as far as the question says it itself ("is
there", "what type of"), so nothing is read that is not known when a question is asked.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.fitting.fitted import NameTable, SamplesBaseline, State, counts_from, counts_to
from discern_vqa.fitting.given import Given
from discern_vqa.fitting.shared import from_shares

SEES = "the question's first words"
SEES_PIXELS = False
RANK = 5
OPENINGS = 4

Config = NameTable


class Model(SamplesBaseline[float]):
    """counts: for each opening, {answer's place: how often}; "" counts all. The setting is the trust: for how many
    questions the shares of the step before count."""

    SETTINGS = (1.0, 0.3, 3.0)

    def __init__(self, counts: Mapping[str, Counter[int]], trust: float, vocabulary: AnswerVocabulary) -> None:
        self.counts, self.trust, self.vocabulary = counts, trust, vocabulary

    @classmethod
    def learned(cls, setting: float, given: Given) -> Self:
        counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
        for row, place in zip(given.rows, given.places.tolist(), strict=True):
            for opening in openings(row.question):
                counts[opening][place] += 1
        return cls(counts, setting, given.vocabulary)

    @classmethod
    def load(cls, config: NameTable, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        counts = counts_from(state.facts["openings"], state.arrays["counts"])
        return cls(counts, float(state.facts["trust"]), vocabulary)

    def state(self) -> State:
        return State({"openings": list(self.counts), "trust": self.trust}, {"counts": counts_to(self.counts)})

    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        """The score is the answer's share."""
        shares = {question: self._shares(question) for question in {sample.question for sample in samples}}
        return [from_shares(shares[sample.question].tolist(), self.vocabulary) for sample in samples]

    def _shares(self, question: str) -> NDArray[np.float64]:
        shares = np.zeros(len(self.vocabulary))
        for opening in openings(question):
            counts = self.counts.get(opening)
            if counts is None:
                continue
            trust = self.trust if shares.any() else 0.0
            shares *= trust
            shares[list(counts)] += list(counts.values())
            shares /= counts.total() + trust
        return shares


def openings(question: str) -> list[str]:
    """The empty text for all questions, the first word, the first two ..., and the whole question, marked as such."""
    words = "".join(letter if letter.isalnum() else " " for letter in question.lower()).split()
    return ["", *(" ".join(words[:count]) for count in range(1, min(OPENINGS, len(words)) + 1)), " ".join(words) + "?"]


answer = Model.at_once
