"""How the states that a model answers from lie in space, by question type: CMDPI's Fig. 9 as numbers and as a map."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.metrics.cluster import contingency_matrix

from discern_vqa.errors import ConfigError
from discern_vqa.report.feature_map import FEWEST, laid_out

SEED = 0


def clusters(points: np.ndarray, kinds: Sequence[str]) -> dict[str, Any]:
    """How far the states of one kind lie together.

    Args:
        points: (n, d). kinds: (n,) the question type of each; types of a single question are left out.

    Returns:
        n, kinds, silhouette (cosine; -1 ... 1), purity of k-means with as many clusters as kinds, on unit vectors, and
        `chance`: the purity of the same clusters when the kinds are assigned at random.
    """
    names, counts = np.unique(np.asarray(kinds), return_counts=True)
    kept = np.isin(kinds, names[counts > 1])
    points, labels = points[kept], np.asarray(kinds)[kept]
    if len(set(labels)) < 2:
        raise ConfigError("there are fewer than two question types", hint="choose a split with several")
    unit = points / np.linalg.norm(points, axis=1, keepdims=True).clip(1e-12)
    found = KMeans(len(set(labels)), n_init=5, random_state=SEED).fit_predict(unit)
    return {
        "n": len(labels),
        "kinds": len(set(labels)),
        "silhouette": float(silhouette_score(points, labels, metric="cosine")),
        "purity": purity(found, labels),
        "chance": purity(found, np.random.default_rng(SEED).permutation(labels)),
    }


def state_map(points: np.ndarray, kinds: Sequence[str]) -> dict[str, Any]:
    """Where t-SNE puts each state, as plain data: nothing of states that are too few for a map.

    Args:
        points: (n, d). kinds: (n,) the question type of each.

    Returns:
        points: (n, 2), to two decimals. question_types: (n,).
    """
    if len(points) < FEWEST:
        return {}
    return {"points": np.round(laid_out(points), 2).tolist(), "question_types": list(kinds)}


def purity(found: np.ndarray, labels: np.ndarray) -> float:
    """The share of states that are of the commonest kind in their cluster."""
    return float(contingency_matrix(labels, found).max(axis=0).sum() / len(labels))
