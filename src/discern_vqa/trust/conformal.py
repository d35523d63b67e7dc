"""Answer sets that hold the true answer as often as they say: split conformal prediction. Numpy, no torch.

Scores of the true answers on n held-out questions, in order, give a threshold: of the answers to a new question those
with at least that score form the set. For a new question like the old ones the set holds the true answer with
probability `coverage` or more (Vovk et al. 2005; the score is Sadinle et al.'s, "LAC"). A true answer that the model
does not name scores below all others; where more than 1 - coverage of them are so, no list of answers can promise the
coverage, and the threshold is None: *any answer*, said as such.

The promise is about the mean over all questions. One threshold for each answer type makes it hold for open and closed
alike, where the type is known; the form of the answer given (yes or no, or another) is always known.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from discern_vqa.scoring.metrics import figure

ALL, YES_NO, OTHER = "all", "yes/no", "other"
LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Coverages whose sets are measured beside the one that was asked for."""
_STEP = 0.05  # what is promised instead of an unreachable coverage is rounded down to this


def form_of(answer: str, same: Callable[[str], str]) -> str:
    """ "yes/no" or "other"."""
    return YES_NO if same(answer) in ("yes", "no") else OTHER


def threshold(truth: np.ndarray, coverage: float) -> float | None:
    """The score that an answer must have to belong to the set; None: any answer.

    Args:
        truth: (n,) the scores of the true answers, minus infinity where it is not named.
        coverage: in (0, 1).
    """
    allowed = math.floor((len(truth) + 1) * (1 - coverage) + 1e-9)  # true answers that may fall below
    if allowed < 1:
        return None
    lowest = float(np.sort(truth)[allowed - 1])
    return lowest if math.isfinite(lowest) else None


def fit(truth: np.ndarray, groups: Mapping[str, Sequence[str]], coverage: float) -> dict[str, Any]:
    """The thresholds of every group.

    Args:
        groups: for each grouping (together, by answer type, by the form of the answer given) the group of each
            question, "" for none.

    Returns:
        {grouping: {group: {"n", "threshold", "reachable", ["instead"]}}}; `reachable` is the highest coverage that a
        list of answers can promise there; where that is below `coverage`, `instead` is {"coverage", "threshold"} of the
        best that can be promised, in steps of 5 %, if that is half of the questions or more.
    """
    return {
        grouping: {
            group: _one(truth[np.array([member == group for member in members])], coverage)
            for group in sorted(set(members) - {""})
        }
        for grouping, members in groups.items()
    }


def answer_set(pairs: Sequence[tuple[str, float]], bar: float | None) -> tuple[str, ...] | None:
    """The answers with at least that score, best first; None: any answer. It may be empty: surer answers are usual."""
    return None if bar is None else tuple(text for text, score in pairs if score >= bar)


def measure(
    truth: np.ndarray,
    sizes: Callable[[np.ndarray], np.ndarray],
    thresholds: Mapping[str, Any],
    groups: Mapping[str, Sequence[str]],
    images: np.ndarray,
) -> dict[str, Any]:
    """What the sets hold on other questions: {grouping: {"n", "correct", "accuracy" (the measured coverage), "ci95",
    "mean_size", "one", "none", "any", ["unknown_group"], "groups": {group: the same}}}.

    Args:
        truth: (n,) as in `threshold`, of the questions to be measured on.
        sizes: (n,) bars -> (n,) how many answers of each question have at least that score.
    """
    measured: dict[str, Any] = {}
    for grouping, members in groups.items():
        bar_of = {group: _bar(fitted["threshold"]) for group, fitted in thresholds.get(grouping, {}).items()}
        known = np.array([group in bar_of for group in members], dtype=bool)
        if not known.any():
            continue
        bars = np.array([bar_of.get(group, math.nan) for group in members])
        names = np.array(members, dtype=str)
        measured[grouping] = _measured(truth, sizes, bars, known, images)
        if not known.all():
            measured[grouping]["unknown_group"] = int((~known).sum())
        if grouping != ALL:
            measured[grouping]["groups"] = {
                str(group): _measured(truth, sizes, bars, known & (names == group), images)
                for group in np.unique(names[known])
            }
    return measured


def measure_levels(
    truth: np.ndarray,
    sizes: Callable[[np.ndarray], np.ndarray],
    levels: Mapping[str, float | None],
    images: np.ndarray,
) -> dict[str, Any]:
    """{coverage: measured} of the sets of all questions together, for each coverage in `levels` (its threshold)."""
    everyone = np.ones(len(truth), dtype=bool)
    return {
        level: _measured(truth, sizes, np.full(len(truth), _bar(bar)), everyone, images)
        for level, bar in levels.items()
    }


def _one(truth: np.ndarray, coverage: float) -> dict[str, Any]:
    unnamed = int(np.sum(~np.isfinite(truth)))
    reachable = max(0.0, 1 - (unnamed + 1) / (len(truth) + 1))
    fitted: dict[str, Any] = {"n": len(truth), "threshold": threshold(truth, coverage), "reachable": reachable}
    lower = round(math.floor(reachable / _STEP + 1e-9) * _STEP, 2)
    if fitted["threshold"] is None and lower >= 0.5:
        fitted["instead"] = {"coverage": lower, "threshold": threshold(truth, lower)}
    return fitted


def _bar(score: float | None) -> float:
    return -math.inf if score is None else score


def _measured(
    truth: np.ndarray,
    sizes: Callable[[np.ndarray], np.ndarray],
    bars: np.ndarray,
    chosen: np.ndarray,
    images: np.ndarray,
) -> dict[str, Any]:
    covered = truth[chosen] >= bars[chosen]
    finite = chosen & np.isfinite(bars)
    size = sizes(np.where(np.isfinite(bars), bars, math.inf))[finite]
    return figure(covered, images[chosen]) | {
        "mean_size": float(size.mean()) if len(size) else None,
        "one": float(np.mean(size == 1)) if len(size) else None,
        "none": float(np.mean(size == 0)) if len(size) else None,
        "any": float(np.mean(~np.isfinite(bars[chosen]))),
    }
