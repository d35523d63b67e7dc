"""How much others pre-trained on, as far as CMDPI's text prints it, beside their printed accuracy. No torch here.

`printed/pretraining_sizes.csv` holds the sizes of its sections 2 and 4.1. For most models of its tables the text gives
no number, only that it is under 120,000 or over 200,000; those cannot be placed on an axis, and are named instead.
"""

import csv
from dataclasses import dataclass

from discern_vqa.scoring.literature import literature, printed


@dataclass(frozen=True)
class Size:
    """A printed number of pre-training samples. bound: "over", "about", "nearly", or "" where the number is exact."""

    model: str
    samples: int
    bound: str
    counted: str

    @property
    def words(self) -> str:
        """As it is printed: `over 10,000`."""
        return f"{self.bound} {self.samples:,}".strip()


@dataclass(frozen=True)
class Sizes:
    """What can be drawn for a data set, and the models that cannot: each with what is missing."""

    placed: tuple[tuple[Size, float], ...]  # with the printed overall accuracy in %
    no_size: tuple[str, ...]  # accuracy printed, size not
    no_accuracy: tuple[Size, ...]  # size printed, accuracy on this data set not


def read() -> list[Size]:
    """All printed sizes, the smallest first."""
    with open(printed("pretraining_sizes"), encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    sizes = [Size(line["model"], int(line["size"]), line["bound"], line["counted"]) for line in lines]
    return sorted(sizes, key=lambda size: (size.samples, size.model))


def sizes(dataset: str) -> Sizes:
    """The printed sizes beside the printed overall accuracy on `dataset`: "vqa_rad" or "slake"."""
    accuracy = {row.model: row.overall for row in literature(dataset) if row.sees_image and row.overall is not None}
    known = read()
    named = {size.model for size in known}
    return Sizes(
        tuple((size, accuracy[size.model]) for size in known if size.model in accuracy),
        tuple(model for model in accuracy if model not in named),
        tuple(size for size in known if size.model not in accuracy),
    )
