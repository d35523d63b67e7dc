"""Confidence: what the scores of the answers are worth as they are, before any calibration."""

from collections.abc import Mapping
from typing import Any

from discern_vqa.measurements import Context, Scores
from discern_vqa.scoring.tables import cell
from discern_vqa.trust.calibration import describe_rows

ORDER = 80


def measure(context: Context) -> Mapping[str, Any]:
    """See `trust.calibration.describe`; None where an answer has no score."""
    return {"confidence": describe_rows(context.rows, context.normalise)}


def lines(scores: Scores) -> list[str]:
    return reliability_lines("scores", scores.get("confidence"))


def reliability_lines(title: str, figures: Mapping[str, Any] | None) -> list[str]:
    """The calibration error, the surer half and the area under the risk-coverage curve; nothing of nothing."""
    if not figures:
        return []
    return [
        f"{title}: calibration error {100 * figures['ece']:.1f} (chance alone {100 * figures['ece_by_chance']:.1f}), "
        f"{cell(figures['surer_half'])} of the surer half right, {100 * figures['risk']['aurc']:.1f} wrong among the "
        "surest, averaged over how many are answered (AURC)"
    ]
