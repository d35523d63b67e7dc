"""Left and right: how many questions or answers name a side, so that mirroring images would make answers wrong."""

import re
from typing import Any

from discern_vqa.audit._given import Given, percent

TITLE = "Left and right"
_SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)


def check(given: Given) -> dict[str, Any]:
    """Per split, the questions that name a side in the question or the answer."""
    return {
        split: {
            "questions": len(rows),
            "with_side": sum(bool(_SIDE.search(f"{row.question} {row.answer}")) for row in rows),
        }
        for split, rows in given.questions.items()
    }


def notes(found: dict[str, Any]) -> list[str]:
    """Said when train names sides."""
    counts = found.get("train", {"with_side": 0})
    if not counts["with_side"]:
        return []
    return [
        f"{percent(counts['with_side'], counts['questions'])} train questions name left or right: do not mirror images "
        "in augmentation."
    ]


def lines(found: dict[str, Any]) -> list[str]:
    """One line per split."""
    return [f"{split}: {percent(counts['with_side'], counts['questions'])}" for split, counts in found.items()]
