"""*image_identity*: a learned vector for each image name, and the question. Sees no pixels.

What a model could reach by recognising *which* image it is shown: ridge regression of the answer on the question, with
question weights and a constant of each image's own (see `fitting.ridge`). An image that train does not have shares what
all images have. Where this comes near a model's score, the score does not show that the model sees.
VQA-RAD's usual split: 0.69.
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

SEES = "the question and which image it is, no pixels"
SEES_PIXELS = False
RANK = 1

Config = NameTable


class Model(SamplesBaseline[Ridge]):
    """A regression with weights of each image's own."""

    SETTINGS = [Ridge(penalty, own, offset=0.3) for penalty in (0.3, 0.1, 1.0) for own in (1.0, 3.0)]

    def __init__(self, regression: Regression, vocabulary: AnswerVocabulary) -> None:
        self.regression, self.vocabulary = regression, vocabulary

    @classmethod
    def learned(cls, setting: Ridge, given: Given) -> Self:
        return cls(Regression.fit(setting, Rows.of(given), len(given.vocabulary)), given.vocabulary)

    @classmethod
    def load(cls, config: NameTable, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        return cls(Regression.load(state), vocabulary)

    def state(self) -> State:
        return self.regression.state()

    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        return self.regression.answers(samples, self.vocabulary)


answer = Model.at_once
