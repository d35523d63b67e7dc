"""Answers: how many answers of the evaluation splits are in the vocabulary of train, so that a classifier can give
them."""

from collections import Counter
from typing import Any

from discern_vqa.audit.inputs import AuditInputs, share
from discern_vqa.data.answers import NORMALISERS, AnswerVocabulary

TITLE = "Answers"
_MOST_NAMED = 20


def check(inputs: AuditInputs) -> dict[str, Any]:
    """Vocabulary sizes and coverage by normaliser, and the answers that train does not have.

    `coverage` of a normaliser is the ceiling of any classifier whose answers come from train alone.
    """
    figures: dict[str, Any] = {}
    for known, judged in inputs.pairs:
        train, rows = inputs.questions[known], inputs.questions[judged]
        by_normaliser = {}
        for name in NORMALISERS:
            vocabulary = AnswerVocabulary.from_answers((row.answer for row in train), name)
            covered = sum(vocabulary.index(row.answer) >= 0 for row in rows)
            by_normaliser[name] = {
                "vocabulary": len(vocabulary),
                "covered": covered,
                "coverage": share(covered, len(rows)),
            }
        vocabulary = AnswerVocabulary.from_answers((row.answer for row in train), inputs.normalise)
        strange = [row for row in rows if vocabulary.index(row.answer) < 0]
        figures[judged] = {
            "questions": len(rows),
            "normalisers": by_normaliser,
            "only_here": len(strange),
            "only_here_open": sum(row.answer_type == "open" for row in strange),
            "examples": [answer for answer, _ in Counter(row.answer for row in strange).most_common(_MOST_NAMED)],
        }
    return figures


def notes(found: dict[str, Any]) -> list[str]:
    return [
        f"{counts['only_here']:,} of {counts['questions']:,} {judged} questions have an answer that train does not "
        f"have ({counts['only_here_open']:,} of them open): a classifier with train's answers reaches at most "
        f"{100 * (1 - counts['only_here'] / counts['questions']):.1f} %."
        for judged, counts in found.items()
        if counts["only_here"]
    ]


def lines(found: dict[str, Any]) -> list[str]:
    return [
        f"{judged}, normaliser {name}: train has {counts['vocabulary']:,} answers, covers {counts['covered']:,} of "
        f"{whole['questions']:,} ({100 * counts['coverage']:.1f} %)"
        for judged, whole in found.items()
        for name, counts in whole["normalisers"].items()
    ]
