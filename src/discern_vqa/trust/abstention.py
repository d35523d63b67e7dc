"""Rather no answer than a wrong one: the risk-coverage curve and a threshold of confidence. Numpy, no torch.

Questions are answered from the surest down. *Coverage* is the share that is answered, *risk* the share of wrong answers
among those. Questions of equal confidence have no order, so each counts by its share of the tie.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from discern_vqa.scoring.intervals import resampled_sums
from discern_vqa.scoring.metrics import figure

FEWEST = 30
"""Answered questions below which a share says too little to choose a threshold by."""
POINTS = 100


def risk_coverage(confidence: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """The whole curve.

    Returns:
        {"aurc", "aurc_best", "aurc_random", "curve": [[coverage, accuracy], ...]}: the mean risk over all coverages
        (Geifman and El-Yaniv 2017), the same of an answerer that sorts its own answers perfectly, and of one whose
        confidence says nothing; the curve thinned to 100 values.
    """
    errors = _errors(confidence, right)
    n = len(errors)
    answered = np.arange(1, n + 1)
    wrong = int(n - np.sum(right))
    best = np.maximum(0, answered - (n - wrong)) / answered
    places = np.unique(np.linspace(0, n - 1, min(n, POINTS)).round().astype(int))
    return {
        "aurc": float(np.mean(errors / answered)),
        "aurc_best": float(best.mean()),
        "aurc_random": wrong / n,
        "curve": [[float(answered[i] / n), float(1 - errors[i] / answered[i])] for i in places],
    }


def selective(
    confidence: np.ndarray, right: np.ndarray, images: Sequence[str], coverage: float = 0.5
) -> dict[str, Any]:
    """The accuracy of the surest `coverage` of the answers: {"coverage", "n", "accuracy", "ci95", "gain"}; `gain` over
    answering everything, with "gain_ci95" of its own. A tie at the border counts by its share."""
    n = len(right)
    weights = _weights(confidence, coverage * n)
    values = np.stack([weights * right, weights, np.asarray(right, dtype=float), np.ones(n)], axis=1)
    sums = resampled_sums(values, images)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = sums[:, 0] / sums[:, 1]
    shares = np.where(sums[:, 1] > 0, shares, sums[:, 2] / sums[:, 3])
    accuracy, gains = float(values[:, 0].sum() / weights.sum()), shares - sums[:, 2] / sums[:, 3]
    return {
        "coverage": coverage,
        "n": float(weights.sum()),
        "accuracy": accuracy,
        "ci95": np.quantile(shares, [0.025, 0.975]).tolist(),
        "gain": accuracy - float(np.mean(right)),
        "gain_ci95": np.quantile(gains, [0.025, 0.975]).tolist(),
    }


@dataclass(frozen=True)
class Bar:
    """From which confidence up an answer is given."""

    threshold: float | None  # None: none reaches the target
    target: float  # the accuracy aimed at
    accuracy: float | None  # of the answers given, on the questions that it was chosen on
    coverage: float  # the share of those that was answered


def choose(confidence: np.ndarray, right: np.ndarray, target: float | None = None) -> Bar:
    """The lowest confidence whose answers and all surer ones are right `target` of the time, at least 30 of them.

    Args:
        target: accuracy of the answers given; none: half the errors of answering everything.
    """
    confidence, right = np.asarray(confidence, dtype=float), np.asarray(right, dtype=bool)
    target = 1 - float(np.mean(~right)) / 2 if target is None else target
    order = np.argsort(-confidence, kind="stable")
    levels, correct = confidence[order], np.cumsum(right[order])
    answered = np.arange(1, len(right) + 1)
    ends = np.append(levels[1:] != levels[:-1], True)  # a tie is answered whole or not at all
    good = ends & (correct >= target * answered - 1e-9) & (answered >= min(FEWEST, len(right)))
    if not good.any():
        return Bar(None, target, None, 0.0)
    last = int(np.flatnonzero(good)[-1])
    return Bar(float(levels[last]), target, float(correct[last] / answered[last]), float(answered[last] / len(right)))


def measure(confidence: np.ndarray, right: np.ndarray, images: Sequence[str], bar: Bar) -> dict[str, Any]:
    """What the threshold does on other questions: the accuracy of what is answered, as a figure, and "coverage"."""
    given = confidence >= bar.threshold if bar.threshold is not None else np.zeros(len(right), dtype=bool)
    return figure(np.asarray(right)[given], np.asarray(images)[given]) | {
        "coverage": float(given.mean()),
        "threshold": bar.threshold,
        "target": bar.target,
    }


def _errors(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(n,) expected number of wrong answers among the surest 1 ... n; within a tie errors come evenly."""
    confidence, wrong = np.asarray(confidence, dtype=float), 1.0 - np.asarray(right, dtype=float)
    order = np.argsort(-confidence, kind="stable")
    _, tie = np.unique(-confidence[order], return_inverse=True)
    means = np.bincount(tie, weights=wrong[order]) / np.bincount(tie)
    return np.cumsum(means[tie])


def _weights(confidence: np.ndarray, wanted: float) -> np.ndarray:
    """(n,) 1 for what is surely among the surest `wanted` questions, a share for the tie at the border, 0 below."""
    order = np.sort(-np.asarray(confidence, dtype=float))
    border = -order[min(len(order), max(1, int(np.ceil(wanted - 1e-9)))) - 1]
    above, tied = confidence > border, confidence == border
    share = min(1.0, max(0.0, float((wanted - above.sum()) / tied.sum())))
    return np.asarray(above + share * tied)
