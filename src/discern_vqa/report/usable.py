"""The first three lines of a report, for a clinician: what the model can be used for, and what not. No torch.

Each line is decided by a measurement of the run and by its test or interval, never by a figure alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from discern_vqa.measurements import mirror
from discern_vqa.measurements.baselines import NO_PIXELS, sees, strongest

NO, CHECKED, PARTLY, UNKNOWN = "No", "Only if a person checks every answer", "In part", "Not known"
_SHOWN = {
    "worse": "is better",
    "not distinguishable": "is not shown to be worse",
    "": "was not tested against it",
}
"""What a baseline is, by the model's verdict against it."""
_WORTH = 0.1
"""A model that answers fewer of its questions than this when it may abstain is of no use for it."""


@dataclass(frozen=True)
class Use:
    """purpose: ends the question "Can I use it ..."; answer: in a few words; why: a sentence or two."""

    purpose: str
    answer: str
    why: str


def uses(scores: Mapping[str, Any], sees_no_pixels: bool = False) -> list[Use]:
    """The three lines. scores: the run's, with "paired" (`measurements.baselines.paired_tests`)."""
    return [_alone(scores), _looks(scores, sees_no_pixels), _knows(scores)]


def _alone(scores: Mapping[str, Any]) -> Use:
    purpose = "to answer such questions?"
    overall = scores["overall"]
    if overall.get("accuracy") is None:
        return Use(purpose, UNKNOWN, "No question was asked.")
    right = f"It is right in {_of_100(overall['accuracy'])} questions."
    name = strongest(scores, NO_PIXELS)
    test = (scores.get("paired") or {}).get(name)
    if name and (test is None or test["verdict"] != "better"):
        figures = scores["baselines"][name]
        who = sees(name, figures).subject or f"the baseline {name}"
        shown = _SHOWN[test["verdict"] if test else ""]
        blind = f"{who[0].upper()}{who[1:]} is right in {_of_100(figures['overall']['accuracy'])}, and {shown}."
        return Use(purpose, NO, f"{right} {blind}")
    if not name:
        return Use(purpose, UNKNOWN, f"{right} No model that sees no pixels stands beside it.")
    one_in = round(1 / max(1e-9, 1 - overall["accuracy"]))
    wrong = f"That is one wrong answer in every {one_in}." if one_in > 1 else "Most of its answers are wrong."
    return Use(purpose, CHECKED, f"{right} {wrong if overall['accuracy'] < 1 else ''}".strip())


def _looks(scores: Mapping[str, Any], sees_no_pixels: bool) -> Use:
    purpose = "as a second look at the image?"
    if sees_no_pixels:
        return Use(purpose, NO, "It never sees the pixels of an image.")
    gap = (scores.get("reliance") or {}).get("overall") or {}
    if not gap.get("n") or not gap.get("ci95"):
        return Use(purpose, UNKNOWN, "It was not measured, or on too few images, whether it looks at the image.")
    told = f"With the right image it is right in {_of_100(gap['accuracy'])} questions, with a wrong one in "
    told += f"{_of_100(gap['without'])}."
    if gap["ci95"][0] <= 0:
        return Use(purpose, NO, f"{told} The image is not shown to matter to its answers.")
    sides = " Its answers about left and right are not shown to follow the image." if mirror.warnings(scores) else ""
    return Use(purpose, CHECKED, f"{told} So it does look.{sides}")


def _knows(scores: Mapping[str, Any]) -> Use:
    purpose = "if it says itself when it is not sure?"
    calibration = scores.get("calibration") or {}
    measured = calibration.get("abstention")
    if not measured:
        because = f": {calibration['missing']}" if calibration.get("missing") else " (discern calibrate RUN)"
        return Use(purpose, NO, f"Its confidence was never compared with how often it is right{because}.")
    if not measured["n"] or measured["coverage"] < _WORTH:
        return Use(purpose, NO, "There is hardly an answer of which it is sure enough.")
    given, right = _of_100(measured["coverage"]), _of_100(measured["accuracy"])
    told = f"It then answers {given} questions, and of those {right} are right."
    gained = measured["ci95"][0] > scores["overall"]["accuracy"]
    if gained:
        return Use(purpose, PARTLY, told)
    if measured["coverage"] == 1:
        return Use(purpose, NO, f"{told} It would answer everything, so this changes nothing.")
    return Use(purpose, NO, f"{told} That is not shown to be more than of all of its answers.")


def _of_100(share: float) -> str:
    return f"{100 * share:.0f} of 100"
