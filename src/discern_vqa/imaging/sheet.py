"""A contact sheet: many images on one page, a few words below each. No torch here."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from discern_vqa.files import atomic_path
from discern_vqa.imaging.images import padded

CELL = 256
_TEXT, _GAP, _LINE, _LINES, _LETTERS = 58, 6, 13, 3, 38
_LAST_DRAWN = 0x250  # the font that comes with Pillow draws Latin letters; others would be boxes

Cell = tuple[Image.Image, str]  # an image of any size, and what is written below it


def draw_sheet(cells: Sequence[Cell], out_png: Path, columns: int = 8, rows: int | None = None) -> None:
    """Writes the cells side by side, row by row, each image fitted into a black square of 256 pixels.

    rows: of the page; None for as many as it takes. Cells beyond `columns` x `rows` are left out.
    """
    rows = rows if rows is not None else max(1, -(-len(cells) // columns))
    page = Image.new("RGB", (columns * (CELL + _GAP) + _GAP, rows * (CELL + _TEXT + _GAP) + _GAP), "white")
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(_LINE)
    for k, (image, words) in enumerate(cells[: columns * rows]):
        x = _GAP + k % columns * (CELL + _GAP)
        y = _GAP + k // columns * (CELL + _TEXT + _GAP)
        page.paste(padded(image.convert("RGB"), CELL), (x, y))
        plain = "".join(letter if ord(letter) < _LAST_DRAWN else "·" for letter in words)
        pen.multiline_text(
            (x + 2, y + CELL + 1), "\n".join(textwrap.wrap(plain, _LETTERS)[:_LINES]), "black", font, spacing=1
        )
    with atomic_path(Path(out_png)) as partial:
        page.save(partial, format="PNG")
