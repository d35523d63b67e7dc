"""*kernel_ridge*: ridge regression on words and images together. Sees images, through a frozen encoder; no network.

    score_a(q, I) = sum_n k(q, I; q_n, I_n) w_na + mean_a
    k             = exp(-v (1 - cos(q, q_n))) * (ALONE + exp(-u (1 - cos(I, I_n))))

The first factor lets a case speak to questions like its own; the second is what it says whatever the image, and what
it says of images like its own. w solves (K + penalty 1) w = Y - mean, with the answers' indicators Y. Of a large set
some cases are `LANDMARKS` and speak for all (subset of regressors: Smola and Schoelkopf, ICML 2000).

What a network over the same features has learned is what it is better than this.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.fitting.cases import Cases, EncoderTable
from discern_vqa.fitting.features import Features
from discern_vqa.fitting.fitted import Baseline, State
from discern_vqa.fitting.given import Given, choose
from discern_vqa.fitting.shared import K

SEES = "the question and the image, through a frozen encoder"
SEES_PIXELS = True
RANK = 1
SUBJECT = "a regression on words and images, without a network"
ALONE = 0.3
LANDMARKS = 6000  # their kernel takes 144 MB; the exact one of 4,400 questions is solved in 0.8 s on one core
_CHUNK = 512

Config = EncoderTable


class Setting(NamedTuple):
    """What is chosen: v, how much two questions' words must differ to be unlike; u, the same of images; the penalty."""

    words: float
    images: float
    penalty: float


SETTINGS = [Setting(*setting) for setting in product((2.0, 1.0, 4.0), (0.5, 0.25, 1.0), (0.03, 0.1, 0.01))]
"""What is tried on validation; the first where there is none."""
Similar = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Cosines of words and of images, some questions with every case."""


@dataclass(eq=False)
class Model(Baseline):
    """The cases that speak, their weights (cases, A), the answers' shares (A,) and the encoder."""

    cases: Cases
    setting: Setting
    weights: NDArray[np.float32]
    mean: NDArray[np.float32]
    features: Features
    vocabulary: AnswerVocabulary

    @classmethod
    def fit(cls, config: EncoderTable, given: Given) -> Self:
        """Encodes the training images; the settings are chosen on validation."""
        features = Features.pretrained(config.image, given.weights, given.seed)

        def prepare(learn: Given, ask: Sequence[Sample]) -> Callable[[Setting], list[Answer]]:
            cases = Cases.of(learn, features)
            known, asked = [*_similar(cases, learn.rows, features)], [*_similar(cases, ask, features)]

            def answers(setting: Setting) -> list[Answer]:
                weights, mean = solved(known, None, learn.places, setting, len(given.vocabulary))
                return _answered(asked, setting, weights, mean, given.vocabulary)

            return answers

        return cls.with_setting(choose(SETTINGS, prepare, given), given, features)

    @classmethod
    def with_setting(cls, setting: Setting, given: Given, features: Features) -> Self:
        """Learned from all that is given."""
        speaking = landmarks(given)
        cases = Cases.of(speaking, features)
        among = _similar(cases, speaking.rows, features)
        rest = None if speaking is given else _similar(cases, given.rows, features)
        weights, mean = solved(among, rest, given.places, setting, len(given.vocabulary))
        return cls(cases, setting, weights, mean, features, given.vocabulary)

    @classmethod
    def load(cls, config: EncoderTable, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        cases, features = Cases.load_with_encoder(config.image, state, folder)
        learned = state.arrays["weights"], state.arrays["mean"]
        return cls(cases, Setting(**state.facts["setting"]), *learned, features, vocabulary)

    def state(self) -> State:
        facts, arrays = self.cases.state()
        learned = {"weights": self.weights, "mean": self.mean}
        return State(facts | {"setting": self.setting._asdict()}, arrays | learned | self.features.arrays())

    def forget(self, images: Collection[str]) -> None:
        """See Baseline."""
        self.features.forget(images)

    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        """Scores are the regression's estimates of each answer's probability, cut to [0, 1]."""
        asked = _similar(self.cases, samples, self.features)
        return _answered(asked, self.setting, self.weights, self.mean, self.vocabulary)


def landmarks(given: Given) -> Given:
    """The cases that speak: all of them, or of a large set some, drawn by the seed."""
    if len(given.rows) <= LANDMARKS:
        return given
    drawn = np.sort(np.random.default_rng(given.seed).choice(len(given.rows), LANDMARKS, replace=False))
    return Given.of([given.rows[row] for row in drawn], given.vocabulary)


def solved(
    among: Iterable[Similar], rest: Iterable[Similar] | None, places: NDArray[np.int64], setting: Setting, answers: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (cases, A) and mean (A,).

    among: the cases with each other; rest: all n training questions with the cases, None where they are the cases;
    places (n,): the answers to these questions.
    """
    mean = (np.bincount(places, minlength=answers) / len(places)).astype(np.float32)
    one_hot = np.eye(answers, dtype=np.float32)
    kernel = np.concatenate([_kernel(similar, setting) for similar in among])
    if rest is None:
        kernel[np.diag_indices_from(kernel)] += setting.penalty
        targets = one_hot[places] - mean
        return scipy.linalg.solve(kernel, targets, assume_a="pos", overwrite_a=True, overwrite_b=True), mean
    # Squared, the kernel's condition is too: float64, and a little more penalty, as two cases may be the same question.
    square = setting.penalty * kernel.astype(np.float64)
    square[np.diag_indices_from(square)] += 1e-3 * setting.penalty
    products = np.zeros((len(kernel), answers))
    start = 0
    for similar in rest:
        rows = _kernel(similar, setting)
        square += rows.T @ rows
        products += rows.T @ (one_hot[places[start : start + len(rows)]] - mean)
        start += len(rows)
    weights = scipy.linalg.solve(square, products, assume_a="pos", overwrite_a=True, overwrite_b=True)
    return weights.astype(np.float32), mean


def _kernel(similar: Similar, setting: Setting) -> NDArray[np.float32]:
    words, images = similar
    kernel = np.exp(setting.words * (words - 1)) * (ALONE + np.exp(setting.images * (images - 1)))
    return np.asarray(kernel, dtype=np.float32)


def _similar(cases: Cases, samples: Sequence[Sample], features: Features) -> Iterator[Similar]:
    for start in range(0, len(samples), _CHUNK):
        chunk = samples[start : start + _CHUNK]
        cosines = cases.similarities([sample.question for sample in chunk], features.of(chunk))
        words, images = (np.stack(rows).astype(np.float32) for rows in zip(*cosines, strict=True))
        yield words, images


def _answered(
    asked: Iterable[Similar],
    setting: Setting,
    weights: NDArray[np.float32],
    mean: NDArray[np.float32],
    vocabulary: AnswerVocabulary,
) -> list[Answer]:
    answers: list[Answer] = []
    for similar in asked:
        scores = np.clip(_kernel(similar, setting) @ weights + mean, 0, 1)
        answers += [Answer.from_scores(row, vocabulary, K) for row in scores.tolist()]
    return answers
