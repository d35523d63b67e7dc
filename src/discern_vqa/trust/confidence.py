"""How sure an answer is, and whether that can be believed: temperature, calibration error. Numpy and scipy, no torch.

What a line of predictions says of its answers is taken in one of two ways:

    distribution   the alternatives are best first, the answer given leads them, and their scores sum to 1 at most; what
                   they leave of 1 is shared alike by the `others` further answers
    confidence     all else that has a score: each score stands for itself (cosines, a program's own certainty)

A temperature T divides the logarithms: p -> p^(1/T) over the sum of all (the others' among them), or, of a lone score,
its log odds divided by T. The same map serves for fitting and for answering, so ten alternatives are as good as all.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from discern_vqa.data.answers import normaliser
from discern_vqa.errors import DataError
from discern_vqa.scoring.intervals import SEED, interval
from discern_vqa.scoring.metrics import figure
from discern_vqa.scoring.predictions import Prediction

DISTRIBUTION, CONFIDENCE = "distribution", "confidence"
BINS = 10
SHARPEST, FLATTEST = 0.1, 10.0
"""Bounds of the temperature: on answers that are all right the best one would be 0."""
_SMALLEST = 1e-6
_SIMULATED = 500

Pairs = Sequence[tuple[str, float]]


def kind_of(rows: Sequence[Prediction]) -> str:
    """How the scores of these lines are to be taken. Raises DataError when a line has none."""
    for row in rows:
        if row.score is None:
            raise DataError(
                f"the question {row.id!r} has no score, so nothing can be said about confidence",
                hint="a score in [0, 1] on every line, and best `alternatives` beside it",
            )
    return DISTRIBUTION if all(_is_distribution(row) for row in rows) else CONFIDENCE


def tempered(pairs: Pairs, others: int | None, temperature: float, kind: str) -> list[tuple[str, float]]:
    """The scores of one line's answers after the temperature, in their order."""
    if temperature == 1.0 or not pairs:
        return list(pairs)
    scores = np.array([score for _, score in pairs])
    if kind == CONFIDENCE:
        changed = 1 / (1 + np.exp(-_log_odds(scores) / temperature))
    else:
        logs, weights = _logs(scores[None], np.ones((1, len(scores)), dtype=bool), np.array([_others(others)]))
        shares = np.exp(logs / temperature)  # no underflow: scores from 1e-12 up, temperatures from 0.1 up
        changed = (shares / (weights * shares).sum())[0, :-1]
    return [(text, float(score)) for (text, _), score in zip(pairs, changed, strict=True)]


def confidences(rows: Sequence[Prediction], temperature: float = 1.0, kind: str | None = None) -> np.ndarray:
    """(n,) the confidence in each answer given."""
    kind = kind or kind_of(rows)
    return np.array([tempered(pairs_of(row, kind), row.others, temperature, kind)[0][1] for row in rows])


def truth_scores(rows: Sequence[Prediction], normalise: str, temperature: float, kind: str) -> np.ndarray:
    """(n,) the score of the *true* answer (the best of several); minus infinity where no alternative is it."""
    same = normaliser(normalise)
    found = np.full(len(rows), -math.inf)
    for place, row in enumerate(rows):
        true = {same(text) for text in row.truths}
        pairs = tempered(pairs_of(row, kind), row.others, temperature, kind)
        found[place] = max((score for text, score in pairs if same(text) in true), default=-math.inf)
    return found


def fit_temperature(rows: Sequence[Prediction], right: np.ndarray, normalise: str, kind: str) -> float:
    """The temperature with the smallest negative log likelihood (Guo et al. 2017).

    A true answer that is not among the alternatives is the event "something else", whose probability is what they
    leave of 1: so a model that cannot give it learns to be less sure. Convex in 1 / T, so there is one best.

    Args:
        rows: questions that the model did not learn from.
        right: (n,) bool, which answers are right; used for lone scores.
    """
    if kind == CONFIDENCE:
        odds = _log_odds(confidences(rows, kind=kind))
        signs = np.where(right, 1.0, -1.0)
        return _best(lambda beta: float(np.logaddexp(0, -signs * beta * odds).mean()))
    longest = max(len(row.alternatives) for row in rows)
    scores, named = np.zeros((len(rows), longest)), np.zeros((len(rows), longest), dtype=bool)
    same = normaliser(normalise)
    truth = np.full(len(rows), longest)  # the last column: something else
    for line, row in enumerate(rows):
        scores[line, : len(row.alternatives)] = [score for _, score in row.alternatives]
        named[line, : len(row.alternatives)] = True
        true = {same(text) for text in row.truths}
        truth[line] = next((k for k, (text, _) in enumerate(row.alternatives) if same(text) in true), longest)
    others = np.array([_others(row.others) for row in rows])
    logs, weights = _logs(scores, named, others)
    lines = np.arange(len(rows))
    own_log, own_weight = logs[lines, truth], weights[lines, truth]

    from scipy.special import logsumexp  # scipy takes a second to import, and whoever asks a question fits nothing

    def loss(beta: float) -> float:
        return float((logsumexp(beta * logs, axis=1, b=weights) - beta * own_log - np.log(own_weight)).mean())

    return _best(loss)


