"""Kernel ridge regression on questions, with weights of each image's own where that is asked for. No pixels.

The linear model behind it, for question features q (TF-IDF) and image number i, and each answer a:

    score_a(q, i) = q . w_a  +  q . w_ai  +  b_ai  +  mean_a

w_a is shared by all images, w_ai and b_ai are a vector and a number that image i learns; all are shrunk towards zero.
An image that train does not have has none of its own, and is left with w_a. Solved in the dual, where the kernel is
cos(q, q') (1 + own [i = i']) + offset [i = i'].
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from discern_vqa.baselines._shared import cosines, tfidf
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample


@dataclass(frozen=True)
class Ridge:
    """penalty: on all weights; own: how freely an image's weights may differ; offset: the same of its constant."""

    penalty: float
    own: float = 0.0
    offset: float = 0.0


def ridge_answers(
    setting: Ridge, train: Sequence[Sample], test: Sequence[Sample], vocabulary: AnswerVocabulary
) -> list[Answer]:
    """One answer per test question; scores are the regression's estimates of each answer's probability, cut to [0, 1].

    Memory grows as n^2 and time as n^3 in the training questions: 3,000 take 1 s, 10,000 about 20 s on one core.
    """
    known, asked = tfidf(train, test)
    place = {image: number for number, image in enumerate(dict.fromkeys(sample.image for sample in train))}
    known_image = np.array([place[sample.image] for sample in train])
    asked_image = np.array([place.get(sample.image, -1) for sample in test])
    indicators = np.zeros((len(train), len(vocabulary)), dtype=np.float32)
    indicators[np.arange(len(train)), [vocabulary.index(sample.answer) for sample in train]] = 1
    mean = indicators.mean(axis=0)
    kernel = np.empty((len(train), len(train)), dtype=np.float32)
    start = 0
    for chunk in cosines(known, known):
        rows = slice(start, start + len(chunk))
        kernel[rows] = _with_images(chunk, known_image[rows], known_image, setting)
        start += len(chunk)
    kernel[np.diag_indices_from(kernel)] += setting.penalty
    weights = scipy.linalg.solve(kernel, indicators - mean, assume_a="pos", overwrite_a=True, overwrite_b=True)
    answers: list[Answer] = []
    for chunk in cosines(asked, known):
        rows = slice(len(answers), len(answers) + len(chunk))
        scores = _with_images(chunk, asked_image[rows], known_image, setting) @ weights + mean
        answers += [Answer.from_scores(row, vocabulary) for row in np.clip(scores, 0, 1).tolist()]
    return answers


def _with_images(cosine: np.ndarray, asked: np.ndarray, known: np.ndarray, setting: Ridge) -> np.ndarray:
    if not setting.own and not setting.offset:
        return cosine.astype(np.float32)
    same = asked[:, None] == known[None]
    return (cosine * (1 + setting.own * same) + setting.offset * same).astype(np.float32)
