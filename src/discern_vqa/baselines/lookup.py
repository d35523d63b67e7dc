"""*lookup*: a table, no learning: the answer of the nearest question about the same image file. Opens no image.

Nearest by TF-IDF of words and pairs of words; of equally near questions the earliest training row. An image that train
does not have is answered by the nearest of all training questions. VQA-RAD's usual split: 0.625, because every test
image is a training image and two thirds of the test questions have a re-phrasing there.
"""

from collections.abc import Sequence

import numpy as np

from discern_vqa.baselines._shared import cosines, known_rows, nearest_answer, tfidf
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample


def answer(
    train: Sequence[Sample], test: Sequence[Sample], *, vocabulary: AnswerVocabulary, seed: int = 0
) -> list[Answer]:
    """One answer per test question; its score is the cosine of the two questions. `seed` is not used."""
    rows, places = known_rows(train, vocabulary)
    known, asked = tfidf(rows, test)
    images = np.array([sample.image for sample in rows])
    similarities = (row for chunk in cosines(asked, known) for row in chunk)
    return [
        _about_the_same_image(similarity, images == sample.image, places, vocabulary)
        for sample, similarity in zip(test, similarities, strict=True)
    ]


def _about_the_same_image(
    similarity: np.ndarray, same: np.ndarray, places: np.ndarray, vocabulary: AnswerVocabulary
) -> Answer:
    if not same.any():
        return nearest_answer(similarity, places, vocabulary)
    return nearest_answer(similarity[same], places[same], vocabulary)
