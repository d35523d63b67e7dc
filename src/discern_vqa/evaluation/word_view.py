"""The figure of a question's words: for each of them the image, with the weights of the alignment over its cells. No
torch here."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from discern_vqa.evaluation.explain_view import DISCLAIMER, in_lines, shown_by_fonts
from discern_vqa.evaluation.heatmaps import Map, canvas, on_picture
from discern_vqa.files import atomic_path

ACROSS = 5
PANEL = 2.2
"""The side of a word's panel in inches."""
DPI = 150


def times_even(grid: Map) -> Map:
    """How many times an even share of the word's weight each cell has: 1 everywhere says that it was found nowhere."""
    return grid * grid.size / max(float(grid.sum()), 1e-12)


def figure(picture: Image.Image, words: Sequence[tuple[str, Map]], texts: Mapping[str, str], out: Path) -> None:
    """A panel for each word, as PNG, SVG or PDF by the ending of `out`; all share one scale of colours.

    texts: `question`, `answer` (with its confidence), `measured`.
    """
    from matplotlib.figure import Figure

    named = {str(number): word for number, (word, _) in enumerate(words)}
    families, shown = shown_by_fonts({**texts, **named}, out)
    letters = {"fontfamily": families, "parse_math": False}  # a question may hold $
    width, height = canvas(*picture.size)
    image = picture.convert("L").resize((width, height), Image.Resampling.LANCZOS)
    across = min(ACROSS, len(words))
    down = -(-len(words) // across)
    inches = max(6.0, PANEL * across)
    drawing = Figure(figsize=(inches, 1.7 + (PANEL * height / width + 0.3) * down), layout="constrained")
    panels = drawing.subplots(down, across, squeeze=False).ravel()
    most = max(2.0, *(float(times_even(grid).max()) for _, grid in words))
    for number, axes in enumerate(panels):
        axes.set_axis_off()
        if number >= len(words):
            continue
        heat = on_picture(times_even(words[number][1]), width, height, Image.Resampling.NEAREST)
        axes.imshow(image, cmap="gray", vmin=0, vmax=255)
        drawn = axes.imshow(heat, cmap="viridis", vmin=0, vmax=most, alpha=0.15 + 0.5 * np.clip(heat / most, 0, 1))
        axes.set_title(shown[str(number)], fontsize=10, **letters)
    bar = drawing.colorbar(drawn, ax=list(panels), fraction=0.03, pad=0.01)
    if bar.solids is not None:
        bar.solids.set_alpha(1)
    bar.set_label("weight of a cell, times an even share", fontsize=8)
    above = in_lines((shown["question"], shown["answer"]), inches, 11)
    drawing.suptitle(above, fontsize=11, x=0.02, ha="left", **letters)
    worth = shown["measured"] or "Not measured for this model yet: discern explain RUN --score --methods word_cells"
    about = "In which cells of the image each word of the question is found"
    below = in_lines((about, worth, DISCLAIMER), inches, 8.5)
    drawing.supxlabel(below, fontsize=8.5, x=0.02, ha="left", **letters)
    with atomic_path(out) as partial:
        drawing.savefig(partial, format=out.suffix.lstrip(".").lower() or "png", dpi=DPI)
