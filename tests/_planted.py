"""Sets of 60 drawn images in which it is known what the answers follow: the pixels, the question alone, or which image
it is. Each as a CSV with the columns image, question and answer."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

IMAGES = 60
SHAPES = ("disc", "stripes", "blank")
WORDS = ("liver", "heart", "kidney", "spleen", "lung", "brain")


def draw(path: Path, shape: str, rng: np.random.Generator) -> None:
    """A grey image of 96 x 96 pixels with a bright disc, stripes or neither, on a ground of its own: without that all
    that show neither would be near-identical."""
    rows, columns = np.mgrid[:96, :96]
    ground = Image.fromarray(rng.integers(20, 110, (6, 6)).astype(np.uint8))
    field = np.asarray(ground.resize((96, 96), Image.Resampling.BICUBIC), dtype=float)
    if shape == "disc":
        centre = rng.integers(35, 61, 2)
        field[(rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < rng.integers(18, 26) ** 2] = 230
    elif shape == "stripes":
        field[(columns + rng.integers(0, 12)) % 12 < 6] = 200
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(field + rng.normal(0, 6, field.shape), 0, 255).astype(np.uint8)).save(path)


def write(folder: Path, follows: str, images: int = IMAGES, seed: int = 0) -> Path:
    """Draws the set and returns its folder. `follows`: "pixels", "question" or "identity"."""
    rng = np.random.default_rng(seed)
    own_answers = rng.permutation(np.resize(["alpha", "beta", "gamma"], images))
    rows = []
    for number in range(images):
        shape = SHAPES[number % 3]
        name = f"images/{number:03}.png"
        draw(folder / name, shape, rng)
        own = str(own_answers[number])  # of this image alone: nothing in it shows it
        for asked in rng.choice(len(WORDS), 5, replace=False):
            word = WORDS[asked]
            question = f"What is seen near the {word}?"
            answer = {"pixels": shape, "question": SHAPES[asked % 3], "identity": own}[follows]
            rows.append((name, question, answer))
    with (folder / "questions.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "question", "answer"), *rows])
    return folder
