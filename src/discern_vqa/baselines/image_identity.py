"""*image_identity*: a learned vector for each image name, and the question. Sees no pixels.

What a model could reach by recognising *which* image it is shown: ridge regression of the answer on the question, with
question weights and a constant of each image's own (see `_ridge`). An image that train does not have shares what all
images have. Where this comes near a model's score, the score does not show that the model sees.
VQA-RAD's usual split: 0.69.
"""

from collections.abc import Sequence

from discern_vqa.baselines._ridge import Ridge, ridge_answers
from discern_vqa.baselines._shared import choose, known_rows
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample

SETTINGS = tuple(Ridge(penalty, own, offset=0.3) for penalty in (0.3, 0.1, 1.0) for own in (1.0, 3.0))


def answer(
    train: Sequence[Sample], test: Sequence[Sample], *, vocabulary: AnswerVocabulary, seed: int = 0
) -> list[Answer]:
    """One answer per test question, with the setting that is best on validation; then it learns from all of train."""

    def give(setting: Ridge, learn: Sequence[Sample], ask: Sequence[Sample]) -> list[Answer]:
        return ridge_answers(setting, learn, ask, vocabulary)

    rows, _ = known_rows(train, vocabulary)
    return give(choose(SETTINGS, give, rows, test, vocabulary, seed), rows, test)
