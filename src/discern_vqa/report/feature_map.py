"""The map of what the answers were read from: t-SNE of the kept states, with silhouettes. Scikit-learn, no torch.

A map bends distances; the silhouette is measured on the states themselves: 1, every group apart from the others; 0,
none is; and beside it stands what labels assigned at random get.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from discern_vqa.report.read import RunFiles
from discern_vqa.report.svg import INK, MARKERS, SERIES, drawing

SEED = 0
PERPLEXITY = 30.0
FEWEST = 12
_SHOWN = 6
_RANDOM = 20


def feature_map(run: RunFiles, name: str) -> dict[str, Any] | None:
    """{"n", "width", "perplexity", "seed", "drawings": [...]}; None where no states were kept, or too few.

    name: of the run on this page, for identifiers.
    """
    if run.states is None:
        return None
    rows = {row.id: row for row in run.rows}
    places = [row for row, key in enumerate(run.states.ids) if key in rows]
    if len(places) < FEWEST:
        return None
    states = run.states.states[places]
    shown = [rows[run.states.ids[row]] for row in places]
    perplexity = perplexity_for(len(shown))
    points = laid_out(states)
    labels = {"question type": [row.question_type for row in shown], "organ": [row.organ for row in shown]}
    drawings = [
        _panel(points, states, kinds, title, f"{name} map {title}")
        for title, kinds in labels.items()
        if len(set(kinds)) > 1
    ]
    if not drawings:
        return None
    return {"n": len(shown), "width": states.shape[1], "perplexity": perplexity, "seed": SEED, "drawings": drawings}


def perplexity_for(n: int) -> float:
    """The perplexity of a map of n states: the usual one, less where there are few."""
    return min(PERPLEXITY, (n - 1) / 4)


def laid_out(states: np.ndarray) -> np.ndarray:
    """(n, w) -> (n, 2) by t-SNE, the same for the same states."""
    from sklearn.manifold import TSNE

    centred = states - states.mean(axis=0)
    centred /= np.sqrt((centred**2).mean()) or 1.0
    made = TSNE(2, perplexity=perplexity_for(len(states)), init="pca", random_state=SEED, n_jobs=1)
    points: np.ndarray = made.fit_transform(np.ascontiguousarray(centred, dtype=np.float32))
    return points


def silhouette(states: np.ndarray, kinds: Sequence[str]) -> tuple[float, float] | None:
    """The silhouette of the groups, and the mean over 20 random orders of the labels; None unless two
    groups have two members."""
    from sklearn.metrics import silhouette_score

    counts = Counter(kinds)
    keep = np.array([bool(kind) and counts[kind] > 1 for kind in kinds])
    labels = np.array(kinds)[keep]
    if len(set(labels)) < 2 or len(labels) <= len(set(labels)):
        return None
    own = float(silhouette_score(states[keep], labels))
    rng = np.random.default_rng(SEED)
    random_orders = [float(silhouette_score(states[keep], rng.permutation(labels))) for _ in range(_RANDOM)]
    return own, float(np.mean(random_orders))


def _panel(points: np.ndarray, states: np.ndarray, kinds: list[str], title: str, name: str) -> dict[str, str]:
    common = [kind for kind, _ in Counter(kind for kind in kinds if kind).most_common(_SHOWN)]
    chosen = np.array([common.index(kind) if kind in common else -1 for kind in kinds])
    with drawing(name, (4.6, 4.3)) as canvas:
        axes = canvas.axes
        for number, kind in enumerate(common):
            style = {"color": SERIES[number], "marker": MARKERS[number], "alpha": 0.8, "linewidths": 0}
            axes.scatter(*points[chosen == number].T, s=15, label=kind, **style)
        if (chosen < 0).any():
            axes.scatter(*points[chosen < 0].T, s=9, color=INK, alpha=0.35, label="other", linewidths=0, zorder=0)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.01), "handletextpad": 0.2, "columnspacing": 1.0}
        axes.legend(frameon=False, fontsize=9, ncols=3, labelcolor=INK, **below)
    scores = silhouette(states, kinds)
    sentence = "no silhouette: too few groups"
    if scores:
        sentence = f"silhouette by {title} {scores[0]:+.3f}; labels assigned at random {scores[1]:+.3f}"
    return {
        "title": f"By {title}",
        "svg": canvas.svg,
        "words": sentence,
        "note": f"{sentence[0].upper()}{sentence[1:]}.",
    }
