"""*question_prior*: how often each answer was given to this very question, and to questions that begin alike. No image.

From all answers down to the question as asked, each step's shares lean on those of the step before:

    p_0 = shares of all answers        p_k = (counts_k + trust p_(k-1)) / (n_k + trust)

with k = questions that share the first word, the first two, three, four, and the whole question; a step that train
does not have is passed over. The opening words are the question's type as far as the question says it itself ("is
there", "what type of"), so nothing is read that is not known when a question is asked.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from discern_vqa.config import Table
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.fitting.fitted import Baseline, Given, State, counts_from, counts_to
from discern_vqa.fitting.shared import choose, from_shares

SEES = "the question's first words"
SEES_PIXELS = False
RANK = 5
OPENINGS = 4
TRUST = (1.0, 0.3, 3.0)
"""For how many questions the shares of the step before count. Tried on validation; the first where there is none."""


class Config(Table):
    """[model]."""

    name: Literal["baselines.question_prior"] = "baselines.question_prior"


class Model(Baseline):
    """counts: for each opening, {answer's place: how often}; "" counts all."""

    CONFIG = Config

    def __init__(self, counts: dict[str, dict[int, int]], trust: float, vocabulary: AnswerVocabulary) -> None:
        self.counts, self.trust, self.vocabulary = counts, trust, vocabulary

    @classmethod
    def fit(cls, config: Config, given: Given) -> Self:
        """Counts; the trust is chosen on validation."""

        def give(trust: float, learn: Sequence[Sample], ask: Sequence[Sample]) -> list[Answer]:
            return cls._counted(Given.of(learn, given.vocabulary), trust).answers(ask)

        chosen = choose(TRUST, give, given.rows, given.vocabulary, given.seed, by=given.by, held_out=given.held_out)
        return cls._counted(given, chosen)

    @classmethod
    def _counted(cls, given: Given, trust: float) -> Self:
        counts: dict[str, Counter[int]] = defaultdict(Counter)
        for row, place in zip(given.rows, given.places.tolist(), strict=True):
            for opening in openings(row.question):
                counts[opening][place] += 1
        return cls({opening: dict(found) for opening, found in counts.items()}, trust, given.vocabulary)

    @classmethod
    def load(cls, config: Config, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        """See Baseline."""
        counts = counts_from(state.facts["openings"], state.arrays["counts"])
        return cls(counts, float(state.facts["trust"]), vocabulary)

    def state(self) -> State:
        """See Baseline."""
        return State({"openings": list(self.counts), "trust": self.trust}, {"counts": counts_to(self.counts)})

    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        """The score is the answer's share."""
        found = {question: self._shares(question) for question in {sample.question for sample in samples}}
        return [from_shares(found[sample.question].tolist(), self.vocabulary) for sample in samples]

    def _shares(self, question: str) -> NDArray[np.float64]:
        shares = np.zeros(len(self.vocabulary))
        for opening in openings(question):
            found = self.counts.get(opening)
            if found is None:
                continue
            n, trust = sum(found.values()), self.trust if shares.any() else 0.0
            shares *= trust
            shares[list(found)] += list(found.values())
            shares /= n + trust
        return shares


def openings(question: str) -> list[str]:
    """The empty text for all questions, the first word, the first two ..., and the whole question, marked as such."""
    words = "".join(letter if letter.isalnum() else " " for letter in question.lower()).split()
    return ["", *(" ".join(words[:count]) for count in range(1, min(OPENINGS, len(words)) + 1)), " ".join(words) + "?"]


answer = Model.at_once
