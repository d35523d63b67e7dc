"""How well burned-in text is noticed: made-up names and dates burned into real pictures, and the same left untouched.

    python benchmarks/burned_in_text.py FOLDER [--pattern '*/source.jpg'] [--images 200] [--seed 0] [--flagged FILE]

Of `--images` pictures drawn from FOLDER, each gets one line of invented text (a name, a date, a number) in a corner, in
one of four fonts that come with matplotlib, 2.5 to 6 % of the shorter side high, white or light grey, half of the time
on a black box, and saved as JPEG of quality 75 to 95. Printed are the share of these that are noticed, by height of the
letters, and the share of untouched pictures that are flagged. Many published pictures carry real text: look at the
flagged ones (`--flagged` writes their names and places) before calling them false alarms.
"""

import argparse
import io
import random
import time
from pathlib import Path

import matplotlib
from PIL import Image, ImageDraw, ImageFont

from discern_vqa.errors import ImageError
from discern_vqa.imaging.burned_in import text_lines
from discern_vqa.imaging.images import open_image
from discern_vqa.scoring.intervals import wilson

FONTS = ("DejaVuSans.ttf", "DejaVuSansMono.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf")
TEXTS = ("DOE^JANE", "Muster, Max", "12.03.1964 M 058Y", "ID 0815-4711", "St. Elsewhere Hospital", "1987-11-30 14:22")


def burned(picture: Image.Image, draw: random.Random) -> tuple[Image.Image, int]:
    """The picture with one line of invented text, and the letters' height in points of font size."""
    shown = picture.convert("L").copy()
    width, height = shown.size
    size = max(9, round(min(width, height) * draw.uniform(0.025, 0.06)))
    folder = Path(matplotlib.__file__).parent / "mpl-data" / "fonts" / "ttf"
    font = ImageFont.truetype(str(folder / draw.choice(FONTS)), size)
    text = draw.choice(TEXTS)
    _, _, right, bottom = (int(side) for side in font.getbbox(text))
    left, top = draw.choice([4, max(0, width - right - 4)]), draw.choice([4, max(0, height - bottom - 6)])
    pen = ImageDraw.Draw(shown)
    if draw.random() < 0.5:
        pen.rectangle((left - 2, top - 2, left + right + 2, top + bottom + 2), fill=0)
    pen.text((left, top), text, fill=draw.choice([255, 255, 230, 200]), font=font)
    buffer = io.BytesIO()
    shown.save(buffer, "JPEG", quality=draw.randrange(75, 96))
    return Image.open(io.BytesIO(buffer.getvalue())), size


def main() -> None:
    """Measures one folder and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pattern", default="*")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--flagged", type=Path)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    files = sorted(path for path in given.folder.glob(given.pattern) if path.is_file())
    files = draw.sample(files, min(given.images, len(files)))
    noticed: list[tuple[int, bool]] = []
    flagged, untouched, spent = [], 0, 0.0
    for path in files:
        try:
            picture = open_image(path)
        except ImageError as error:
            print(f"left out: {error}")
            continue
        untouched += 1
        started = time.process_time()
        lines = text_lines(picture)
        spent += time.process_time() - started
        if lines:
            flagged.append(f"{path.relative_to(given.folder)} {lines[0]}")
        marked, size = burned(picture, draw)
        noticed.append((size, bool(text_lines(marked))))
    print(f"{given.folder.name}: {untouched} pictures, seed {given.seed}, {1000 * spent / untouched:.0f} ms each")
    for low, high in ((0, 999), (9, 12), (13, 20), (21, 40), (41, 999)):
        found = [hit for size, hit in noticed if low <= size <= high]
        if found:
            name = "of any size" if low == 0 else f"of {low} points on" if high == 999 else f"of {low} to {high} points"
            print(f"  text noticed, letters {name:18} {_share(sum(found), len(found))}")
    print(f"  untouched pictures flagged     {_share(len(flagged), untouched)}")
    if given.flagged:
        given.flagged.write_text("".join(f"{line}\n" for line in flagged), encoding="utf-8")


def _share(part: int, whole: int) -> str:
    low, high = wilson(part, whole)
    return f"{part} of {whole} ({100 * part / whole:.1f} %, 95 % interval {100 * low:.1f} to {100 * high:.1f})"


if __name__ == "__main__":
    main()
