"""The figures of `scores.json` from the lines of `predictions.jsonl`. Defined in docs/metrics.md. No torch here.

An answer is right when it equals the true one after the normaliser, letter for letter (one of them, where the data
set accepts several). Every figure is a fraction with its n and a 95 % interval clustered by image. `overall` is counted
from the same rows as its parts, so it is their exact weighted mean; questions of multiple choice form a part of their
own, `choice`, and those whose data set does not say form the part `unknown`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from discern_vqa.data.answers import normaliser
from discern_vqa.data.sample import CHOICE, CLOSED, OPEN
from discern_vqa.errors import DataError
from discern_vqa.scoring.intervals import interval
from discern_vqa.scoring.predictions import Prediction

PARTS = (OPEN, CLOSED, CHOICE, "unknown")
NO_VALUE = "(not given)"


def score(rows: Sequence[Prediction], normalise: str = "m3ae") -> dict[str, Any]:
    """All figures of one set of predictions.

    Returns:
        {"n", "images", "normaliser", "overall", "open", "closed", ["choice"], ["unknown"],
        "by": {"organ", "question_type", ["phrase_type"]}, ["twins"]}; every figure is
        {"n", "correct", "accuracy", "ci95"}, and of nothing {"n": 0, "correct": 0, "accuracy": None, "ci95": None}.

    Raises:
        DataError: no rows, or two with one id.
    """
    if not rows:
        raise DataError("there are no predictions to score", hint="check the split's name and the file")
    if len({row.id for row in rows}) < len(rows):
        raise DataError("two predictions have the same id", hint="every question is answered once")
    right = rights(rows, normalise)
    images = np.array([row.image for row in rows], dtype=str)
    parts = part_masks([row.answer_type for row in rows])
    scores: dict[str, Any] = {
        "n": len(rows),
        "images": len(set(images)),
        "normaliser": normalise,
        **{part: figure(right[mask], images[mask]) for part, mask in parts.items()},
    }
    scores["by"] = {
        "organ": _by(right, images, [row.organ for row in rows]),
        "question_type": _by(right, images, [row.question_type for row in rows]),
    }
    if any(row.phrase_type for row in rows):
        scores["by"]["phrase_type"] = _by(right, images, [row.phrase_type for row in rows])
    if any(row.twin for row in rows):
        scores["twins"] = _twins(rows, right)
    return scores


def shown_parts(figures: Mapping[str, Any]) -> list[str]:
    """The parts that have figures, in the order in which pages and terminal show them. Where no question's type is
    given, `unknown` says nothing that `overall` does not, and is left out."""
    parts = [part for part in ("overall", *PARTS, "twins") if (figures.get(part) or {}).get("n")]
    is_all = "unknown" in parts and figures["unknown"]["n"] == (figures.get("overall") or {}).get("n")
    return [part for part in parts if part != "unknown" or not is_all]


def brief(rows: Sequence[Prediction], normalise: str) -> dict[str, Any]:
    """Of `score` the figures by answer type and of image pairs: what a row of a table needs."""
    full = score(rows, normalise)
    return {key: full[key] for key in ("n", "overall", *PARTS, "twins") if key in full}


def part_masks(answer_types: Sequence[str]) -> dict[str, np.ndarray]:
    """Which questions (n,) are in "overall", "open" and "closed"; in "choice" where there are some, and in "unknown"
    where some are none of these."""
    types = np.array(answer_types, dtype=str)
    masks = {"overall": np.ones(len(types), dtype=bool), OPEN: types == OPEN, CLOSED: types == CLOSED}
    others = {CHOICE: types == CHOICE, "unknown": ~np.isin(types, (OPEN, CLOSED, CHOICE))}
    return masks | {part: mask for part, mask in others.items() if mask.any()}


def rights(rows: Sequence[Prediction], normalise: str = "m3ae") -> np.ndarray:
    """(n,) bool: which answers equal the true one (or one of several) after the normaliser; an empty one never does."""
    same = normaliser(normalise)
    return np.array(
        [bool(row.prediction.strip()) and same(row.prediction) in map(same, row.truths) for row in rows], dtype=bool
    )


def figure(right: np.ndarray, clusters: Sequence[str] | np.ndarray) -> dict[str, Any]:
    """One figure: how many, how many right, the share, and its 95 % interval.

    Args:
        right: (n,) bool; or numbers in [0, 1] where a protocol gives part of the credit, whose sum is `correct` then.
        clusters: (n,) the image of each question.
    """
    n, correct = len(right), np.sum(right).item()
    if n == 0:
        return {"n": 0, "correct": 0, "accuracy": None, "ci95": None}
    return {"n": n, "correct": correct, "accuracy": correct / n, "ci95": list(interval(right, list(clusters)))}


def check_parts(scores: dict[str, Any], where: str) -> None:
    """Raises DataError unless `overall` is what its parts add up to, in counts and in accuracy."""
    parts = [scores[part] for part in PARTS if part in scores]
    n, correct = sum(part["n"] for part in parts), sum(part["correct"] for part in parts)
    overall = scores["overall"]
    if (overall["n"], overall["correct"]) != (n, correct) or abs(overall["accuracy"] * n - correct) > 1e-6 * n:
        raise DataError(
            f"{where}: overall says {overall['correct']} of {overall['n']} right ({overall['accuracy']:.4f}), "
            f"its parts add up to {correct} of {n}",
            hint="overall is the weighted mean of open and closed from one set of predictions; score the file again",
        )


def twin_pairs(rows: Sequence[Prediction]) -> dict[str, list[int]]:
    """The positions of the members of each image pair; a pair of which only one member is in the rows is left out."""
    members: dict[str, list[int]] = defaultdict(list)
    for position, row in enumerate(rows):
        if row.twin:
            members[row.twin].append(position)
    return {twin: positions for twin, positions in members.items() if len(positions) > 1}


def _twins(rows: Sequence[Prediction], right: np.ndarray) -> dict[str, Any]:
    """The accuracy on image pairs: a pair counts as right when both members are; clustered by both images together."""
    pairs = list(twin_pairs(rows).values())
    both = np.array([bool(right[pair].all()) for pair in pairs], dtype=bool)
    return figure(both, ["\n".join(sorted({rows[position].image for position in pair})) for pair in pairs])


def _by(right: np.ndarray, images: np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
    """One figure per group, the largest group first."""
    names = np.array([group or NO_VALUE for group in groups], dtype=str)
    found, counts = np.unique(names, return_counts=True)
    order = sorted(range(len(found)), key=lambda i: (-counts[i], found[i]))
    if len(found) == 1 and found[0] == NO_VALUE:
        return {}
    return {str(found[i]): figure(right[names == found[i]], images[names == found[i]]) for i in order}
