"""*question_only*: what the question alone gives away. Sees no image, and is not told which image it is.

Two learners on TF-IDF of words and pairs of words compete on questions held out of the training part: the
answer of the nearest training question, and ridge regression.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from discern_vqa.config import Table
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.fitting.fitted import Baseline, Given, State
from discern_vqa.fitting.ridge import Regression, Ridge
from discern_vqa.fitting.rows import Rows
from discern_vqa.fitting.shared import choose, nearest_answer

SEES = "the question"
SEES_PIXELS = False
RANK = 3
NEAREST = "nearest"
SETTINGS: list[str | Ridge] = [NEAREST, *(Ridge(penalty) for penalty in (0.1, 0.3, 1.0, 3.0))]
"""What is tried on validation; the first where there is none."""


class Config(Table):
    """[model]."""

    name: Literal["baselines.question_only"] = "baselines.question_only"


class Model(Baseline):
    """A table of questions, with a regression where that was better."""

    CONFIG = Config

    def __init__(self, rows: Rows, regression: Regression | None, vocabulary: AnswerVocabulary) -> None:
        self.rows, self.regression, self.vocabulary = rows, regression, vocabulary

    @classmethod
    def fit(cls, config: Config, given: Given) -> Self:
        """With the learner that is better on validation."""

        def give(setting: str | Ridge, learn: Sequence[Sample], ask: Sequence[Sample]) -> list[Answer]:
            return answer_with(setting, learn, ask, given.vocabulary)

        chosen = choose(SETTINGS, give, given.rows, given.vocabulary, given.seed, by=given.by, held_out=given.held_out)
        return cls._fitted(chosen, given)

    @classmethod
    def _fitted(cls, setting: str | Ridge, given: Given) -> Self:
        rows, answers = Rows.of(given), len(given.vocabulary)
        regression = Regression.fit(setting, rows, answers) if isinstance(setting, Ridge) else None
        return cls(rows, regression, given.vocabulary)

    @classmethod
    def load(cls, config: Config, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        """See Baseline."""
        return cls(Rows.load(state), Regression.load(state) if "ridge" in state.facts else None, vocabulary)

    def state(self) -> State:
        """See Baseline."""
        return self.rows.state() if self.regression is None else self.regression.state()

    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        """The score is the cosine of the two questions, or the regression's estimate."""
        if self.regression is not None:
            return self.regression.answers(samples, self.vocabulary)
        similarities = (row for chunk in self.rows.cosines([sample.question for sample in samples]) for row in chunk)
        return [nearest_answer(row, self.rows.places, self.vocabulary) for row in similarities]


def answer_with(
    setting: str | Ridge, train: Sequence[Sample], test: Sequence[Sample], vocabulary: AnswerVocabulary
) -> list[Answer]:
    """The answers of one learner. Every training answer must be in the vocabulary."""
    return Model._fitted(setting, Given.of(train, vocabulary)).answers(test)


answer = Model.at_once
