"""Calibration: what the run's calibrated confidence, answer sets and abstention do on the questions of the split."""

from collections.abc import Mapping
from typing import Any

from discern_vqa.measurements import Context, Scores
from discern_vqa.measurements.confidence import reliability_lines
from discern_vqa.scoring.tables import cell
from discern_vqa.trust import calibration as calibrations
from discern_vqa.trust import promises
from discern_vqa.trust.calibration_view import unkept
from discern_vqa.trust.confidence import bound_warning

ORDER = 90


def measure(context: Context) -> Mapping[str, Any]:
    """See `Calibration.measure`; or {"missing": why there is none, "hint"}."""
    missing = _missing(context)
    return {"calibration": missing or context.asker.calibration().measure(context.rows)}


def _missing(context: Context) -> dict[str, str]:
    if any(row.score is None for row in context.rows):
        return {
            "missing": "its answers have no score",
            "hint": "another run with --set model.confidence=verbal, or with samples (docs/outside_models.md)",
        }
    held_out = {sample.id for sample in context.held_out}
    if held_out & {row.id for row in context.rows}:
        return {"missing": "these are the questions that it would be fitted on", "hint": "judge on another split"}
    if context.is_calibrated or len(held_out) >= calibrations.FEWEST:
        return {}
    return {
        "missing": promises.too_few(len(held_out)) if held_out else calibrations.nothing_held_out(context.folder),
        "hint": calibrations.what_can_be_done(context.folder, is_outside=context.run.recipe.is_outside),
    }


def lines(scores: Scores) -> list[str]:
    """What it makes of the scores, a sentence each, or why there is none."""
    found = scores.get("calibration") or {}
    if "missing" in found:
        return [f"not calibrated: {found['missing']} (try: {found['hint']})"]
    if "sets" not in found:
        return []
    sets, given = found["sets"]["answer_form"], found["abstention"]
    size = "-" if sets["mean_size"] is None else f"{sets['mean_size']:.1f} answers in the mean"
    return [
        *reliability_lines("calibrated", found["confidence"]),
        *([f"WARNING: {bound_warning(found['temperature'])}"] if found.get("at_bound") else []),
        *([f"WARNING: {told}"] if (told := unkept(found["sets"])) else []),
        f"answer sets of {100 * found['sets']['coverage']:.0f} %: {cell(sets)} hold the true answer; {size}; "
        f"any answer could be true: {100 * sets['any']:.0f} %",
        f"with abstention: {100 * given['coverage']:.1f} % answered, {cell(given)} of those right",
    ]
