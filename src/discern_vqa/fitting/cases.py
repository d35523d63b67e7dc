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

from discern_vqa.config import Table
from discern_vqa.fitting.features import Features
from discern_vqa.fitting.fitted import State
from discern_vqa.fitting.given import Given
from discern_vqa.fitting.rows import Rows
from discern_vqa.fitting.shared import cosines, letters
from discern_vqa.nn.encoders.base import EncoderConfig

_SMALLEST = 1e-3


class EncoderTable(Table):
    """[model] of a baseline that sees images: the encoder."""

    name: str
    image: EncoderConfig = EncoderConfig(kind="lite", frozen=True)


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
        return cls(Rows.load(state), state.facts["names"], state.arrays["features"])

    def state(self) -> State:
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
        spelling, known = self._letters
        of_letters = cosines(spelling.transform(questions), known)
        chunks = zip(self.rows.cosines(questions), of_letters, strict=True)
        of_words = (row for words, letters in chunks for row in (words + letters) / 2)
        of_images = self._standard(features) @ self._known.T  # (m, images)
        for words, images in zip(of_words, of_images.round(6), strict=True):
            yield words, images[self._image_of]

    def nearest(
        self, question: str, feature: NDArray[np.float32], answers: Sequence[str], weight: float, count: int
    ) -> list[Case]:
        """The most similar cases, best first, one for each image. answers: the table that the rows' places mean."""
        ((words, images),) = self.similarities([question], feature[None])
        of_image: dict[str, Case] = {}
        for row in np.argsort(-(words + weight * images), kind="stable"):
            image, question, answer = self.rows.images[row], self.rows.questions[row], answers[self.rows.places[row]]
            of_image.setdefault(image, Case(image, question, answer, float(images[row]), float(words[row])))
            if len(of_image) == count:
                break
        return list(of_image.values())

    @cached_property
    def _letters(self) -> tuple[TfidfVectorizer, object]:
        spelling = letters()
        return spelling, spelling.fit_transform(self.rows.questions)

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
