"""What a baseline learns from, and how its settings are chosen on a validation part of it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.data.splits import hold_out_validation
from discern_vqa.errors import DataError

CHOOSE_ON = 3000  # training questions that are enough to choose a setting
VALIDATION = 0.12

Setting = TypeVar("Setting")


@dataclass(frozen=True)
class Given:
    """What a baseline learns from."""

    rows: list[Sample]  # training questions whose answer is in the vocabulary
    places: NDArray[np.int64]  # (n,) the answers' places in it
    vocabulary: AnswerVocabulary
    by: Literal["question", "image"] = "image"  # what a validation part that is held out of the rows consists of
    held_out: tuple[Sample, ...] = ()  # questions to choose settings on instead, where the recipe holds some out
    seed: int = 0
    weights: Path | None = None  # the folder of a pre-trained image encoder, for baselines that see images

    @classmethod
    def of(cls, train: Sequence[Sample], vocabulary: AnswerVocabulary) -> Self:
        """Of these training samples the questions whose answer is in the vocabulary. Raises DataError when none is."""
        places = [-1 if sample.is_caption else vocabulary.index(sample.answer) for sample in train]
        rows = [sample for sample, place in zip(train, places, strict=True) if place >= 0]
        if not rows:
            raise DataError(
                "no training question has an answer of the vocabulary",
                hint="give the baseline the training split that the vocabulary was built from",
            )
        return cls(rows, np.array([place for place in places if place >= 0]), vocabulary)

    def to_answer(self, test: Sequence[Sample], seed: int) -> Self:
        """The same, where settings are chosen on a validation that stands to the rest as `test` stands to these rows:
        single questions where most of `test` shows training images, else whole images. Of the test split only the
        images' names are looked at, and never an answer."""
        images = {sample.image for sample in self.rows}
        shown = sum(sample.image in images for sample in test)
        return replace(self, by="question" if shown * 2 > len(test) else "image", seed=seed)

    def validation(self) -> tuple[Self, Sequence[Sample]]:
        """What to learn from and the questions to choose on: those that the recipe holds out, else a part of the rows.
        Of a large set a part is enough; of a handful of questions, there are none to choose on."""
        learn, ask = self._some_images(), self.held_out
        if not ask:
            try:
                learn, held_out = hold_out_validation(learn, VALIDATION, by=self.by, seed=self.seed)
            except DataError:
                held_out = []
            # No test split has template re-phrasings.
            ask = tuple(sample for sample in held_out if sample.phrase_type != "frame")
        return type(self).of(learn, self.vocabulary), ask

    def _some_images(self) -> list[Sample]:
        """All questions of as many images as give about CHOOSE_ON questions."""
        if len(self.rows) <= CHOOSE_ON * 1.25:
            return list(self.rows)
        images = sorted({sample.image for sample in self.rows})
        count = max(2, round(len(images) * CHOOSE_ON / len(self.rows)))
        chosen = set(random.Random(self.seed).sample(images, count))
        return [sample for sample in self.rows if sample.image in chosen]


def choose(
    settings: Sequence[Setting],
    prepare: Callable[[Given, Sequence[Sample]], Callable[[Setting], list[Answer]]],
    given: Given,
) -> Setting:
    """The setting whose answers are most often right on validation; of equal ones the earliest. The first, where there
    is nothing to choose on.

    prepare: (what to learn from, questions to answer) -> a function that gives the answers with a setting.
    """
    if len(settings) == 1:
        return settings[0]
    learn, ask = given.validation()
    if not ask:
        return settings[0]
    index, answers_with = given.vocabulary.index, prepare(learn, ask)
    truth = [index(sample.answer) for sample in ask]

    def right(setting: Setting) -> int:
        return sum(index(answer.text) == true for answer, true in zip(answers_with(setting), truth, strict=True))

    return max(settings, key=right)
