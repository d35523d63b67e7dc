"""Left and right: how many questions or answers name a side, so that mirroring images would make answers wrong."""

import re
from collections import Counter
from typing import Any

from discern_vqa.audit.inputs import AuditInputs, percent
from discern_vqa.data.laterality import asks_side, names_side
from discern_vqa.data.sample import Sample

TITLE = "Left and right"
_KINDS = ("with_side", "in_letters", "asked")
_SIDE = re.compile("\\b(left|right)\\b|[\u5de6\u53f3]", re.IGNORECASE)


def check(inputs: AuditInputs) -> dict[str, Any]:
    """Per split: questions that name left or right in words (also Chinese), in question or answer (`with_side`).

    `in_letters` name a side otherwise (L, RUL, left-sided), `asked` ask for one without naming it; see
    `data.laterality`.
    """
    figures = {}
    for split, rows in inputs.questions.items():
        kinds = Counter(map(_kind, rows))
        figures[split] = {"questions": len(rows)} | {kind: kinds[kind] for kind in _KINDS}
    return figures


def _kind(row: Sample) -> str:
    text = f"{row.question} {row.answer}"
    if _SIDE.search(text):
        return "with_side"
    return "in_letters" if names_side(text) else "asked" if asks_side(text) else ""


def notes(found: dict[str, Any]) -> list[str]:
    counts = found.get("train")
    if not counts or not any(counts[kind] for kind in _KINDS):
        return []
    return [
        f"{percent(counts['with_side'], counts['questions'])} train questions name left or right, "
        f"{counts['in_letters']:,} more in letters, and {counts['asked']:,} ask for a side: do not mirror images in "
        "augmentation, unless left and right are exchanged in their texts too."
    ]


def lines(found: dict[str, Any]) -> list[str]:
    return [
        f"{split}: {percent(counts['with_side'], counts['questions'])}, in letters {counts['in_letters']:,}, asked for "
        f"{counts['asked']:,}"
        for split, counts in found.items()
    ]
