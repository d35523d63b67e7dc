"""All figures of an experiment's report: the chart of its rows, and those of its sections. Each is drawn from the
report alone, so that a stored report can be drawn again. No torch.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from discern_vqa.experiments import chart, groups, main_table, pretraining_sizes, state_map

ROWS = "rows"
"""Under this name stands the chart of the rows."""
OF_SECTIONS: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any], Path], list[Path]]] = {
    "features": state_map.draw,
    "literature": main_table.draw,
    "sizes": pretraining_sizes.draw,
}
WORDS = {
    ROWS: "Accuracy of each row with its interval",
    "organ": "Accuracy of each row by organ",
    "question_type": "Accuracy of each row by question type",
    "features": "The states that answers are read from, by question type",
    "literature": "Accuracy of each row beside printed results",
    "sizes": "Accuracy against the size of the pre-training set",
}
"""What stands in place of a figure that is not shown."""


def draw(report: Mapping[str, Any], out: Path) -> dict[str, str]:
    """Writes every figure as PNG and SVG into `out`; the PNG's name by its section, the rows' under `ROWS`."""
    files = {ROWS: chart.draw(report, out)}
    for section, by_group in report.get("by", {}).items():
        files[section] = groups.draw(report, section, by_group, out)
    for extra in report.get("extra", []):
        if extra["name"] in OF_SECTIONS:
            files[extra["name"]] = OF_SECTIONS[extra["name"]](report, extra["figures"], out)
    return {section: paths[0].name for section, paths in files.items() if paths}


def shown(section: str, figures: Mapping[str, str]) -> list[str]:
    """The Markdown lines that show a section's figure; none where it has none."""
    return [f"![{WORDS[section]}]({figures[section]})", ""] if section in figures else []
