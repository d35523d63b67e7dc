"""*image_identity*: a learned vector for each image name, and the question. Sees no pixels.

What a model could reach by recognising *which* image it is shown: ridge regression of the answer on the question, with
question weights and a constant of each image's own (see `fitting.ridge`). An image that train does not have shares what
all images have. Where this comes near a model's score, the score does not show that the model sees.
VQA-RAD's usual split: 0.69.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from discern_vqa.config import Table
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.fitting.fitted import Baseline, Given, State
from discern_vqa.fitting.ridge import Regression, Ridge, ridge_answers
from discern_vqa.fitting.rows import Rows
from discern_vqa.fitting.shared import choose

SEES = "the question and which image it is, no pixels"
SEES_PIXELS = False
RANK = 1
SETTINGS = [Ridge(penalty, own, offset=0.3) for penalty in (0.3, 0.1, 1.0) for own in (1.0, 3.0)]
"""What is tried on validation: the first where there is none. `own`: how freely an image's weights may differ."""


class Config(Table):
    """[model]."""

    name: Literal["baselines.image_identity"] = "baselines.image_identity"


class Model(Baseline):
    """A regression with weights of each image's own."""

    CONFIG = Config

    def __init__(self, regression: Regression, vocabulary: AnswerVocabulary) -> None:
        self.regression, self.vocabulary = regression, vocabulary

    @classmethod
    def fit(cls, config: Config, given: Given) -> Self:
        """With the setting that is best on validation."""

        def give(setting: Ridge, learn: Sequence[Sample], ask: Sequence[Sample]) -> list[Answer]:
            return ridge_answers(setting, learn, ask, given.vocabulary)

        chosen = choose(SETTINGS, give, given.rows, given.vocabulary, given.seed, by=given.by, held_out=given.held_out)
        return cls(Regression.fit(chosen, Rows.of(given), len(given.vocabulary)), given.vocabulary)

    @classmethod
    def load(cls, config: Config, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        """See Baseline."""
        return cls(Regression.load(state), vocabulary)

    def state(self) -> State:
        """See Baseline."""
        return self.regression.state()

    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        """See `Regression.answers`."""
        return self.regression.answers(samples, self.vocabulary)


answer = Model.at_once
