"""*lookup*: a table, no learning: the answer of the nearest question about the same image file. Opens no image.

Nearest by TF-IDF of words and pairs of words; of equally near questions the earliest training row. An image that train
does not have is answered by the nearest of all training questions. VQA-RAD's usual split: 0.625, because every test
image is a training image and two thirds of the test questions have a re-phrasing there.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.fitting.fitted import NameTable, SamplesBaseline, State
from discern_vqa.fitting.given import Given
from discern_vqa.fitting.rows import Rows
from discern_vqa.fitting.shared import known_name, nearest_answer

SEES = "the question and the image's file name, in a table"
SEES_PIXELS = False
RANK = 2

Config = NameTable


class Model(SamplesBaseline[None]):
    """The table."""

    def __init__(self, rows: Rows, vocabulary: AnswerVocabulary) -> None:
        self.rows, self.vocabulary = rows, vocabulary
        self._names = np.array(rows.images)
        self._known = set(rows.images)

    @classmethod
    def learned(cls, setting: None, given: Given) -> Self:
        return cls(Rows.of(given), given.vocabulary)

    @classmethod
    def load(cls, config: NameTable, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        return cls(Rows.load(state), vocabulary)

    def state(self) -> State:
        return self.rows.state()

    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        """The score is the cosine of the two questions."""
        similarities = (row for chunk in self.rows.cosines([sample.question for sample in samples]) for row in chunk)
        answers = []
        for sample, similarity in zip(samples, similarities, strict=True):
            same = self._names == known_name(sample.image, self._known)
            if not same.any():
                same[:] = True
            answers.append(nearest_answer(similarity[same], self.rows.places[same], self.vocabulary))
        return answers


answer = Model.at_once