def bound_warning(temperature: float) -> str:
    """What is to be said of a temperature that lies on one of its bounds, a sentence; "" of one that does not."""
    for bound in (SHARPEST, FLATTEST):
        if math.isclose(temperature, bound, rel_tol=1e-3):
            return (
                f"the temperature stopped at its bound, {bound:g}: a better one would lie beyond, so that confidences"
                " are not what they are called even where it was fitted"
            )
    return ""


def reliability(confidence: np.ndarray, right: np.ndarray, images: Sequence[str], bins: int = BINS) -> dict[str, Any]:
    """Whether answers of a confidence of c are right c of the time.

    Returns:
        {"n", "ece", "ece_by_chance", "brier", "mean_confidence", "accuracy", "bins": [{"low", "high", "n",
        "confidence", "accuracy", "ci95"}]}, empty bins left out. `ece`: the mean over questions of
        |accuracy - confidence| of their bin. `ece_by_chance`: what it would be on average if every answer were right
        with just its confidence.
    """
    confidence, right = np.asarray(confidence, dtype=float), np.asarray(right, dtype=bool)
    bin_of = np.clip((confidence * bins).astype(int), 0, bins - 1)
    clusters = np.asarray(images, dtype=str)
    simulated = np.random.default_rng(SEED).random((_SIMULATED, len(right))) < confidence
    filled = []
    for number in range(bins):
        inside = bin_of == number
        if inside.any():
            figures = {"low": number / bins, "high": (number + 1) / bins, "n": int(inside.sum())}
            figures["confidence"], figures["accuracy"] = float(confidence[inside].mean()), float(right[inside].mean())
            filled.append(figures | {"ci95": list(interval(right[inside], list(clusters[inside])))})
    return {
        "n": len(right),
        "ece": _ece(confidence, right[None], bin_of, bins),
        "ece_by_chance": _ece(confidence, simulated, bin_of, bins),
        "brier": float(np.mean((confidence - right) ** 2)),
        "mean_confidence": float(confidence.mean()),
        "accuracy": figure(right, clusters)["accuracy"],
        "bins": filled,
    }


def _ece(confidence: np.ndarray, rights: np.ndarray, place: np.ndarray, bins: int) -> float:
    """Mean over the rows of `rights` (R, n): the sums of confidence minus right in each bin, their sizes over n."""
    member = np.eye(bins)[place]
    return float(np.abs((confidence - rights) @ member).sum(axis=1).mean() / len(confidence))


def _is_distribution(row: Prediction) -> bool:
    scores = [score for _, score in row.alternatives]
    return (
        bool(scores)
        and row.alternatives[0][0] == row.prediction
        and sum(scores) <= 1 + 1e-3
        and scores == sorted(scores, reverse=True)
    )


def pairs_of(row: Prediction, kind: str) -> list[tuple[str, float]]:
    """The answers of a line with their scores, the one given first."""
    if kind == DISTRIBUTION:
        return list(row.alternatives)
    return [(row.prediction, row.score or 0.0), *(pair for pair in row.alternatives if pair[0] != row.prediction)]


def _others(others: int | None) -> float:
    """How many answers share the rest: one where the file does not say, next to none where it says none."""
    return 1.0 if others is None else max(others, _SMALLEST)


def _log_odds(scores: np.ndarray) -> np.ndarray:
    inside = np.clip(scores, _SMALLEST, 1 - _SMALLEST)
    odds: np.ndarray = np.log(inside) - np.log1p(-inside)
    return odds


def _logs(scores: np.ndarray, named: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, k + 1) logarithms and weights: the named answers; in the last column one of the others, and their count."""
    rest = np.maximum(1 - scores.sum(axis=1), _SMALLEST) / np.maximum(others, 1)
    logs = np.log(np.concatenate([np.maximum(scores, 1e-12), rest[:, None]], axis=1))
    return logs, np.concatenate([named.astype(float), others[:, None]], axis=1)


def _best(loss: Callable[[float], float]) -> float:
    """The temperature that minimises `loss` of 1 / T."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(loss, bounds=(1 / FLATTEST, 1 / SHARPEST), method="bounded", options={"xatol": 1e-6})
    return float(1 / found.x)
