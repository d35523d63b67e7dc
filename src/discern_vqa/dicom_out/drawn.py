"""A page for people: the image as the model saw it | the answer and how far to trust it | the heat map, if any.

Nothing is ever drawn over the image itself: the heat map lies over a copy of it, on the other side of the text. Who the
patient is does not stand on the page; the archive shows that beside it, from the object's own header.
"""

import io
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from discern_vqa.data.judged import shown_share
from discern_vqa.dicom_out.reported import DISCLAIMER, HeatMap, Reported, RunInfo
from discern_vqa.fonts import fonts_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES, DPI = (12.8, 6.4), 100
"""1280 x 640 pixels as an image."""
BANNER = "AI, research only: not for diagnosis"
_UNSHOWN = "\N{WHITE SQUARE}"  # for a letter that no font here has
_TOP = 0.90  # where the text begins, as a share of the page's height
_SCALES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)  # of letters; in the last one even the longest text fits
_SIDE = 900  # pixels; a larger image is drawn from a smaller copy
_WIDE = {False: 56, True: 42}  # letters on a line of the text, without and with a heat map beside it
_MOST_LINES = {"question": 5, "answer": 4, "reason": 3, "promise": 8, "note": 3, "about": 6}


def page(image: Image.Image, one: Reported, run: RunInfo) -> "Figure":
    """The page of one question. image: as the model saw it, "RGB" or "L"."""
    from matplotlib.figure import Figure

    has_map = one.heat is not None
    lines = _fitting_lines(one, run, _WIDE[has_map])
    families, blank = fonts_for("".join(text for text, _, _ in lines))
    drawing = Figure(figsize=INCHES, dpi=DPI, facecolor="white")
    drawing.text(0.5, 0.965, BANNER, ha="center", va="center", fontsize=12, color="white", backgroundcolor="#b91c1c")
    places = [(0.01, 0.03, 0.32, 0.88), (0.67, 0.03, 0.32, 0.88)] if has_map else [(0.01, 0.03, 0.44, 0.88)]
    shown = _smaller(image)
    for place in places:
        panel = drawing.add_axes(place)
        panel.set_axis_off()
        panel.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        if place is not places[0] and one.heat is not None:
            panel.set_title("heat map, over a copy", fontsize=9)
            _draw_map(panel, one.heat, shown.width, shown.height)
        else:
            panel.set_title("image as the model saw it", fontsize=9)
    left, top = (0.345 if has_map else 0.47), _TOP
    for text, size, weight in lines:
        masked = "".join(_UNSHOWN if letter in blank else letter for letter in text)
        drawing.text(
            left, top, masked, fontsize=size, fontweight=weight, va="top", fontfamily=families, parse_math=False
        )
        top -= _height(text, size)
    return drawing


def pixels(drawing: "Figure") -> NDArray[np.uint8]:
    """The page as (rows, columns, 3) of 8 bits."""
    content = io.BytesIO()
    drawing.savefig(content, format="rgba", dpi=DPI)
    width, height = (round(side * DPI) for side in INCHES)
    return np.frombuffer(content.getvalue(), np.uint8).reshape(height, width, 4)[..., :3].copy()


def as_pdf(drawings: Sequence["Figure"], run: RunInfo) -> bytes:
    """The pages as one PDF, which names neither patient nor file."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import PdfPages

    content = io.BytesIO()
    about = {"Title": BANNER, "Creator": f"discern-vqa {run.version}", "CreationDate": run.made_at}
    with rc_context({"pdf.fonttype": 42}), PdfPages(content, metadata=about) as pages:
        for drawing in drawings:
            pages.savefig(drawing)
    return content.getvalue()


def _fitting_lines(one: Reported, run: RunInfo, wide: int) -> list[tuple[str, float, str]]:
    """The text in the largest letters in which all of it is on the page: who answered stands at its end."""
    for scale in _SCALES:
        lines = _lines(one, run, wide, scale)
        if sum(_height(text, size) for text, size, _ in lines) <= _TOP:
            break
    return lines


def _breadth(text: str) -> float:
    """How broad its letters are on the average, against small Latin ones: Chinese ones are about twice as broad."""
    broad = [
        2.0 if unicodedata.east_asian_width(letter) in "WF" else 1.4 if letter.isupper() else 1.0 for letter in text
    ]
    return sum(broad) / len(broad) if broad else 1.0


def _height(text: str, size: float) -> float:
    """The share of the page that a block of text takes, with the space below it."""
    return (text.count("\n") + 1) * size * 1.25 / (INCHES[1] * 72) + 0.0015 * size


def _lines(one: Reported, run: RunInfo, wide: int, scale: float) -> list[tuple[str, float, str]]:
    """Blocks of text from top to bottom, each with its size and weight."""
    verdict = one.verdict

    def block(kind: str, text: str, size: float, weight: str = "normal") -> tuple[str, float, str]:
        size *= scale
        plain = " ".join(text.split())
        letters = max(8, round(wide * 11 / size / _breadth(plain)))
        wrapped = textwrap.wrap(plain, letters, max_lines=_MOST_LINES[kind], placeholder=" ...", break_long_words=True)
        return "\n".join(wrapped), size, weight

    kind = "confidence" if verdict.is_calibrated else "score, not calibrated:"
    sure = f"{kind} {shown_share(verdict.confidence)}"
    lines = [block("question", one.question, 12, "bold")]
    if verdict.abstains:
        lines.append(block("answer", "The model abstains from an answer.", 15, "bold"))
        lines.append(block("reason", f"Reason: {verdict.reason or 'none is stated'}.", 11))
        lines.append(block("answer", f"Best guess, not given as an answer: {verdict.answer} ({sure})", 11))
    else:
        lines.append(block("answer", verdict.answer, 18, "bold"))
        lines.append(block("answer", sure, 12))
    if verdict.promise:
        lines.append(block("promise", f"{verdict.promise}.", 10))
    lines += [block("note", f"NOTE: {note}", 9) for note in one.notes[:2]]
    if one.heat is not None:
        lines.append(block("about", f"Heat map: {one.heat.about}", 8.5))
    mode = f", mode {one.mode}" if one.mode else ""
    by = f"Answered by discern-vqa {run.version}, {run.model}, run {run.name}{mode}, on {run.made_at:%Y-%m-%d %H:%M}."
    lines.append(block("about", by, 8.5))
    lines.append(block("about", f"Weights: sha256 {run.weights[:16]}...", 8.5))
    lines.append(block("about", DISCLAIMER, 11, "bold"))
    return lines


def _smaller(image: Image.Image) -> Image.Image:
    if max(image.size) <= _SIDE:
        return image
    copy = image.copy()
    copy.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    return copy


def _draw_map(panel: "object", heat: HeatMap, width: int, height: int) -> None:
    from matplotlib.axes import Axes

    assert isinstance(panel, Axes)
    small = Image.fromarray(np.asarray(heat.weights, dtype=np.float32))
    weights = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR)).clip(0, 1)
    panel.imshow(weights, cmap="inferno", vmin=0, vmax=1, alpha=0.15 + 0.5 * weights)
