"""Unread: how many questions are longer than what the model reads of a question, so that their middle is left out."""

from collections.abc import Mapping
from typing import Any

from discern_vqa.measurements import Context, Scores

ORDER = 65


def measure(context: Context) -> Mapping[str, Any]:
    """{"unread": {"n": questions that are cut, "of": all, "length": text positions of the model}}."""
    length = context.run.recipe.data.text_length
    return {"unread": {"n": context.asker.unread, "of": len(context.samples), "length": length}}


def warnings(scores: Scores) -> list[str]:
    """A sentence where any question is cut."""
    unread = scores.get("unread")
    if not unread or not unread["n"]:
        return []
    return [
        f"{unread['n']:,} of {unread['of']:,} questions are longer than the model reads ({unread['length']} text "
        "positions): words in their middle were not read"
    ]
