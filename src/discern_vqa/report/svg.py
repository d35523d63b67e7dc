"""How the report draws: small SVG images that follow the reader's colour scheme. No torch.

Matplotlib draws with placeholder colours, which are replaced by CSS variables in the SVG text.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INK, FAINT = "#010101", "#020202"
SERIES = ("#030303", "#040404", "#050505", "#060606", "#070707", "#080808", "#090909")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Series are told apart by shape as well as by colour."""
_CSS = {INK: "var(--muted)", FAINT: "var(--line)"} | {color: f"var(--c{i})" for i, color in enumerate(SERIES)}
_NOTHING = {"Date": None, "Creator": None, "Format": None, "Type": None}


class Drawing:
    """One pair of axes; `svg` is filled when the block of `drawing` ends."""

    def __init__(self, axes: Any) -> None:
        self.axes, self.svg = axes, ""


@contextmanager
def drawing(name: str, size: tuple[float, float] = (4.1, 2.8)) -> Iterator[Drawing]:
    """`with drawing("loss") as made: made.axes.plot(...)`; then `made.svg`.

    name: what the identifiers inside the SVG are derived from; of one page no two are the same.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": name,
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
        figure = Figure(figsize=size, layout="constrained")
        made = Drawing(figure.add_subplot())
        yield made
        made.axes.spines[["top", "right"]].set_visible(False)
        made.axes.tick_params(length=0)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NOTHING)
    made.svg = _themed(buffer.getvalue(), re.sub(r"\W+", "-", name))


def _themed(svg: str, name: str) -> str:
    """The <svg> element alone, without a size of its own, with the page's colours, its identifiers made its own."""
    head, rest = svg[svg.index("<svg") :].split(">", 1)
    svg = re.sub(r' (?:width|height)="[^"]*"', "", head) + ">" + rest
    replacements = {
        r"(?s)<metadata>.*?</metadata>|<!--.*?-->": "",
        r"font: ([\d.]+)px[^;\"]*": r"font: \1px var(--sans)",
        r'(\bid="|href="#|url\(#)': rf"\g<1>{name}-",
    }
    for pattern, replacement in replacements.items():
        svg = re.sub(pattern, replacement, svg)
    for stand_in, variable in _CSS.items():
        svg = svg.replace(stand_in, variable)
    return svg.strip().replace("<svg ", '<svg aria-hidden="true" ', 1)
