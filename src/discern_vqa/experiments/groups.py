"""CMDPI's Figures 10 and 11: the accuracy of every row within each organ or question type, as bars. No torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discern_vqa.experiments.figure_files import COLORS, canvas, foot, heading, save

BAR = 0.8
"""The height that the bars of a group take together."""


def draw(report: Mapping[str, Any], section: str, groups: Mapping[str, Any], out: Path) -> list[Path]:
    """by_<section>.png and .svg in `out`; none where there is one group or none.

    groups: of `report.by_group`, {group: {"n", "images", "rows": {row: {"mean", "ci95"}}}}.
    """
    if len(groups) < 2:
        return []
    names = list(next(iter(groups.values()))["rows"])
    height = BAR / len(names)
    figure = canvas(8.0, 1.6 + len(groups) * max(0.34, 0.15 * len(names)))
    axes = figure.add_subplot()
    for number, name in enumerate(names):
        places, means, below, above = [], [], [], []
        for place, group in enumerate(groups.values()):
            given = group["rows"][name]
            low, high = given["ci95"]
            places.append(place - BAR / 2 + height * (number + 0.5))
            means.append(100 * given["mean"])
            below.append(100 * max(0.0, given["mean"] - low))
            above.append(100 * max(0.0, high - given["mean"]))
        axes.barh(
            places,
            means,
            0.9 * height,
            xerr=[below, above],
            label=name,
            color=COLORS[number % len(COLORS)],
            hatch="//" if number >= len(COLORS) else "",
            alpha=0.85,
            error_kw={"elinewidth": 1.0, "capsize": 2.0, "ecolor": "#333333"},
        )
    labels = [f"{group}\n{content['n']:,} questions" for group, content in groups.items()]
    axes.set_yticks(range(len(groups)), labels)
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("accuracy in %")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    foot(figure, [axes])
    heading(
        figure,
        f"{report['title']} ({report['source']}), by {section.replace('_', ' ')}",
        f"mean of the seeds with 95 % intervals over images; {report['recipe']}, {report['split']}",
    )
    return save(figure, out, f"by_{section}")
