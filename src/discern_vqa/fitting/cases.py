"""Similar cases: training questions whose words and whose images are like those of what is asked.

    similarity = cos(words) + weight * cos(image)          both in [-1, 1]

Words are TF-IDF of words and pairs of words, and of letters (2 to 5 of a word): the mean of the two cosines. Images are
global features, each number in units of its spread over the training images, so that what all images share does not
count.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from discern_vqa.fitting.features import Features
from discern_vqa.fitting.fitted import State
from discern_vqa.fitting.given import Given
from discern_vqa.fitting.rows import Rows
from discern_vqa.fitting.shared import cosines, letters
from discern_vqa.nn.encoders.base import EncoderConfig

_SMALLEST = 1e-3


@dataclass(frozen=True)
class Case:
    """A training question that is like what is asked. The similarities are cosines."""

    image: str
    question: str
    answer: str
    image_similarity: float
    question_similarity: float


@dataclass(frozen=True)
class Cases:
    """The training questions, with the features (images, c) of their images, named in `names`."""

    rows: Rows
    names: list[str]
    features: NDArray[np.float32]

    @classmethod
    def of(cls, given: Given, features: Features) -> Self:
        """The cases that these training questions make, each image encoded once."""
        first = {row.image: row for row in reversed(given.rows)}
        return cls(Rows.of(given), list(first), features.of(list(first.values())))

    @classmethod
    def load(cls, state: State) -> Self:
        """The inverse of `state`."""
        return cls(Rows.load(state), state.facts["names"], state.arrays["features"])

    def state(self) -> State:
        """For the run folder."""
        facts, arrays = self.rows.state()
        return State(facts | {"names": self.names}, arrays | {"features": self.features})

    @classmethod
    def load_with_encoder(cls, config: EncoderConfig, state: State, folder: Path) -> tuple[Self, Features]:
        """The cases of a state that keeps the encoder of their images too (`Features.arrays`)."""
        cases, features = cls.load(state), Features.kept(config, folder, state.arrays)
        features.know(cases.names, cases.features)
        return cases, features

    def similarities(
        self, questions: Sequence[str], features: NDArray[np.float32]
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """For each question with its image's feature (m, c): the cosines (n,) of words and of images with every row."""
        spoken, (few, known) = self.rows.cosines(questions), self._letters
        spelled = cosines(few.transform(questions), known)
        words = (row for pair in zip(spoken, spelled, strict=True) for row in (pair[0] + pair[1]) / 2)
        seen = self._standard(features) @ self._known.T  # (m, images)
        for one, images in zip(words, seen.round(6), strict=True):
            yield one, images[self._image_of]

    def nearest(self, question: str, feature: NDArray[np.float32], answers: Sequence[str], weight: float, count: int
                ) -> list[Case]:  # fmt: skip
        """The most similar cases, best first, one for each image. answers: the table that the rows' places mean."""
        ((words, images),) = self.similarities([question], feature[None])
        found: dict[str, Case] = {}
        for row in np.argsort(-(words + weight * images), kind="stable"):
            image = self.rows.images[row]
            if image not in found:
                said = answers[self.rows.places[row]]
                found[image] = Case(image, self.rows.questions[row], said, float(images[row]), float(words[row]))
            if len(found) == count:
                break
        return list(found.values())

    @cached_property
    def _letters(self) -> tuple[TfidfVectorizer, object]:
        few = letters()
        return few, few.fit_transform(self.rows.questions)

    @cached_property
    def _image_of(self) -> NDArray[np.int64]:
        place = {name: number for number, name in enumerate(self.names)}
        return np.array([place[image] for image in self.rows.images])

    @cached_property
    def _known(self) -> NDArray[np.float32]:
        return self._standard(self.features)

    def _standard(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        spread = np.maximum(self.features.std(axis=0), _SMALLEST)
        centred = (features - self.features.mean(axis=0)) / spread
        return centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), _SMALLEST)
