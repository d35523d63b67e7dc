"""Scores for answers that are written, not chosen: exact match, tokens in common, BLEU, ROUGE-L. No torch here.

Both texts go through the normaliser and are cut at white space; a token is what is left between two spaces. Defined in
docs/metrics.md; each figure is {"n", "value", "ci95"} with an interval clustered by image.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from discern_vqa.data.answers import normaliser
from discern_vqa.data.sample import CLOSED, OPEN
from discern_vqa.scoring.intervals import interval, resampled_sums
from discern_vqa.scoring.metrics import part_masks
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.tables import aligned, cell

PARTS = ("overall", OPEN, CLOSED)
ORDERS = (1, 2, 3, 4)
METRICS = ("exact", "token_precision", "token_recall", "token_f1", *(f"bleu_{order}" for order in ORDERS), "rouge_l")
TITLES = {
    "exact": "exact match",
    "token_precision": "token precision",
    "token_recall": "token recall",
    "token_f1": "token F1",
    **{f"bleu_{order}": f"BLEU-{order} (corpus)" for order in ORDERS},
    "rouge_l": "ROUGE-L (F1)",
    "similarity": "embedding similarity",
}

Figure = dict[str, Any]


@dataclass(frozen=True)
class Similarity:
    """How near the answers are in the space of an embedding."""

    each: np.ndarray  # (n,) cosines of the answer given and the true one, 0 where none was given
    chance: float  # mean cosine of an answer given and the true answer of *any* question, which is far from 0


def free_text(
    rows: Sequence[Prediction], normalise: str = "m3ae", similarity: Similarity | None = None
) -> dict[str, Any]:
    """Every free-text metric, over all questions and over open and closed ones.

    Args:
        normalise: the normaliser of both texts. Of several accepted answers the nearest is the true one.
        similarity: a `Similarity` of the rows, where it was asked for.

    Returns:
        {"normaliser", "tokens": {"gold", "prediction"} (means), metric: {"overall", "open", "closed"},
        ["similarity_by_chance"]}.
    """
    same = normaliser(normalise)
    answers = [same(row.prediction).split() for row in rows]
    accepted = [[same(text).split() for text in row.truths] for row in rows]
    truths = [_nearest(*pair) for pair in zip(answers, accepted, strict=True)]
    pairs = list(zip(answers, truths, strict=True))
    images = np.array([row.image for row in rows], dtype=str)
    each = {"exact": np.array([bool(answer) and answer == true for answer, true in pairs], dtype=float)}
    shared = np.array([overlap(answer, true) for answer, true in pairs]).reshape(-1, 3)
    each |= {name: shared[:, column] for column, name in enumerate(METRICS[1:4])}
    each["rouge_l"] = np.array([rouge_l(answer, true) for answer, true in pairs])
    if similarity is not None:
        each["similarity"] = similarity.each
    counts = np.array([ngram_counts(answer, true) for answer, true in pairs], dtype=float)
    masks = part_masks([row.answer_type for row in rows])
    parts = {part: masks[part] for part in PARTS}
    lengths = {"gold": _mean_length(truths), "prediction": _mean_length(answers)}
    scores: dict[str, Any] = {"normaliser": normalise, "tokens": lengths}
    for name in (*METRICS, *(["similarity"] if similarity is not None else [])):
        if name.startswith("bleu_"):
            order = int(name[-1])
            scores[name] = {part: _bleu_figure(counts[chosen], images[chosen], order) for part, chosen in parts.items()}
        else:
            scores[name] = {part: _mean(each[name][chosen], images[chosen]) for part, chosen in parts.items()}
    if similarity is not None:
        scores["similarity_by_chance"] = similarity.chance
    return scores


def _nearest(said: Sequence[str], truths: Sequence[list[str]]) -> list[str]:
    """Of several true answers the one that shares most with what was said (F1), of equal ones the first."""
    return max(truths, key=lambda true: overlap(said, true)[2])


def overlap(said: Sequence[str], true: Sequence[str]) -> tuple[float, float, float]:
    """(precision, recall, F1) of the tokens, each counted as often as it stands in both; of nothing 0."""
    common = (Counter(said) & Counter(true)).total()
    if not common:
        return 0.0, 0.0, 0.0
    precision, recall = common / len(said), common / len(true)
    return precision, recall, 2 * precision * recall / (precision + recall)


def rouge_l(said: Sequence[str], true: Sequence[str]) -> float:
    """F1 of the longest common subsequence of tokens (Lin 2004, sentence level, precision and recall alike)."""
    longest = _longest_common(said, true)
    return 2 * longest / (len(said) + len(true)) if longest else 0.0


def ngram_counts(said: Sequence[str], true: Sequence[str]) -> list[int]:
    """What one answer adds to corpus BLEU: matches of order 1 ... 4, n-grams of order 1 ... 4, length, true length."""
    matches, totals = [], []
    for order in ORDERS:
        given, wanted = _ngrams(said, order), _ngrams(true, order)
        matches.append((given & wanted).total())
        totals.append(given.total())
    return [*matches, *totals, len(said), len(true)]


def bleu(counts: np.ndarray, order: int) -> np.ndarray:
    """Corpus BLEU up to `order` from summed `ngram_counts` (..., 10): brevity penalty times the geometric mean of the
    precisions of order 1 ... `order` (Papineni et al. 2002), not smoothed: 0 where one of them is 0."""
    matches, totals = counts[..., :order], counts[..., 4 : 4 + order]
    said, true = counts[..., 8], counts[..., 9]
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(totals > 0, matches / totals, 0.0)
        geometric = np.exp(np.log(precision).mean(axis=-1))
        short = np.where(said > 0, np.exp(np.minimum(0.0, 1 - true / said)), 0.0)
    return np.asarray(geometric * short)


def as_table(scores: dict[str, Any]) -> str:
    """The free-text figures as lines of plain text, in %."""
    parts = [part for part in PARTS if scores["exact"][part]["n"]]
    rows = [["", *parts], ["n", *(f"{scores['exact'][part]['n']:,}" for part in parts)]]
    for name, title in TITLES.items():
        if name in scores:
            rows.append([title, *(cell(scores[name][part], "value") for part in parts)])
    tokens = scores["tokens"]
    lines = [
        f"free text, normaliser {scores['normaliser']!r}, in % [95 % interval, clustered by image]; "
        f"{tokens['gold']:.1f} tokens in a true answer, {tokens['prediction']:.1f} in a given one",
        "",
        *aligned(rows),
    ]
    if "similarity" in scores:
        chance = f"{100 * scores['similarity_by_chance']:.1f}"
        lines += ["", f"embedding similarity of an answer to the true answer of any other question: {chance}"]
    return "\n".join(lines)


def _mean(values: np.ndarray, images: np.ndarray) -> Figure:
    if not len(values):
        return {"n": 0, "value": None, "ci95": None}
    return {"n": len(values), "value": float(values.mean()), "ci95": list(interval(values, list(images)))}


def _bleu_figure(counts: np.ndarray, images: np.ndarray, order: int) -> Figure:
    """None where no true answer has `order` tokens: there the metric says nothing."""
    if not len(counts) or counts[:, 9].max() < order:
        return {"n": len(counts), "value": None, "ci95": None}
    low, high = np.quantile(bleu(resampled_sums(counts, images), order), [0.025, 0.975])
    return {"n": len(counts), "value": float(bleu(counts.sum(axis=0), order)), "ci95": [float(low), float(high)]}


def _ngrams(tokens: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[place : place + order]) for place in range(len(tokens) - order + 1))


def _longest_common(one: Sequence[str], other: Sequence[str]) -> int:
    best = [0] * (len(other) + 1)
    for token in one:
        before = 0
        for place, theirs in enumerate(other, start=1):
            before, best[place] = best[place], before + 1 if token == theirs else max(best[place], best[place - 1])
    return best[-1]


def _mean_length(texts: Sequence[Sequence[str]]) -> float:
    return sum(map(len, texts)) / len(texts)
