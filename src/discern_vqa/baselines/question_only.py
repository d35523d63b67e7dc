"""*question_only*: what the question alone gives away. Sees no image, and is not told which image it is.

Two learners on TF-IDF of words and pairs of words compete on questions held out of the training part: the
answer of the nearest training question, and ridge regression.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.fitting.fitted import NameTable, SamplesBaseline, State
from discern_vqa.fitting.given import Given
from discern_vqa.fitting.ridge import Regression, Ridge
from discern_vqa.fitting.rows import Rows
from discern_vqa.fitting.shared import nearest_answer

SEES = "the question"
SEES_PIXELS = False
RANK = 3
NEAREST = "nearest"

Config = NameTable


class Model(SamplesBaseline[str | Ridge]):
    """A table of questions, with a regression where that was better."""

    SETTINGS = [NEAREST, *(Ridge(penalty) for penalty in (0.1, 0.3, 1.0, 3.0))]

    def __init__(self, rows: Rows, regression: Regression | None, vocabulary: AnswerVocabulary) -> None:
        self.rows, self.regression, self.vocabulary = rows, regression, vocabulary

    @classmethod
    def learned(cls, setting: str | Ridge, given: Given) -> Self:
        rows, answers = Rows.of(given), len(given.vocabulary)
        regression = Regression.fit(setting, rows, answers) if isinstance(setting, Ridge) else None
        return cls(rows, regression, given.vocabulary)

    @classmethod
    def load(cls, config: NameTable, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        return cls(Rows.load(state), Regression.load(state) if "ridge" in state.facts else None, vocabulary)

    def state(self) -> State:
        return self.rows.state() if self.regression is None else self.regression.state()

    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        """The score is the cosine of the two questions, or the regression's estimate."""
        if self.regression is not None:
            return self.regression.answers(samples, self.vocabulary)
        similarities = (row for chunk in self.rows.cosines([sample.question for sample in samples]) for row in chunk)
        return [nearest_answer(row, self.rows.places, self.vocabulary) for row in similarities]


answer = Model.at_once
