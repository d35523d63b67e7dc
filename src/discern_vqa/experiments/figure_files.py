"""What all figures of an experiment share: colours, markers, type sizes, and how they become files. No torch."""

import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from discern_vqa.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
"""The palette of Okabe and Ito (2008) without its yellow, which is too faint on white: told apart with any kind of
colour vision. Together with the marker seven groups differ twice."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
GREY = "#666666"
"""What was not measured here: printed figures, and what is only context."""
PRINTED = "printed in the paper"
MEASURED = "measured here"
DPI = 150
SMALL = 9.0
"""Size of titles and captions, in 1/72 inch."""
LETTER = 0.54
"""How wide a letter is on average, as a share of its size; a little more than it is, so that no line is too long."""
LINE = 0.17
"""The height of a line of small letters in inches."""
KINDS = ("png", "svg")


def canvas(width: float, height: float) -> "Figure":
    """An empty figure of that size in inches, whose parts make room for each other."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def save(figure: "Figure", out: Path, name: str) -> list[Path]:
    """`out/name.png` and `out/name.svg`. The same figure makes the same files: no date, no random identifiers."""
    from matplotlib import rc_context

    files = []
    for kind in KINDS:
        with atomic_path(out / f"{name}.{kind}") as partial, rc_context({"svg.hashsalt": name}):
            figure.savefig(partial, format=kind, dpi=DPI, metadata={"Date": None} if kind == "svg" else None)
        files.append(out / f"{name}.{kind}")
    return files


def heading(figure: "Figure", title: str, more: str) -> None:
    """The figure's title, and below it a second paragraph, each broken to the figure's width."""
    width = figure.get_figwidth()
    figure.suptitle(f"{wrapped(title, width)}\n{wrapped(more, width)}", fontsize=SMALL)


def foot(figure: "Figure", axes: Iterable["Axes"], caption: str = "") -> None:
    """A caption below the panels, for which the figure grows, and one legend in which every name stands once, however
    many panels have it."""
    from matplotlib.lines import Line2D

    named: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    # What was measured has intervals or areas and comes first; of plain marks the order is as drawn.
    order = sorted(named, key=lambda label: isinstance(named[label], Line2D))
    width = figure.get_figwidth()
    text = wrapped(caption, width)
    figure.set_figheight(figure.get_figheight() + LINE * len(text.splitlines()))
    widest = max(len(label) for label in order) * LETTER * SMALL / 72 + 0.6
    figure.legend(
        [named[label] for label in order],
        order,
        loc="outside lower center",
        ncols=max(1, min(len(order), int(width / widest))),
        title=text or None,
        frameon=False,
        fontsize=SMALL,
        title_fontsize=SMALL,
        alignment="left" if caption else "center",
    )


def wrapped(text: str, width: float) -> str:
    """The text in lines of small letters that fit into `width` inches."""
    return "\n".join(textwrap.wrap(text, max(10, int(width * 72 / (LETTER * SMALL)))))
