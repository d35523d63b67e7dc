"""The phantom set: radiographs, CT- and MR-like slices that the package draws itself, with exact answers and masks.

Layout of ROOT (made by `discern data draw phantom ROOT`):

    phantom.json                  version, seed, size, images per split
    samples.jsonl                 one question or caption a line, in the neutral format
    cases.jsonl                   one image a line: everything it shows, and its masks
    images/<split>/<anatomy>.png  8-bit grey; <anatomy>a.png and <anatomy>b.png are an image pair
    masks/<split>/...             one PNG per image and finding; non-zero pixels are the finding

A record of samples.jsonl:

    {"id": "test-00004a-9", "split": "test", "image": "images/test/00004a.png", "organ": "head", "modality": "ct",
     "group": "test-00004", "question": "On which side is the hemorrhage?", "answer": "left", "answer_type": "open",
     "question_type": ["POS"], "twin": "test-00004-side:hemorrhage", "mask": "masks/test/00004a-hemorrhage.png"}

Traps: left and right are the patient's (the patient's left is on the image's right, as radiologists look at it).
Exactly two samples share a `twin`, one for each image of a pair; both members share one `group` and one split. Captions
are in "pretrain" only. Licence: Apache-2.0, like the package; no patient was involved.
"""

from pathlib import Path
from typing import Any

from discern_vqa.data.sample import SPLITS as SPLITS
from discern_vqa.data.sample import Sample
from discern_vqa.datasets import jsonl
from discern_vqa.datasets.phantom.findings import REGIONS as REGIONS
from discern_vqa.datasets.phantom.sheet import cases
from discern_vqa.datasets.phantom.sheet import contact_sheet as contact_sheet
from discern_vqa.errors import DataError
from discern_vqa.imaging.regions import Region

SUMMARY = "drawn by the package: chest x-ray, head CT/MR and abdominal CT phantoms, exact answers, masks, image pairs"
LICENCE = "Apache-2.0"
PUBLISHED: dict[str, int] = {}


def draw(root: Path, **arguments: Any) -> None:
    """Draws a set into `root` (see `drawing.draw`); the arguments are the fields of `drawing.Arguments`."""
    from discern_vqa.datasets.phantom import drawing

    drawing.draw(root, drawing.Arguments(**arguments))


def read(root: Path, split: str, *, skipped: list[str] | None = None) -> list[Sample]:
    """The questions and captions of a split (see `jsonl.read`). Raises DataError when `root` holds no phantom set."""
    root = Path(root)
    if not (root / jsonl.FILE).exists():
        raise DataError(
            f"{root} holds no phantom set ({jsonl.FILE} is not there)", hint=f"discern data draw phantom {root}"
        )
    return jsonl.read(root, split, skipped=skipped)


def regions(root: Path, image: str) -> list[Region]:
    """The findings in the image `image` (as in `Sample.image`), ordered by label, each with its exact mask.

    Raises DataError when `root` holds no such image.
    """
    root = Path(root)
    masks = next((case["masks"] for case in cases(root) if case["image"] == image), None)
    if masks is None:
        raise DataError(f"{root / 'cases.jsonl'} has no image {image!r}", hint="name it as the samples do")
    return [Region(label=label, is_finding=True, mask=root / mask) for label, mask in sorted(masks.items())]


def write_tiny(root: Path) -> None:
    """A set of 26 images of 32 pixels."""
    draw(root, size=32, counts={"pretrain": 8, "train": 8, "validation": 2, "test": 8}, workers=1)
