"""From a classifier's probabilities to answers. No torch here, so that every engine's probabilities go this way."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import CLOSED, OPEN

NAMED = 10
"""So many answers are kept with their scores; the rest share what is left."""


def classified(probabilities: np.ndarray, vocabulary: AnswerVocabulary, mode: str = "classify") -> list[Answer]:
    """The best answer of each row of probabilities (n, K), whatever the question."""
    return [replace(Answer.from_scores(row, vocabulary, NAMED), mode=mode) for row in probabilities.tolist()]


def classified_by_type(
    probabilities: np.ndarray, is_open: Sequence[bool], vocabulary: AnswerVocabulary
) -> list[Answer]:
    """The best of the answers that were seen with the predicted answer type; the score is a probability among those
    that are left.

    is_open: (n,) whether each question is predicted to be open.
    """
    mode = "classify_typed"
    kinds = list(enumerate(vocabulary.kinds))
    may = {
        wanted: np.array([kind in (wanted, "both", "") and vocabulary.may(place) for place, kind in kinds], dtype=bool)
        for wanted in (OPEN, CLOSED)
    }
    answers = []
    for row, opens in zip(probabilities, is_open, strict=True):
        allowed = may[OPEN if opens else CLOSED]
        if len(allowed) != len(row) or not allowed.any():  # a table that does not know the kinds
            answers += classified(row[None], vocabulary, mode)
            continue
        left = row * allowed
        (answer,) = classified((left / max(left.sum(), np.float32(1e-12)))[None], vocabulary, mode)
        count = int(allowed.sum())
        named = answer.alternatives[:count]
        answers.append(replace(answer, alternatives=named, others=count - len(named)))
    return answers
