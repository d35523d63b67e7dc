"""The main table of a paper as a chart: our rows with their intervals, the baselines, and what others print.

It draws the section `literature` of a report. No torch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discern_vqa.experiments.chart import PARTS, Row, draw_rows, what_is_drawn
from discern_vqa.experiments.figure_files import canvas, foot, heading, save

NAME = "table"
CAVEAT = (
    "Crosses are as printed, by different protocols and on different questions (see the table): they cannot be ranked "
    "against each other, nor against what was measured here."
)


def draw(report: Mapping[str, Any], figures: Mapping[str, Any], out: Path) -> list[Path]:
    """table.png and table.svg in `out`; none where nothing is printed on the data set.

    figures: of the section, {"printed": [{"model", "open", "closed", "overall"}, ...]} in %.
    """
    rows = rows_of(report, figures)
    if not figures["printed"]:
        return []
    parts = [part for part in PARTS if any(part in (row["figures"] | (row["printed"] or {})) for row in rows)]
    figure = canvas(2.9 * len(parts) + 2.6, 1.9 + 0.25 * len(rows))
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    for column, (part, axes) in enumerate(zip(parts, panels, strict=True)):
        draw_rows(axes, rows, part, named=column == 0)
        axes.set_title(part)
        axes.spines[["top", "right"]].set_visible(False)
    foot(figure, panels, CAVEAT)
    heading(figure, f"{report['title']}, beside what is printed", what_is_drawn(report))
    return save(figure, out, NAME)


def rows_of(report: Mapping[str, Any], figures: Mapping[str, Any]) -> list[Row]:
    """Our rows, then our baselines, then the printed models, each as a row of `draw_rows`."""
    ours = [row for row in report["rows"] if row.get("figures")]
    baselines = [
        {"name": f"{name} (baseline)", "printed": None, "figures": _measured(parts)}
        for name, parts in report.get("baselines", {}).items()
    ]
    printed = [
        {
            "name": line["model"],
            "figures": {},
            "printed": {part: line[part] for part in PARTS if line[part] is not None},
        }
        for line in figures["printed"]
    ]
    return [*ours, *baselines, *printed]


def _measured(parts: Mapping[str, Any]) -> dict[str, Any]:
    """A baseline's figures in the form of a row's; it has no seeds."""
    return {
        part: {"mean": parts[part]["accuracy"], "ci95": parts[part]["ci95"], "values": []}
        for part in PARTS
        if part in parts and parts[part]["n"]
    }
