"""Reliance: how much of a model's accuracy needs the right image, with its interval. Numpy, no torch.

For the same n questions about images i, with the right image and with k wrong ones (the controls):

    A = share right with the right image         A_c = share right with wrong image c
    `points` = A - max_c A_c                     `share` = `points` / A

`points` is what the image adds to the best that the model does without it; `share` how many of its right answers
that is. The interval draws whole images anew (2,000 times) and takes the maximum anew in every draw. The best of
several controls is a little flattered by chance, so both figures and their lower ends are rather too low: what is
claimed for the image is at least there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from discern_vqa.measurements import Context, Scores
from discern_vqa.scoring.intervals import FEW, resampled_sums
from discern_vqa.scoring.metrics import NO_VALUE, PARTS, rights, shown_parts
from discern_vqa.scoring.page_tables import Cell, Table, in_percent
from discern_vqa.scoring.predictions import Prediction

ORDER = 30


def measure(context: Context) -> Mapping[str, Any]:
    """See `reliance`; from the answers that `controls` has asked for."""
    return {"reliance": reliance(context.rows, context.controls, context.normalise)}


def reliance(
    rows: Sequence[Prediction], wrong: Mapping[str, Sequence[Prediction]], normalise: str = "m3ae"
) -> dict[str, Any]:
    """The score of one set of predictions against the same questions with wrong images.

    Args:
        rows: with the right images.
        wrong: control -> the answers to these questions, or to some of them, with its images. `image` is the right
            image's in both.

    Returns:
        {"overall", "open", "closed", ["unknown"], "by": {"organ", "question_type"}: over the questions that every
        control asked; "controls": {name: over all that it asked}}. Each is
        {"n", "images", "accuracy", "against", "without", "points", "ci95", "share", "share_ci95"}: accuracy with the
        right image, the control that the model does best with, accuracy with that. Of nothing, None; no interval
        below ten images. {} without controls.
    """
    if not wrong:
        return {}
    right = dict(zip((row.id for row in rows), rights(rows, normalise).astype(float), strict=True))
    others = {
        name: dict(zip((row.id for row in answers), rights(answers, normalise).astype(float), strict=True))
        for name, answers in wrong.items()
    }
    shared = [row for row in rows if all(row.id in by_id for by_id in others.values())]

    def of(chosen: Sequence[Prediction], names: Sequence[str]) -> dict[str, Any]:
        ids = [row.id for row in chosen]
        columns = {name: np.array([others[name][key] for key in ids]) for name in names}
        return gap(np.array([right[key] for key in ids]), columns, [row.image for row in chosen])

    every = list(others)
    gaps: dict[str, Any] = {"overall": of(shared, every)}
    for part in PARTS:
        part_rows = [row for row in shared if (row.answer_type or "unknown") == part]
        if part_rows or part != "unknown":
            gaps[part] = of(part_rows, every)
    gaps["by"] = {
        "organ": {key: of(part_rows, every) for key, part_rows in _groups(shared, "organ").items()},
        "question_type": {key: of(part_rows, every) for key, part_rows in _groups(shared, "question_type").items()},
    }
    gaps["controls"] = {name: of([row for row in rows if row.id in others[name]], [name]) for name in every}
    return gaps


def gap(right: np.ndarray, wrong: Mapping[str, np.ndarray], images: Sequence[str]) -> dict[str, Any]:
    """One entry of `reliance`.

    Args:
        right: (n,) 1 where the answer is right with the right image.
        wrong: control -> (n,) the same with its images.
        images: (n,) the right image of each question.
    """
    keys = ("accuracy", "against", "without", "points", "ci95", "share", "share_ci95")
    n, clusters = len(right), len(set(images))
    if not n:
        return {"n": 0, "images": 0} | dict.fromkeys(keys)
    names = list(wrong)
    values = np.stack([right, *(wrong[name] for name in names), np.ones(n)], axis=1)
    totals = values.sum(axis=0)
    best = int(np.argmax(totals[1:-1]))
    points, share = _differences(totals[None])
    figures = {
        "n": n,
        "images": clusters,
        "accuracy": float(totals[0] / n),
        "against": names[best],
        "without": float(totals[1 + best] / n),
        "points": float(points[0]),
        "ci95": None,
        "share": float(share[0]) if totals[0] else None,
        "share_ci95": None,
    }
    if clusters >= FEW:  # a percentile bootstrap of fewer promises too much
        points, share = _differences(resampled_sums(values, list(images)))
        figures["ci95"] = np.quantile(points, [0.025, 0.975]).tolist()
        figures["share_ci95"] = np.quantile(share, [0.025, 0.975]).tolist() if totals[0] else None
    return figures


def lines(scores: Scores) -> list[str]:
    gaps = scores.get("reliance") or {}
    overall = gaps.get("overall")
    if not overall or not overall["n"]:
        return []
    sentence = (
        f"reliance on the image: {100 * overall['points']:+.1f} percentage points{_ends(overall['ci95'])} of accuracy "
        f"over what the model does best without the right one ({overall['against']}, n {overall['n']:,})"
    )
    if overall["share"] is not None and overall["points"] > 0:
        share = f"{100 * overall['share']:.0f} %{_ends(overall['share_ci95'], 0)}"
        sentence += f"; {share} of its right answers need the right image"
    parts = [
        f"{part} {100 * figures['points']:+.1f}{_ends(figures['ci95'])}"
        for part in shown_parts(gaps)
        if part != "overall" and (figures := gaps[part])
    ]
    return [f"{sentence}; {', '.join(parts)}" if len(parts) > 1 else sentence]


def warnings(scores: Scores) -> list[str]:
    """A sentence where the right image is not shown to add anything."""
    overall = (scores.get("reliance") or {}).get("overall") or {}
    if not overall.get("n") or not overall["ci95"] or overall["ci95"][0] > 0:
        return []
    return [
        f"the right image is not shown to matter: {100 * overall['points']:+.1f} percentage points"
        f"{_ends(overall['ci95'])} against {overall['against']}"
    ]


def sentences(scores: Scores) -> list[str]:
    overall = (scores.get("reliance") or {}).get("overall") or {}
    if not overall.get("n"):
        return []
    ends = overall.get("ci95")
    interval = f" [{100 * ends[0]:+.1f}, {100 * ends[1]:+.1f}]" if ends else ""
    return [
        f"The right image adds {100 * overall['points']:+.1f} percentage points{interval} to the best that the model "
        f"does with a wrong one ({overall['against']}, n = {overall['n']:,})."
    ]


def tables(scores: Scores) -> list[Table]:
    gaps = scores.get("reliance") or {}
    parts = [(part, gaps[part]) for part in shown_parts(gaps)]
    for grouping, groups in (gaps.get("by") or {}).items():
        parts += [(f"{grouping.replace('_', ' ')}: {name}", figures) for name, figures in groups.items()]
    rows: list[list[Cell]] = [
        [
            name,
            figures["n"],
            in_percent(figures["accuracy"]),
            in_percent(figures["without"]),
            figures["against"],
            in_percent(figures["points"], figures.get("ci95"), signed=True),
            in_percent(figures.get("share"), figures.get("share_ci95")),
        ]
        for name, figures in parts
        if figures.get("n")
    ]
    columns = ["", "n", "right image", "best without", "which is", "percentage points", "share that needs it"]
    note = (
        "Accuracy in % with the right image, and with the wrong one that serves the model best; on the same questions"
    )
    return [Table("reliance", "Reliance on the image", columns, rows, note)] if rows else []


def _differences(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(r, 1 + k + 1) sums -> `points` (r,) and `share` (r,); of no right answers none needs the image."""
    gained = sums[:, 0] - sums[:, 1:-1].max(axis=1)
    return gained / sums[:, -1], np.where(sums[:, 0] > 0, gained / np.maximum(sums[:, 0], 1e-9), 0.0)


def _groups(rows: Sequence[Prediction], field: str) -> dict[str, list[Prediction]]:
    """The largest group first, as in `metrics`; {} where none is named."""
    groups: dict[str, list[Prediction]] = {}
    for row in rows:
        groups.setdefault(getattr(row, field) or NO_VALUE, []).append(row)
    order = sorted(groups, key=lambda name: (-len(groups[name]), name))
    return {} if order == [NO_VALUE] else {name: groups[name] for name in order}


def _ends(ends: Sequence[float] | None, digits: int = 1) -> str:
    return f" [{100 * ends[0]:.{digits}f}, {100 * ends[1]:.{digits}f}]" if ends else ""
