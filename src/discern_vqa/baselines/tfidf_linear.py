"""*tfidf_linear*: what a linear classifier reads from the question's words and letters. Sees no image.

TF-IDF of words and pairs of words beside that of letters (2 to 5 of a word), then scikit-learn's linear support vector
machine, one answer against all others. Its margins become shares by a softmax, whose temperature is the one with the
smallest log loss on validation, so that the score says something.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix, hstack
from scipy.special import log_softmax, softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.fitting.fitted import NameTable, SamplesBaseline, State
from discern_vqa.fitting.given import Given
from discern_vqa.fitting.shared import from_shares, letters, vectoriser

SEES = "the question's words and letters"
SEES_PIXELS = False
RANK = 4
SHARPEST = 50.0

Config = NameTable


class Words:
    """Questions as rows of unit length: words and letters, half each. Kept as terms and their weights."""

    def __init__(self, parts: tuple[TfidfVectorizer, TfidfVectorizer]) -> None:
        self.parts = parts

    @classmethod
    def fit(cls, questions: Sequence[str]) -> Self:
        """Learns which terms there are and how rare."""
        return cls((vectoriser().fit(questions), letters().fit(questions)))

    @classmethod
    def load(cls, state: State) -> Self:
        parts = (vectoriser(), letters())
        for part, name in zip(parts, ("words", "letters"), strict=True):
            part.set_params(vocabulary={term: place for place, term in enumerate(state.facts[name])})
            part.idf_ = state.arrays[f"{name}_idf"].astype(np.float64)
        return cls(parts)

    def state(self) -> State:
        """Terms in their columns' order, and their inverse document frequencies."""
        parts = dict(zip(("words", "letters"), self.parts, strict=True))
        facts = {name: part.get_feature_names_out().tolist() for name, part in parts.items()}
        return State(facts, {f"{name}_idf": part.idf_ for name, part in parts.items()})

    def __call__(self, questions: Sequence[str]) -> csr_matrix:
        """(n, terms)."""
        return hstack([part.transform(questions) for part in self.parts]).tocsr() / np.sqrt(2)


@dataclass(eq=False)
class Model(SamplesBaseline[float]):
    """coefficients: (answers that were learned, terms + 1), the constant last; places: those answers' places. The
    setting is scikit-learn's C."""

    SETTINGS = (1.0, 0.3, 3.0)

    words: Words
    coefficients: NDArray[np.float32]
    places: NDArray[np.int64]
    sharpness: float
    vocabulary: AnswerVocabulary

    @classmethod
    def fit(cls, config: Any, given: Given) -> Self:
        """C, then the sharpness of the softmax, are chosen on validation; then it learns from all rows."""
        C = cls.best_setting(given)
        learn, ask = given.validation()
        model = cls.learned(C, given)
        model.sharpness = cls.learned(C, learn)._best_sharpness(ask)
        return model

    @classmethod
    def learned(cls, setting: float, given: Given) -> Self:
        """With a sharpness of 1."""
        questions = [row.question for row in given.rows]
        words, places = Words.fit(questions), np.unique(given.places)
        if len(places) == 1:  # nothing to tell apart
            nothing = np.zeros((1, words(questions[:1]).shape[1] + 1), np.float32)
            return cls(words, nothing, places, 1.0, given.vocabulary)
        machine = LinearSVC(C=setting, max_iter=10_000, random_state=given.seed).fit(words(questions), given.places)
        rows = np.concatenate([machine.coef_, machine.intercept_[:, None]], axis=1)
        if len(places) == 2:  # scikit-learn keeps one row for two classes
            rows = np.concatenate([-rows, rows])
        return cls(words, rows.astype(np.float32), places, 1.0, given.vocabulary)

    def _margins(self, samples: Sequence[Sample]) -> NDArray[np.float64]:
        features = self.words([sample.question for sample in samples])
        return features @ self.coefficients[:, :-1].T.astype(np.float64) + self.coefficients[:, -1]

    def _best_sharpness(self, ask: Sequence[Sample]) -> float:
        """The inverse temperature with the smallest log loss on the questions whose answer was learned; 1 for none."""
        column = {place: number for number, place in enumerate(self.places.tolist())}
        known = [(sample, column[place]) for sample in ask if (place := self.vocabulary.index(sample.answer)) in column]
        if not known:
            return 1.0
        margins = self._margins([sample for sample, _ in known])
        truth = np.array([place for _, place in known])

        def loss(sharpness: float) -> float:
            return -float(log_softmax(sharpness * margins, axis=1)[np.arange(len(truth)), truth].mean())

        return float(minimize_scalar(loss, bounds=(0.1, SHARPEST), method="bounded").x)

    @classmethod
    def load(cls, config: NameTable, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        arrays, sharpness = state.arrays, float(state.facts["sharpness"])
        return cls(Words.load(state), arrays["coefficients"], arrays["places"], sharpness, vocabulary)

    def state(self) -> State:
        facts, arrays = self.words.state()
        learned: dict[str, NDArray[Any]] = {"coefficients": self.coefficients, "places": self.places}
        return State(facts | {"sharpness": self.sharpness}, arrays | learned)

    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        """The score is a share of all answers that were learned."""
        if not samples:
            return []
        answers = []
        for row in softmax(self.sharpness * self._margins(samples), axis=1):
            shares = np.zeros(len(self.vocabulary))
            shares[self.places] = row
            answers.append(from_shares(shares.tolist(), self.vocabulary))
        return answers


answer = Model.at_once
