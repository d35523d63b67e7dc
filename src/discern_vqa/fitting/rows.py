"""Training questions as a baseline keeps them: image, question, answer. Their TF-IDF follows from the questions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from discern_vqa.fitting.fitted import State
from discern_vqa.fitting.given import Given
from discern_vqa.fitting.shared import cosines, vectoriser


@dataclass(frozen=True)
class Rows:
    """n training questions. places: (n,) their answers' places in the vocabulary."""

    images: list[str]
    questions: list[str]
    places: NDArray[np.int64]

    @classmethod
    def of(cls, given: Given) -> Self:
        """All of them, in train's order."""
        images, questions = [row.image for row in given.rows], [row.question for row in given.rows]
        return cls(images, questions, given.places)

    @classmethod
    def load(cls, state: State) -> Self:
        return cls(state.facts["images"], state.facts["questions"], state.arrays["places"])

    def state(self) -> State:
        return State({"images": self.images, "questions": self.questions}, {"places": self.places})

    def cosines(self, questions: Sequence[str], of: NDArray[np.int64] | None = None) -> Iterator[NDArray[np.float64]]:
        """Chunks (some of the questions, n) of each asked question's TF-IDF cosine with every row, in order.

        of: only these rows.
        """
        asked = self._fitted[0].transform(questions)
        return cosines(asked, self.known if of is None else self.known[of])

    @property
    def known(self) -> csr_matrix:
        """(n, words) TF-IDF of the questions."""
        return self._fitted[1]

    @cached_property
    def _fitted(self) -> tuple[TfidfVectorizer, csr_matrix]:
        words = vectoriser()
        return words, words.fit_transform(self.questions)
