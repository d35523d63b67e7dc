"""*thumbnail*: the answer of the training question whose words and whose 32 x 32 grey image are nearest. No learning.

Nearest by the sum of two cosines, of TF-IDF of words and pairs of words and of the images' greys (their correlation),
the latter times a weight. Where test images are training images this finds them by their pixels, where they are
neighbouring slices it finds those, and elsewhere images of the same kind: it says what a score is worth that comes
without knowing any medicine. SLAKE, validate given train (English): 0.80; VQA-RAD, usual split: 0.63.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.fitting.given import Given, choose
from discern_vqa.fitting.shared import cosines, nearest_answer, tfidf
from discern_vqa.imaging.fingerprints import fingerprints
from discern_vqa.imaging.thumbnails import grey

SEES = "the question and an image of 32 x 32 greys, nearest neighbour"
SEES_PIXELS = True
RANK = 5
SUBJECT = "a table of words and of images of 32 x 32 greys"
WEIGHTS = (1.0, 0.5, 2.0)

Thumbs = Mapping[str, NDArray[np.uint8]]


def answer(
    train: Sequence[Sample],
    test: Sequence[Sample],
    *,
    vocabulary: AnswerVocabulary,
    seed: int = 0,
    thumbs: Thumbs | None = None,
) -> list[Answer]:
    """One answer per test question, with the weight that is best on validation; its score is the mean of the cosines.

    Args:
        thumbs: a (32, 32) grey image for each image; None: the files are opened for it. An image that cannot be
            opened is black, and as near to one as to another.
    """
    given = Given.of(train, vocabulary).to_answer(test, seed)
    prepare = partial(_prepared, thumbs=thumbs or _thumbs([*given.rows, *test]))
    return prepare(given, test)(choose(WEIGHTS, prepare, given))


def _prepared(given: Given, ask: Sequence[Sample], thumbs: Thumbs) -> Callable[[float], list[Answer]]:
    """What answers the questions `ask`, given the weight of the images."""
    known, asked = tfidf(given.rows, ask)
    columns = {image: place for place, image in enumerate(dict.fromkeys(sample.image for sample in given.rows))}
    greys = grey(np.stack([thumbs[image] for image in columns]))
    column_of_row = np.array([columns[sample.image] for sample in given.rows])

    def answers(weight: float) -> list[Answer]:
        answers: list[Answer] = []
        for cosine in cosines(asked, known):
            part = ask[len(answers) : len(answers) + len(cosine)]
            correlation = grey(np.stack([thumbs[sample.image] for sample in part])) @ greys.T  # (some of m, images)
            mean = (cosine + weight * correlation[:, column_of_row]) / (1 + weight)
            answers += [nearest_answer(row, given.places, given.vocabulary) for row in mean.round(6)]
        return answers

    return answers


def _thumbs(samples: Sequence[Sample]) -> Thumbs:
    paths = {sample.image: sample.path for sample in samples}
    return dict(zip(paths, fingerprints(list(paths.values())).thumbs[:, 0], strict=True))
