"""CMDPI's Figure 9: the states that a model answers from, laid out by t-SNE and coloured by question type, a panel for
each row, each with its measured separation.

A map bends distances: what can be believed is the silhouette, which is measured on the states. No torch.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from discern_vqa.experiments.figure_files import COLORS, GREY, MARKERS, canvas, foot, heading, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAME = "states"
OTHER = "other types"
ACROSS = 2
CAPTION = (
    "Silhouette: of the question types as groups, by cosine, -1 to 1, measured on the states and not on the map. "
    "Purity: share of questions whose cluster (k-means) is mostly of their type; in brackets, with types assigned at "
    "random."
)


def draw(report: Mapping[str, Any], figures: Mapping[str, Any], out: Path) -> list[Path]:
    """states.png and states.svg in `out`; none where no row has a map.

    figures: of the section, {row: {"map": {"seed", "points": [[x, y], ...], "question_types": [...], "silhouette",
    "purity", "chance"}}}.
    """
    maps = {row: content["map"] for row, content in figures.items() if content.get("map")}
    if not maps:
        return []
    counts = Counter(kind for made in maps.values() for kind in made["question_types"])
    common = [kind for kind, _ in counts.most_common(len(COLORS))]
    across = min(ACROSS, len(maps))
    down = -(-len(maps) // across)
    figure = canvas(4.3 * across, 1.3 + 4.2 * down)
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes in panels[len(maps) :]:
        axes.set_visible(False)
    for axes, (row, made) in zip(panels, maps.items(), strict=False):
        draw_map(axes, np.asarray(made["points"]), made["question_types"], common)
        axes.set_title(f"{row}\n{separation(made)}", fontsize=9)
    foot(figure, panels[: len(maps)], CAPTION)
    heading(
        figure,
        f"{report['title']} ({report['source']})",
        f"t-SNE of the states that {report['n']:,} {report['split']} questions are answered from, seed "
        f"{next(iter(maps.values()))['seed']} of {report['recipe']}; each panel has a layout of its own",
    )
    return save(figure, out, NAME)


def separation(made: Mapping[str, Any]) -> str:
    """What was measured of a map's states, in one line."""
    return f"silhouette {made['silhouette']:+.3f}, purity {made['purity']:.3f} ({made['chance']:.3f})"


def draw_map(axes: "Axes", points: np.ndarray, kinds: Sequence[str], common: Sequence[str]) -> None:
    """A mark for each state in the colour and with the marker of its question type; types that are not in `common` are
    small and grey.

    points: (n, 2). kinds: (n,) the type of each.
    """
    groups = np.array([common.index(kind) if kind in common else -1 for kind in kinds])
    for number, kind in enumerate(common):
        inside = points[groups == number]
        if len(inside):
            axes.scatter(
                inside[:, 0],
                inside[:, 1],
                13,
                COLORS[number],
                marker=MARKERS[number],
                alpha=0.75,
                linewidths=0,
                label=kind or "no type",
            )
    if (groups < 0).any():
        rest = points[groups < 0]
        axes.scatter(rest[:, 0], rest[:, 1], 7, GREY, alpha=0.4, linewidths=0, label=OTHER, zorder=0)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", adjustable="datalim")
