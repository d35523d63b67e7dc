"""*question_only*: what the question alone gives away. Sees no image, and is not told which image it is.

Two learners on TF-IDF of words and pairs of words compete on a validation carved out of train: the answer of the
nearest training question, and ridge regression.
"""

from collections.abc import Sequence

from discern_vqa.baselines._ridge import Ridge, ridge_answers
from discern_vqa.baselines._shared import choose, cosines, known_rows, nearest_answer, tfidf
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample

NEAREST = "nearest"
SETTINGS: tuple[str | Ridge, ...] = (NEAREST, Ridge(0.1), Ridge(0.3), Ridge(1.0), Ridge(3.0))


def answer(
    train: Sequence[Sample], test: Sequence[Sample], *, vocabulary: AnswerVocabulary, seed: int = 0
) -> list[Answer]:
    """One answer per test question, by the learner that is better on validation; then it learns from all of train."""

    def give(setting: str | Ridge, learn: Sequence[Sample], ask: Sequence[Sample]) -> list[Answer]:
        return answer_with(setting, learn, ask, vocabulary)

    rows, _ = known_rows(train, vocabulary)
    return give(choose(SETTINGS, give, rows, test, vocabulary, seed), rows, test)


def answer_with(
    setting: str | Ridge, train: Sequence[Sample], test: Sequence[Sample], vocabulary: AnswerVocabulary
) -> list[Answer]:
    """The answers of one learner. Every training answer must be in the vocabulary."""
    if isinstance(setting, Ridge):
        return ridge_answers(setting, train, test, vocabulary)
    rows, places = known_rows(train, vocabulary)
    known, asked = tfidf(rows, test)
    return [nearest_answer(row, places, vocabulary) for chunk in cosines(asked, known) for row in chunk]
