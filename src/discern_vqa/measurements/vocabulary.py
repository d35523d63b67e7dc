"""Vocabulary: how many answers the classifier can give, and of how many questions the true answer is among them."""

from collections.abc import Mapping
from typing import Any

from discern_vqa.measurements import Context, Scores

ORDER = 60


def measure(context: Context) -> Mapping[str, Any]:
    """{"size", "coverage", "normaliser"}; of several true answers the first that can be given counts. {} of somebody
    else's model, which has none."""
    if context.run.recipe.is_outside:  # it writes what it wants
        return {}
    known = context.run.vocabulary
    golds = [next((text for text in row.truths if known.may(known.index(text))), row.gold) for row in context.rows]
    size, coverage = len(known.givable), known.coverage(golds)
    return {"vocabulary": {"size": size, "coverage": coverage, "normaliser": context.normalise}}


def ceiling(scores: Scores) -> str:
    """What the vocabulary allows at most, a sentence; "" where no vocabulary is known. It binds a classifier; the modes
    that write freely (those with figures of free text) or rank the training answers can be right beyond it."""
    vocabulary = scores.get("vocabulary")
    if not vocabulary:
        return ""
    cover = f"cover {100 * vocabulary['coverage']:.1f} % of the questions"
    mode = scores.get("mode")
    figures = (scores.get("modes") or {}).get(mode) or {}
    if "free_text" in figures:
        return (
            f"the classifier can give {vocabulary['size']:,} answers, which {cover}; that is no ceiling for {mode!r}, "
            "which writes others too"
        )
    if "candidates" in figures:
        return (
            f"the way {mode!r} takes one of the {figures['candidates']['n']:,} training answers in their own words; "
            f"the classifier can give {vocabulary['size']:,}, which {cover}"
        )
    return f"{vocabulary['size']:,} answers can be given; they {cover}, and no score can be higher"


def lines(scores: Scores) -> list[str]:
    return [f"vocabulary: {sentence}" for sentence in [ceiling(scores)] if sentence]


def sentences(scores: Scores) -> list[str]:
    return [f"{sentence[0].upper()}{sentence[1:]}." for sentence in [ceiling(scores)] if sentence]
