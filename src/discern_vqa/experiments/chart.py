"""The chart of an experiment: every row's accuracy with its interval, and what the paper prints, as PNG and SVG.

Rows that have a place on a curve (`at`) are drawn over it, all others one below the other. It draws what is in the
report and nothing else. No torch.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from discern_vqa.files import atomic_path

PARTS = ("overall", "open", "closed")
COLORS = ("#0b6e8a", "#b4540a", "#5b4b8a", "#3d7a3a", "#8a2f4f", "#555555")
"""Told apart by people with any kind of colour vision, together with the marker."""
MARKERS = ("o", "s", "^", "D", "v", "P")
PRINTED = "#777777"
DPI = 150


def draw(report: dict[str, Any], out: Path) -> list[Path]:
    """chart.png and chart.svg in `out`; none where no row has an answer."""
    from matplotlib.figure import Figure

    rows = [row for row in report["rows"] if row.get("figures")]
    if not rows:
        return []
    parts = [part for part in PARTS if any(part in row["figures"] for row in rows)]
    curve = [row for row in rows if row["at"] is not None]
    height = 4.2 if curve else 1.3 + 0.32 * len(rows)
    figure = Figure(figsize=(3.6 * len(parts) + (0.6 if curve else 2.2), height), layout="constrained")
    for column, (part, axes) in enumerate(zip(parts, figure.subplots(1, len(parts), squeeze=False)[0], strict=True)):
        if curve:
            _curve(axes, curve, part)
        else:
            _dots(axes, rows, part, named=column == 0)
        axes.set_title(part)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if labels:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(3, len(labels)), frameon=False)
    seeds = f"mean of {len(report['seeds'])} seeds" if len(report["seeds"]) > 1 else "one seed"
    title = f"{report['title']} ({report['source']})\naccuracy in %, {seeds}, with 95 % intervals over images"
    figure.suptitle(f"{title}; {report['recipe']}, {report['split']}, {report['n']:,} questions", fontsize=9)
    files = []
    for kind in ("png", "svg"):
        with atomic_path(out / f"chart.{kind}") as partial:
            # Without a date, so that the same report draws the same file.
            figure.savefig(partial, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
        files.append(out / f"chart.{kind}")
    return files


def _dots(axes: Any, rows: Sequence[dict[str, Any]], part: str, *, named: bool) -> None:
    """The rows from top to bottom: interval and mean, below them each seed as a small dot; the printed figure as a
    cross."""
    for place, row in enumerate(rows):
        if (given := row["figures"].get(part)) is not None:
            _mean(axes, given, place, 0, "measured here")
            axes.plot([100 * value for value in given["values"]], [place + 0.22] * len(given["values"]), ".",
                      color=COLORS[0], alpha=0.6, markersize=4, label="one seed")  # fmt: skip
        if row["printed"] and part in row["printed"]:
            axes.plot(row["printed"][part], place, "x", color=PRINTED, label="printed in the paper")
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows] if named else [""] * len(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    _once(axes)


def _mean(axes: Any, given: dict[str, Any], place: float, series: int, label: str) -> None:
    low, high = given.get("ci95") or (given["mean"], given["mean"])
    axes.plot([100 * low, 100 * high], [place, place], color=COLORS[series], linewidth=1.5)
    axes.plot(100 * given["mean"], place, MARKERS[series], color=COLORS[series], label=label)


def _curve(axes: Any, rows: Sequence[dict[str, Any]], part: str) -> None:
    """A line for each kind of row over its place, a share of the images in per cent, with intervals."""
    lines: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if part in row["figures"]:
            lines.setdefault(line_of(row), []).append(row)
    for series, (name, members) in enumerate(lines.items()):
        members = sorted(members, key=lambda row: float(row["at"]))
        figures = [row["figures"][part] for row in members]
        # A little apart, so that the intervals of two lines can be told from each other.
        places = [100 * row["at"] + series - (len(lines) - 1) / 2 for row in members]
        means = [100 * given["mean"] for given in figures]
        ends = [given.get("ci95") or (given["mean"], given["mean"]) for given in figures]
        below = [max(0.0, mean - 100 * low) for mean, (low, _) in zip(means, ends, strict=True)]
        above = [max(0.0, 100 * high - mean) for mean, (_, high) in zip(means, ends, strict=True)]
        axes.errorbar(places, means, yerr=[below, above], marker=MARKERS[series % len(MARKERS)],
                      color=COLORS[series % len(COLORS)], capsize=3, label=name)  # fmt: skip
    for row in rows:
        if row["printed"] and part in row["printed"]:
            axes.plot(100 * row["at"], row["printed"][part], "x", color=PRINTED, label="printed in the paper")
    axes.set_xlabel("share of the images in %")
    axes.grid(axis="y", alpha=0.3)
    _once(axes)


def line_of(row: dict[str, Any]) -> str:
    """The line of a curve to which a row belongs."""
    return "without pre-training" if row["changes"].get("before") == "none" and row["at"] else "with pre-training"


def _once(axes: Any) -> None:
    """Of several artists with one label only the first keeps it in the legend."""
    seen: set[str] = set()
    for artist in [*axes.get_lines(), *axes.containers]:
        label = str(artist.get_label())
        if label in seen:
            artist.set_label(f"_{label}")
        seen.add(label)
