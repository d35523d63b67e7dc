"""What was logged while learning, drawn. No torch."""

import re
from collections.abc import Sequence
from typing import Any

from discern_vqa.report.svg import SERIES, drawing
from discern_vqa.scoring.stored import is_number

_NO_LOSS = re.compile(r"^(step|epoch|split|lr|seconds|time|n|best)$|accuracy|_rate$|grad|memory|per_second")
MOST_PARTS = 6

Curve = tuple[str, list[float], list[float]]  # label, steps, values


def curves(lines: Sequence[dict[str, Any]], name: str = "") -> list[dict[str, Any]]:
    """The drawings for one stage of learning: [{"title", "svg", "words"}], of which `words` says it without eyes.

    lines: of `metrics.jsonl`, where every number that is not known to be something else is taken for a loss; name: of
    the run and stage, which no other on the page has.
    """
    parts = [key for key in _numbers(lines, "train") if key != "loss" and not _NO_LOSS.search(key)]
    accuracies = [key for key in _numbers(lines, "validation") if key.startswith("accuracy")]
    panels: list[tuple[str, str, list[Curve]]] = [
        ("Loss", "loss", [(split, *_series(lines, split, "loss")) for split in ("train", "validation")]),
        ("Parts of the loss", "parts", [(key.replace("_", " "), *_series(lines, "train", key)) for key in parts]),
        ("Validation accuracy", "right", [_accuracy(lines, key) for key in accuracies]),
    ]
    drawings = []
    for title, panel, series in panels:
        series = [curve for curve in series[:MOST_PARTS] if len(curve[1]) > 1]
        if series:
            svg = _draw(series, f"{name} {panel}", is_loss=panel != "right")
            drawings.append({"title": title, "svg": svg, "words": _last(series)})
    return drawings


def _accuracy(lines: Sequence[dict[str, Any]], key: str) -> Curve:
    steps, values = _series(lines, "validation", key)
    return key.removeprefix("accuracy").strip("_") or "overall", steps, [100 * value for value in values]


def best_epoch(lines: Sequence[dict[str, Any]]) -> tuple[int, float] | None:
    """The epoch (counted from 1) with the best validation accuracy, the first of equals."""
    scored = [line for line in lines if line.get("split") == "validation" and is_number(line.get("accuracy"))]
    if not scored:
        return None
    best = max(scored, key=lambda line: line["accuracy"])
    return int(best.get("epoch", 0)) + 1, float(best["accuracy"])


def _numbers(lines: Sequence[dict[str, Any]], split: str) -> list[str]:
    of_split = [line for line in lines if line.get("split") == split]
    return list(dict.fromkeys(key for line in of_split for key in line if is_number(line[key])))


def _series(lines: Sequence[dict[str, Any]], split: str, key: str) -> tuple[list[float], list[float]]:
    points = [
        (float(line.get("step", place)), float(line[key]))
        for place, line in enumerate(lines)
        if line.get("split") == split and is_number(line.get(key))
    ]
    return [step for step, _ in points], [value for _, value in points]


def _last(series: Sequence[Curve]) -> str:
    return "; ".join(f"{label} {values[0]:.3g} to {values[-1]:.3g}" for label, _, values in series)


def _smooth(values: list[float]) -> list[float]:
    """A running mean over a fiftieth of the curve; what was logged stays visible behind it."""
    width = max(1, len(values) // 50)
    windows = [values[max(0, place - width) : place + width + 1] for place in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def _draw(series: Sequence[Curve], name: str, is_loss: bool) -> str:
    """A loss as a line, on a logarithmic scale if it spans much; an accuracy with a dot for each validation."""
    from matplotlib.ticker import LogLocator

    with drawing(name) as canvas:
        axes = canvas.axes
        for (label, steps, values), color in zip(series, SERIES, strict=False):
            if is_loss and len(values) > 100:
                axes.plot(steps, values, color=color, linewidth=0.8, alpha=0.3)
                axes.plot(steps, _smooth(values), color=color, linewidth=1.8, label=label)
            else:
                marker = "" if is_loss else "o"
                axes.plot(steps, values, color=color, linewidth=1.8, label=label, marker=marker, markersize=3.5)
        positive = [value for _, _, values in series for value in values if value > 0]
        if is_loss and positive and max(positive) > 30 * min(positive):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
        axes.set_xlabel("step")
        axes.set_ylabel("loss" if is_loss else "right, %")
        axes.grid(visible=True, axis="y", linewidth=0.8)
        axes.margins(x=0.02)
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=9, ncols=2 if len(series) > 3 else 1)
    return canvas.svg
