"""Repetitions and contradictions: the same question about the same image, with the same or with another answer."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from discern_vqa.audit.inputs import AuditInputs
from discern_vqa.data.sample import Sample

TITLE = "Repetitions and contradictions"
_MOST_NAMED = 20


def check(inputs: AuditInputs) -> dict[str, Any]:
    """Per split, the rows that repeat an earlier one, and the questions that have several answers; both across splits.

    `conflicts` lists up to 20 of the latter with their answers and sources; a set whose questions rightly have
    several answers shows them here too.
    """
    figures = {split: _within(rows, inputs) for split, rows in inputs.questions.items()}
    every = [row for rows in inputs.questions.values() for row in rows]
    return {"splits": figures, "all": _within(every, inputs)}


def _within(rows: Sequence[Sample], inputs: AuditInputs) -> dict[str, Any]:
    asked: dict[tuple[str, str], list[Sample]] = defaultdict(list)
    for row in rows:
        asked[row.image, inputs.plain(row.question)].append(row)
    answers = [{inputs.plain(row.answer) for row in group} for group in asked.values()]
    groups = [group for group, different in zip(asked.values(), answers, strict=True) if len(different) > 1]
    return {
        "repeated_rows": len(rows) - sum(len(different) for different in answers),
        "conflicting_questions": len(groups),
        "conflicts": [
            {
                "image": group[0].image,
                "question": group[0].question,
                "answers": [row.answer for row in group],
                "sources": [row.source for row in group],
            }
            for group in groups[:_MOST_NAMED]
        ],
    }


def verdict(found: dict[str, Any]) -> list[str]:
    """Contradictions with one example, and repetitions when they are many."""
    sentences = []
    whole = found["all"]
    if whole["conflicting_questions"]:
        example = whole["conflicts"][0]
        answers = " / ".join(dict.fromkeys(example["answers"]))
        sentences.append(
            f"{whole['conflicting_questions']:,} questions are asked about the same image with different answers, "
            f"e.g. {example['question']!r}: {answers} ({' and '.join(example['sources'][:2])})."
        )
    for split, counts in found["splits"].items():
        if counts["repeated_rows"]:
            sentences.append(f"{counts['repeated_rows']:,} rows of {split} repeat an earlier row of it.")
    return sentences


def lines(found: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {counts['repeated_rows']:,} repeated rows, {counts['conflicting_questions']:,} questions with "
        "different answers"
        for name, counts in [*found["splits"].items(), ("all splits together", found["all"])]
    ]
