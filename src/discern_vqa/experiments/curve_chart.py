"""Lines over a size: for each method its mean at each place with a 95 % interval, printed or reference values dashed.

The data are plain: a method and its `Point`s. Nothing here knows where they come from. No torch.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from discern_vqa.experiments.figure_files import COLORS, GREY, MARKERS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

APART = 0.012
"""How far neighbouring lines are moved apart, as a share of the axis, so that their intervals can be told apart."""
DASHES = ("--", ":", "-.")
ROOM = 0.13
"""The least distance between two numbers below the axis, as a share of it."""


class Point(NamedTuple):
    """A place x, and there the mean and the ends of its interval, in the unit of the vertical axis."""

    x: float
    mean: float
    low: float
    high: float


Curves = Mapping[str, Sequence[Point]]
References = Mapping[str, Sequence[tuple[float, float]]]
"""Name -> (x, y): one value is a line across the whole chart, several are joined."""


def draw_curves(
    axes: "Axes", curves: Curves, references: References | None = None, *, log: bool = False, unit: str = ""
) -> None:
    """Draws every method as a line with intervals, and every reference dashed and in grey.

    Lines keep the order of `curves`, which gives them their colour and marker. A line runs from its smallest size to
    its largest; of one size it is a mark. log: sizes are on a logarithmic axis; where one of them is 0, the axis is
    linear up to the smallest other one. unit: what follows the numbers below the axis, as " %".
    """
    places = sorted({point.x for points in curves.values() for point in points})
    if log:
        positive = [x for x in places if x > 0]
        if places[0] > 0:
            axes.set_xscale("log")
        elif positive:
            axes.set_xscale("symlog", linthresh=positive[0], linscale=0.5)
    forward = axes.transScale.transform
    scaled = {x: float(forward((x, 0.0))[0]) for x in places}
    width = (max(scaled.values()) - min(scaled.values())) or 1.0
    backward = axes.transScale.inverted().transform
    for number, (name, points) in enumerate(curves.items()):
        ordered = sorted(points)
        shift = APART * width * (number - (len(curves) - 1) / 2)
        xs = [float(backward((scaled[point.x] + shift, 0.0))[0]) for point in ordered]
        below = [max(0.0, point.mean - point.low) for point in ordered]
        above = [max(0.0, point.high - point.mean) for point in ordered]
        marker = MARKERS[(number + number // len(COLORS)) % len(MARKERS)]  # no two of 49 lines are alike
        axes.errorbar(
            xs,
            [point.mean for point in ordered],
            yerr=[below, above],
            label=name,
            color=COLORS[number % len(COLORS)],
            marker=marker,
            markersize=5,
            linewidth=1.4,
            elinewidth=1.0,
            capsize=2.5,
        )
    for number, (name, values) in enumerate((references or {}).items()):
        dashes = DASHES[number % len(DASHES)]
        if len(values) == 1:
            axes.axhline(values[0][1], color=GREY, linestyle=dashes, linewidth=1.2, zorder=1, label=name)
        else:
            ordered_values = sorted(values)
            across, up = [x for x, _ in ordered_values], [y for _, y in ordered_values]
            axes.plot(across, up, color=GREY, linestyle=dashes, linewidth=1.2, zorder=1, label=name)
    shown = _ticks(places, scaled, width)
    axes.set_xticks(shown, [f"{x:,.10g}{unit}" for x in shown])
    axes.minorticks_off()
    axes.margins(x=0.06)
    axes.grid(axis="y", alpha=0.3)


def _ticks(places: Sequence[float], scaled: Mapping[float, float], width: float) -> list[float]:
    """The sizes whose numbers have room below the axis; the largest one always."""
    shown: list[float] = []
    last = math.inf
    for x in reversed(places):
        if last - scaled[x] >= ROOM * width:
            shown.append(x)
            last = scaled[x]
    return shown[::-1]
