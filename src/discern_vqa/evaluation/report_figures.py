"""The report's curves: matplotlib drawings as inline SVG whose colours are the page's own, light or dark. No torch.

matplotlib draws with stand-in colours, which are replaced by CSS variables in the SVG text, so that one drawing
follows the reader's colour scheme.
"""

import io
import re
from collections.abc import Sequence
from typing import Any

INK, FAINT = "#010101", "#020202"
SERIES = ("#030303", "#040404", "#050505", "#060606", "#070707", "#080808")
_CSS = {INK: "var(--muted)", FAINT: "var(--line)"} | {color: f"var(--c{i})" for i, color in enumerate(SERIES)}
_NO_LOSS = re.compile(r"^(step|epoch|split|lr|seconds|time|n|best)$|accuracy|_rate$|grad|memory|per_second")
MOST_PARTS = len(SERIES)

Curve = tuple[str, list[float], list[float]]  # label, steps, values


def curves(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The drawings for one stage of learning: [{"title", "svg", "words"}], of which `words` says it without eyes.

    Args:
        lines: of `metrics.jsonl`. Every number that is not known to be something else is taken for a loss.
    """
    drawn: list[dict[str, Any]] = []
    losses = [(split, *_series(lines, split, "loss")) for split in ("train", "validation")]
    losses = [one for one in losses if len(one[1]) > 1]
    if losses:
        drawn.append({"title": "Loss", "svg": _draw(losses, "loss"), "words": _last(losses)})
    names = [name for name in _numbers(lines, "train") if name != "loss" and not _NO_LOSS.search(name)]
    parts = [(name.replace("_", " "), *_series(lines, "train", name)) for name in names][:MOST_PARTS]
    parts = [part for part in parts if len(part[1]) > 1]
    if parts:
        drawn.append({"title": "Parts of the loss", "svg": _draw(parts, "loss"), "words": _last(parts)})
    names = [name for name in _numbers(lines, "validation") if name.startswith("accuracy")]
    right = [
        (name.removeprefix("accuracy").strip("_") or "overall", *_series(lines, "validation", name)) for name in names
    ]
    right = [(label, steps, [100 * value for value in values]) for label, steps, values in right][:MOST_PARTS]
    if right and len(right[0][1]) > 1:
        svg = _draw(right, "right, %", dots=True)
        drawn.append({"title": "Validation accuracy", "svg": svg, "words": _last(right)})
    return drawn


def best_epoch(lines: Sequence[dict[str, Any]]) -> tuple[int, float] | None:
    """The epoch (counted from 1) with the best validation accuracy, the first of equals."""
    scored = [line for line in lines if line.get("split") == "validation" and _is_number(line.get("accuracy"))]
    if not scored:
        return None
    best = max(scored, key=lambda line: line["accuracy"])
    return int(best.get("epoch", 0)) + 1, float(best["accuracy"])


def _numbers(lines: Sequence[dict[str, Any]], split: str) -> list[str]:
    named = {key: None for line in lines if line.get("split") == split for key in line if _is_number(line[key])}
    return list(named)


def _series(lines: Sequence[dict[str, Any]], split: str, key: str) -> tuple[list[float], list[float]]:
    points = [
        (float(line.get("step", place)), float(line[key]))
        for place, line in enumerate(lines)
        if line.get("split") == split and _is_number(line.get(key))
    ]
    return [step for step, _ in points], [value for _, value in points]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _last(series: Sequence[Curve]) -> str:
    return "; ".join(f"{label} {values[0]:.3g} to {values[-1]:.3g}" for label, _, values in series)


def _smooth(values: list[float]) -> list[float]:
    """A running mean over a fiftieth of the curve; what was logged stays visible behind it."""
    window = max(1, len(values) // 50)
    return [
        sum(values[max(0, i - window) : i + window + 1]) / len(values[max(0, i - window) : i + window + 1])
        for i in range(len(values))
    ]


def _draw(series: Sequence[Curve], y_label: str, dots: bool = False) -> str:
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": f"{y_label}{[label for label, _, _ in series]}",
        "font.family": ["sans-serif"],
        "font.size": 10,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "grid.color": FAINT,
    }
    with rc_context(style):
        figure = Figure(figsize=(4.1, 2.8), layout="constrained")
        axes = figure.add_subplot()
        for (label, steps, values), color in zip(series, SERIES, strict=False):
            if not dots and len(values) > 100:
                axes.plot(steps, values, color=color, linewidth=0.8, alpha=0.3)
                axes.plot(steps, _smooth(values), color=color, linewidth=1.8, label=label)
            else:
                axes.plot(
                    steps, values, color=color, linewidth=1.8, label=label, marker="o" if dots else "", markersize=3.5
                )
        positive = [value for _, _, values in series for value in values if value > 0]
        if y_label == "loss" and positive and max(positive) > 30 * min(positive):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
        axes.set_xlabel("step")
        axes.set_ylabel(y_label)
        axes.grid(visible=True, axis="y", linewidth=0.8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=0)
        axes.margins(x=0.02)
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=9, ncols=2 if len(series) > 3 else 1)
        buffer = io.StringIO()
        nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
        figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    return _themed(buffer.getvalue())


def _themed(svg: str) -> str:
    """The <svg> element alone, without a size of its own, and with the page's colours for the stand-ins."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", svg)
    svg = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", svg)
    svg = re.sub(r"font: ([\d.]+)px[^;\"]*", r"font: \1px var(--sans)", svg)
    for stand_in, variable in _CSS.items():
        svg = svg.replace(stand_in, variable)
    return svg.strip()
