"""Answers that differ and that the normaliser takes for one: what a sign, a comparison or a number loses by it."""

from typing import Any

from discern_vqa.audit.inputs import AuditInputs
from discern_vqa.data.merged import Merged, merged, warning
from discern_vqa.data.normalisers import SAFE

TITLE = "Answers that the normaliser merges"
_LISTED = 20


def check(inputs: AuditInputs) -> dict[str, Any]:
    """{"normaliser", "classes", "losing", "listed", "warning"}: how many classes hold different answers, how many of
    them lose something that matters (`data.merged`), those first by their spellings, and that as a sentence."""
    answers = [row.answer for rows in inputs.questions.values() for row in rows]
    classes = merged(answers, inputs.normalise)
    return {
        "normaliser": inputs.normalise,
        "classes": len(classes),
        "losing": sum(bool(one.loses) for one in classes),
        "listed": [_figures(one) for one in classes[:_LISTED]],
        "warning": warning(classes, inputs.normalise),
    }


def _figures(one: Merged) -> dict[str, Any]:
    return {"spellings": [list(pair) for pair in one.spellings], "loses": list(one.loses)}


def notes(found: dict[str, Any]) -> list[str]:
    if not found["warning"]:
        return []
    return [
        f"{found['warning']}. A model learns them as one answer, and a score counts either for the other. With "
        f'normaliser = "{SAFE}" in [data] of the recipe they stay apart.'
    ]


def lines(found: dict[str, Any]) -> list[str]:
    """The classes, each with how often every spelling occurs."""
    listed = [
        " = ".join(f"{text!r} {count:,}" for text, count in one["spellings"])
        + (f" (lost: {', '.join(one['loses'])})" if one["loses"] else "")
        for one in found["listed"]
    ]
    more = found["classes"] - len(listed)
    head = f"{found['normaliser']!r} takes different answers for one in {found['classes']:,} classes, of which "
    return (
        [f"{head}{found['losing']:,} lose something that matters", *listed, *([f"and {more:,} more"] if more else [])]
        if listed
        else [f"{found['normaliser']!r} takes no two different answers for one"]
    )
