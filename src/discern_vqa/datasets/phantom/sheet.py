"""A contact sheet of phantoms: what each of them shows below it, and the borders of its findings on request."""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageFilter

from discern_vqa.errors import DataError
from discern_vqa.files import from_json
from discern_vqa.imaging.sheet import CELL, draw_sheet


def cases(root: Path) -> Iterator[dict[str, Any]]:
    """What each image shows, in the order of cases.jsonl. Raises DataError when `root` holds no whole phantom set."""
    listing = root / "cases.jsonl"
    if not listing.exists():
        raise DataError(f"{listing} does not exist", hint=f"discern data draw phantom {root}")
    try:
        with open(listing, encoding="utf-8") as lines:
            found = [from_json(line) for line in lines if line.strip()]
        for case in found:
            texts = [case["image"], case["split"], *case["masks"], *case["masks"].values()]
            if not all(isinstance(text, str) for text in texts):
                raise ValueError("an image lacks what it shows")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{listing} is damaged: {error}", hint=f"discern data draw phantom {root}") from error
    yield from found


def contact_sheet(
    root: Path, split: str, out_png: Path, columns: int = 8, rows: int = 5, outline: bool = False
) -> None:
    """Writes images of one split side by side, what each shows below it; `outline` draws the masks' borders in red.

    Raises DataError when `root` holds no phantom set.
    """
    root = Path(root)
    cells = []
    cases_of_split = (case for case in cases(root) if case["split"] == split)
    for case in islice(cases_of_split, columns * rows):
        image = Image.open(root / case["image"]).convert("RGB").resize((CELL, CELL), Image.Resampling.BICUBIC)
        if outline:
            for name in case["masks"].values():
                _border(image, Image.open(root / name))
        cells.append((image, f"{Path(case['image']).stem} {describe(case)}"))
    draw_sheet(cells, out_png, columns, rows)


def describe(case: Mapping[str, Any]) -> str:
    """One line on what a case shows."""
    how = case["sequence"] + (" + contrast" if case["contrast"] else "")
    found = []
    for finding in case["findings"]:
        number = f"{finding['count']}x" if finding["count"] > 1 else ""
        place = [] if finding["count"] > 1 else [finding["side"], finding["zone"]]
        found.append(" ".join(word for word in (number, finding["size"], *place, finding["kind"]) if word))
    return f"{how}: {', '.join(found) or 'normal'}"


def _border(image: Image.Image, mask: Image.Image) -> None:
    large = mask.convert("L").resize(image.size, Image.Resampling.NEAREST)
    edge = ImageChops.subtract(large.filter(ImageFilter.MaxFilter(3)), large)
    image.paste((255, 40, 40), mask=edge.point(lambda value: 255 if value else 0))
