"""The chart of an experiment: every row's accuracy with its interval, and what the paper prints, as PNG and SVG.

Rows that have a place on a curve (`at`) are drawn over it, all others one below the other. It draws what is in the
report and nothing else. No torch.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discern_vqa.experiments.curve_chart import Point, draw_curves
from discern_vqa.experiments.figure_files import COLORS, MEASURED, PRINTED, canvas, foot, heading, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PARTS = ("overall", "open", "closed")
Row = Mapping[str, Any]
"""A row of a report: `name`, `figures` (part -> mean, ci95, values in [0, 1]), `printed` (part -> %)."""


def draw(report: Mapping[str, Any], out: Path) -> list[Path]:
    """chart.png and chart.svg in `out`; none where no row has an answer."""
    rows = [row for row in report["rows"] if row.get("figures")]
    if not rows:
        return []
    parts = [part for part in PARTS if any(part in row["figures"] for row in rows)]
    curve = [row for row in rows if row["at"] is not None]
    height = 4.2 if curve else 1.3 + 0.32 * len(rows)
    figure = canvas(3.6 * len(parts) + (0.6 if curve else 2.2), height)
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    for column, (part, axes) in enumerate(zip(parts, panels, strict=True)):
        if curve:
            _curve(axes, curve, part, report.get("axis", "training"))
            axes.set_ylabel("accuracy in %" if column == 0 else "")
        else:
            draw_rows(axes, rows, part, named=column == 0)
        axes.set_title(part)
        axes.spines[["top", "right"]].set_visible(False)
    foot(figure, panels, report["note"])
    heading(figure, f"{report['title']} ({report['source']})", what_is_drawn(report))
    return save(figure, out, "chart")


def what_is_drawn(report: Mapping[str, Any]) -> str:
    """Unit, seeds, recipe and questions of a report, for below a title."""
    seeds = f"mean of {len(report['seeds'])} seeds" if len(report["seeds"]) > 1 else "one seed"
    return (
        f"accuracy in %, {seeds}, with 95 % intervals over images; {report['recipe']}, {report['split']}, "
        f"{report['n']:,} questions"
    )


def draw_rows(axes: "Axes", rows: Sequence[Row], part: str, *, named: bool) -> None:
    """The rows from top to bottom: interval and mean, below them each seed as a small dot; the printed figure as a
    cross. named: with the rows' names at the marks."""
    for place, row in enumerate(rows):
        if (given := row["figures"].get(part)) is not None:
            low, high = _interval(given)
            axes.plot([100 * low, 100 * high], [place, place], color=COLORS[0], linewidth=1.5)
            axes.plot(100 * given["mean"], place, "o", color=COLORS[0], label=MEASURED)
            axes.plot([100 * value for value in given["values"]], [place + 0.22] * len(given["values"]), ".",
                      color=COLORS[0], alpha=0.6, markersize=4, label="one seed")  # fmt: skip
        if row["printed"] and part in row["printed"]:
            axes.plot(row["printed"][part], place, "x", color=COLORS[1], markeredgewidth=1.6, label=PRINTED)
    axes.set_yticks(range(len(rows)), [row["name"] for row in rows] if named else [""] * len(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)


def _interval(given: Mapping[str, Any]) -> tuple[float, float]:
    """The ends of a figure's interval; the figure itself where none was computed."""
    low, high = given.get("ci95") or (given["mean"], given["mean"])
    return float(low), float(high)


def _curve(axes: "Axes", rows: Sequence[Row], part: str, of_what: str) -> None:
    """A line for each kind of row over how much it learned from; printed figures dashed. of_what: `training` or
    `pre-training`."""
    counted = all(row.get("images") is not None for row in rows)

    def place(row: Row) -> float:
        return float(row["images"]) if counted else 100 * float(row["at"])

    curves: dict[str, list[Point]] = {}
    for row in rows:
        if (given := row["figures"].get(part)) is not None:
            low, high = _interval(given)
            curves.setdefault(line_of(row), []).append(Point(place(row), 100 * given["mean"], 100 * low, 100 * high))
    printed = [(place(row), row["printed"][part]) for row in rows if row["printed"] and part in row["printed"]]
    draw_curves(axes, curves, {PRINTED: printed} if printed else {}, log=counted, unit="" if counted else " %")
    axes.set_xlabel(f"images of {of_what}" if counted else "share of the images")


def line_of(row: Row) -> str:
    """The line of a curve to which a row belongs."""
    if row.get("line"):
        return str(row["line"])
    return "without pre-training" if row["changes"].get("before") == "none" and row["at"] else "with pre-training"
