"""Imitates: which faults of a published program the recipe brings back on purpose (`data.imitate`)."""

from collections.abc import Mapping
from typing import Any

from discern_vqa.measurements import Context, Scores
from discern_vqa.recipe_samples import imitated

ORDER = 70


def measure(context: Context) -> Mapping[str, Any]:
    """A sentence for each fault."""
    config = context.run.recipe.data
    return {"imitates": imitated(config)} if config.imitate else {}


def warnings(scores: Scores) -> list[str]:
    return [f"this run {fault}" for fault in scores.get("imitates") or []]
