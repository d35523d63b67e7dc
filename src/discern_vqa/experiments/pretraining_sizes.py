"""CMDPI's Figure 1: accuracy against the size of the pre-training set, of others as printed and of our own rows.

A model whose size is not printed has no place on the axis; it is named under the figure. No torch.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discern_vqa.experiments.figure_files import COLORS, GREY, MARKERS, MEASURED, SMALL, canvas, foot, heading, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

NAME = "pretraining_sizes"
PAPERS_MODEL = "CMDPI"
SIDES = (
    (7, 0, "left", "center"),
    (-7, 0, "right", "center"),
    (0, 7, "center", "bottom"),
    (0, -7, "center", "top"),
    (6, 7, "left", "bottom"),
    (-6, 7, "right", "bottom"),
    (6, -7, "left", "top"),
    (-6, -7, "right", "top"),
)
"""Where a name may stand beside its mark, the usual place first: offsets in 1/72 inch, and how it is aligned."""
MARK = 3.0
"""Half the width of a mark, in 1/72 inch: a name keeps this distance from it."""


def draw(report: Mapping[str, Any], figures: Mapping[str, Any], out: Path) -> list[Path]:
    """pretraining_sizes.png and .svg in `out`.

    figures: of the section, {"dataset", "placed": [{"model", "samples", "printed_size", "overall"}, ...] in %,
    "ours": {row: samples}, "no_size": [names], "no_accuracy": [names]}. The accuracies of our rows are the report's.
    """
    figure = canvas(8.0, 5.2)
    axes = figure.add_subplot()
    placed = figures["placed"]
    measured = {row["name"]: row["figures"]["overall"] for row in report["rows"] if "overall" in row.get("figures", {})}
    ours = {name: samples for name, samples in figures["ours"].items() if name in measured}
    _scale(axes, [*(line["samples"] for line in placed), *ours.values()])
    for line in placed:
        is_paper = line["model"] == PAPERS_MODEL
        axes.plot(
            line["samples"], line["overall"], "*" if is_paper else "x", color=COLORS[1] if is_paper else GREY,
            markersize=12 if is_paper else 7, markeredgewidth=1.6,
            label="printed: CMDPI" if is_paper else "printed: other models",
        )  # fmt: skip
    for number, (name, samples) in enumerate(ours.items()):
        mean, (low, high) = measured[name]["mean"], measured[name]["ci95"]
        axes.errorbar(
            samples, 100 * mean, yerr=[[100 * max(0.0, mean - low)], [100 * max(0.0, high - mean)]], capsize=3,
            fmt=MARKERS[number % len(MARKERS)], color=COLORS[0], label=f"{MEASURED}: {name}",
        )  # fmt: skip
    axes.set_xlabel("samples of the pre-training")
    axes.set_ylabel(f"overall accuracy on {figures['dataset']} in %")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.1)
    foot(figure, [axes], missing(figures))
    heading(
        figure,
        "Accuracy against the size of the pre-training set (CMDPI Fig. 1)",
        "others as printed, on different questions and by different protocols; measured here with 95 % intervals",
    )
    names = [(line["samples"], line["overall"], f"{line['model']} ({line['printed_size']})") for line in placed]
    label_apart(figure, axes, names)
    return save(figure, out, NAME)


def missing(figures: Mapping[str, Any]) -> str:
    """The sentences under the figure: which models are not drawn, and why."""
    reasons = {
        "Not drawn, since no size of their pre-training is printed: ": figures["no_size"],
        "Not drawn, since their accuracy on this data set is not printed: ": figures["no_accuracy"],
    }
    return " ".join(f"{reason}{', '.join(models)}." for reason, models in reasons.items() if models)


def _scale(axes: "Axes", samples: Sequence[int]) -> None:
    """A logarithmic axis; linear up to its smallest size where a row had no pre-training."""
    positive = [number for number in samples if number > 0]
    decades = [10**power for power in range(math.floor(math.log10(min(positive))), 9) if 10**power <= max(positive)]
    if min(samples) > 0:
        axes.set_xscale("log")
        axes.set_xlim(min(positive) / 2, max(positive) * 2)
        ticks = [number for number in decades if number >= min(positive) / 2]
    else:
        axes.set_xscale("symlog", linthresh=min(positive), linscale=0.4)
        axes.set_xlim(-0.3 * min(positive), max(positive) * 2)
        ticks = [0, *(number for number in decades if number > min(positive))]
    axes.set_xticks(ticks, [f"{number:,}" for number in ticks])
    axes.minorticks_off()


def label_apart(figure: "Figure", axes: "Axes", names: Sequence[tuple[float, float, str]]) -> list["Annotation"]:
    """Writes each name beside its mark (x, y), on the first side where it covers no mark, no other name, and nothing
    outside of the axes; on its usual side where every side is taken."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()  # the layout is known only now
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    inside = axes.get_window_extent(renderer)
    marks = [axes.transData.transform((x, y)) for x, y, _ in names]
    marks += [axes.transData.transform(point) for line in axes.get_lines() for point in line.get_xydata()]  # type: ignore[union-attr]
    taken: list[Bbox] = []
    made = []
    for x, y, name in names:
        candidates = [_written(axes, (x, y), name, side) for side in SIDES]
        boxes = [text.get_window_extent(renderer).padded(MARK * figure.dpi / 72) for text in candidates]
        free = (
            number
            for number, box in enumerate(boxes)
            if inside.x0 <= box.x0
            and box.x1 <= inside.x1
            and not any(box.overlaps(other) for other in taken)
            and not any(box.contains(*mark) for mark in marks)
        )
        chosen = next(free, 0)
        for number, text in enumerate(candidates):
            if number != chosen:
                text.remove()
        taken.append(boxes[chosen])
        made.append(candidates[chosen])
    return made


def _written(axes: "Axes", mark: tuple[float, float], name: str, side: tuple[float, float, str, str]) -> "Annotation":
    """A name on one side of its mark; it takes no room from the axes."""
    dx, dy, ha, va = side
    text = axes.annotate(name, mark, (dx, dy), textcoords="offset points", ha=ha, va=va, fontsize=SMALL)
    text.set_in_layout(False)
    return text
