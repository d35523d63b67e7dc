"""Explanations for people: the table of the methods' scores, and the figure of one answer. No torch here."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from discern_vqa.evaluation.heatmaps import Map, canvas, on_picture, scaled
from discern_vqa.files import atomic_path
from discern_vqa.fonts import fonts_for
from discern_vqa.scoring.tables import aligned, cell

DISCLAIMER = "Research software: not for diagnosis."
BLIND = {"centre": "the middle of the image", "contrast": "its sharpest contrast"}
"""Baselines that are better than chance without a look at the model; a map has to beat them too."""
HALF = 0.5  # the contour encloses what has more than this share of the greatest weight
MISSING = "\N{WHITE SQUARE}"


def measured(scores: Mapping[str, Any] | None, name: str) -> str:
    """What a method was measured to be worth, in a sentence; "" where it was not."""
    if scores is None or name not in scores["methods"]:
        return ""
    rates = {method: figures["pointing"]["mean"] for method, figures in scores["methods"].items()}
    hit = scores["methods"][name]["pointing"]
    blind = {what: rates[method] for method, what in BLIND.items() if method in rates}
    also = "".join(f", {what} in {100 * rate:.0f} %" for what, rate in blind.items())
    worse = any(rate >= hit["mean"] for rate in blind.values())
    return (
        f"Measured: its hottest pixel lay in the region asked about in {100 * hit['mean']:.0f} % of {hit['n']:,} "
        f"{scores['split']} questions; a random pixel does in {100 * scores['chance']:.0f} %{also}."
        + (" It is worth no more here than a map that sees no model." if worse else "")
    )


def as_table(scores: Mapping[str, Any]) -> str:
    """The scores, in %, with what chance gives and what each figure says."""
    rows = [["method", "hits it", "energy in it", "insertion", "deletion", "random weights", "ranks kept"]]
    order = sorted(scores["methods"].items(), key=lambda item: -item[1]["pointing"]["mean"])
    for name, figures in order:
        again = figures.get("random_weights")
        rows.append(
            [
                f"{name} *" if name == scores["best"] else name,
                cell(figures["pointing"], "mean"),
                cell(figures["energy"], "mean"),
                _short(figures.get("insertion")),
                _short(figures.get("deletion")),
                cell(again["pointing"], "mean") if again else "-",
                f"{again['rank_correlation']:+.2f}" if again else "-",
            ]
        )
    by = scores["methods"][scores["best"]]["pointing"]["by"] if scores["best"] else {}
    split = [
        f"{part}: {100 * hit['mean']:.1f} (n {hit['n']:,}, chance {100 * scores['chance_by'][part]['mean']:.1f})"
        for part, hit in by.items()
    ]
    few = next((figures["insertion"]["n"] for _, figures in order if "insertion" in figures), 0)
    return "\n".join(
        [
            f"{scores['split']}: {scores['n']:,} questions about {scores['images']:,} images, of {scores['asked']:,} "
            f"whose region is marked; {100 * scores['right']:.1f} % are answered right; in %, with 95 % intervals",
            "",
            *aligned(rows),
            "",
            f"hits it: the maximum lies in the region, or within {100 * scores['tolerance']:.0f} % of the image's "
            f"longer side; a random pixel does in {100 * scores['chance']:.1f} %",
            f"energy in it: the share of the weights; the regions cover {100 * scores['cover']:.1f} % of the images",
            f"insertion (more is better), deletion (less is better): area under the answer's probability, n {few:,}",
            "random weights: hits it, where the model has learned nothing; ranks kept: correlation of both maps",
            *([f"* best; {'; '.join(split)}"] if split else []),
        ]
    )


def _short(one: Mapping[str, Any] | None) -> str:
    return f"{100 * one['mean']:.1f}" if one else "-"


def _aside(line: str) -> None:
    print(line, file=sys.stderr)


def figure(
    picture: Image.Image, grid: Map, texts: Mapping[str, str], out: Path, say: Callable[[str], None] = _aside
) -> None:
    """The image, and the image with its map, as PNG, SVG or PDF by the ending of `out`.

    texts: `question`, `answer` (with its confidence), `method`, `measured`. say: gets a line where letters cannot be
    shown. The map is drawn in even steps of lightness; the line encloses what has over half of its greatest weight.
    """
    from matplotlib.figure import Figure

    families, texts = shown_by_fonts(texts, out, say)
    width, height = canvas(*picture.size)
    heat = scaled(on_picture(grid, width, height))
    drawing = Figure(figsize=(10, 6), layout="constrained", facecolor="white")
    axes = drawing.subplots(1, 2)
    shown = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    for panel in axes:
        panel.imshow(shown)
        panel.set_axis_off()
    axes[0].set_title("picture", fontsize=10)
    drawn = axes[1].imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.15 + 0.5 * heat)
    axes[1].set_title("heat map", fontsize=10)
    if heat.any():
        axes[1].contour(heat, levels=[HALF], colors="#22d3ee", linewidths=1.4)
    bar = drawing.colorbar(drawn, ax=axes[1], fraction=0.04, pad=0.02, ticks=[0, 1])
    if bar.solids is not None:
        bar.solids.set_alpha(1)
    bar.ax.set_yticklabels(["less", "more"], fontsize=8)
    bar.set_label("weight on the answer (line: half of the most)", fontsize=8)
    words: dict[str, Any] = {"fontfamily": families, "parse_math": False}  # a question may hold $
    drawing.suptitle(f"{texts['question']}\n{texts['answer']}", fontsize=13, x=0.02, ha="left", **words)
    worth = texts["measured"] or "Not measured for this model yet: discern explain RUN --score"
    drawing.supxlabel(f"{texts['method']}\n{worth}\n{DISCLAIMER}", fontsize=8.5, x=0.02, ha="left", **words)
    kind = out.suffix.lstrip(".").lower() or "png"
    with atomic_path(out) as partial:
        drawing.savefig(partial, format=kind, dpi=150)


def shown_by_fonts(
    texts: Mapping[str, str], out: Path, say: Callable[[str], None] = _aside
) -> tuple[list[str], dict[str, str]]:
    """Font families for these texts, and the texts with a square for every letter that none of them has. say: gets a
    line where there are such letters; out: the figure that it names."""
    families, blank = fonts_for("".join(texts.values()))
    if blank:
        letters = "".join(letter for letter in sorted(blank) if letter.isprintable())[:20]
        say(f"{out.name} cannot show {len(blank)} characters ({letters}): no font here has them; try Noto Sans CJK")
    masked = {key: "".join(MISSING if letter in blank else letter for letter in text) for key, text in texts.items()}
    return families, masked
