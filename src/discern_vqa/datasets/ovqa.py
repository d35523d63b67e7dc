"""OVQA: orthopaedic images from patient records, about 19,000 questions from templates, checked by physicians.

    trainset.json, valset.json, testset.json     one list of records each, in the folder `OVQA_publish/`
    img/                                         the images

    {"qid": 1, "image_name": "0a1b2c.jpg", "image_organ": "LEG", "question": "Is there a fracture?",
     "question_type": "Condition Presence", "answer": "Yes", "answer_type": "CLOSED"}

The paper counts 2,001 images and 19,020 questions, divided 8:1:1; the counts of the splits are not printed there, so
none are checked here. ROOT may be `OVQA_publish/` or the folder above it.

Traps: the field names are VQA-RAD's, the values are not (`question_type` in words; several spellings of OPEN and
CLOSED, with spaces); numbers of questions may start again in each file, so an id is the split with the number; the
only address is a bare number without encryption, and has often been away.

Licence: none is stated; ask the authors before publishing anything with an image. Source: Huang et al., SIGIR 2022,
doi 10.1145/3477495.3531724.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from discern_vqa.data.sample import Sample
from discern_vqa.files import atomic_write_text
from discern_vqa.reading.image_files import Images, tiny_images
from discern_vqa.reading.records import (
    Record,
    collect,
    first_present,
    folder_with,
    json_items,
    no_record,
    present_files,
    require_split,
)

SUMMARY = "OVQA: 2,001 orthopaedic images from patient records, 19,020 questions from templates"
LICENCE = "none stated; ask the authors"
SPLITS = ("train", "validation", "test")
PUBLISHED: dict[str, int] = {}
SOURCE = "from its authors, who give the address in their paper (doi 10.1145/3477495.3531724): ask them, and register"

_FILES = {"train": ("trainset.json",), "validation": ("valset.json",), "test": ("testset.json",)}
_FOLDERS, _IMAGE_FOLDERS = ("", "OVQA_publish"), ("img", "imgs", "images")


def read(root: Path, split: str, *, skipped: list[str] | None = None) -> list[Sample]:
    """The questions of one split, in the file's order.

    `root`: the folder that holds the JSON files and `img/`, or the folder above it.

    Raises DataError: a file or an image is missing, or a record breaks the format (all records are checked first).
    """
    root = Path(root)
    require_split(split, SPLITS, "ovqa")
    folder = folder_with(root, _FOLDERS, _FILES, "OVQA")
    file = folder / _FILES[split][0]
    base = first_present([folder / name for name in _IMAGE_FOLDERS]).relative_to(root).as_posix()
    images = Images(root)

    def samples(record: Record) -> Iterator[Sample]:
        image = f"{base}/{record.text('image_name', verbatim=True)}"
        yield Sample(
            id=f"{split}-{record.text('qid')}",
            split=split,
            image=image,
            path=images.find(image, record.source),
            question=record.text("question"),
            answer=record.text("answer"),
            answer_type=record.answer_type(),
            question_type=(record.text("question_type").upper(),),
            organ=record.text("image_organ").lower(),
            source=record.source,
        )

    return collect(json_items(file), samples, split, skipped, no_record(file, split))


def present(root: Path) -> tuple[str, ...]:
    """The splits whose files are there. Raises DataError when `root` holds no OVQA."""
    return present_files(folder_with(root, _FOLDERS, _FILES, "OVQA"), _FILES)


def write_tiny(root: Path) -> None:
    """Nine records about five images: numbers that start again in each file, spaces and spellings in the types."""
    rows_by_split: dict[str, list[tuple[str | int, ...]]] = {
        "train": [
            ("a1.jpg", "LEG", "Is there a fracture?", "Yes", "CLOSED", "Condition Presence"),
            ("a1.jpg", "LEG", "What is the modality?", "X-ray", "OPEN", "Modality"),
            ("b2.jpg", "HAND", "Which bone is  abnormal?", "scaphoid", "open", "Abnormality"),
            ("b2.jpg", "HAND", "How many fractures are shown?", 2, "OPEN ", "Attribute Other"),
            ("c3.jpg", "CHEST", "Is this a CT or an MRI?", "CT", "Closed", "Modality"),
        ],
        "validation": [
            ("d4.jpg", "HEAD", "In which plane is this image?", "axial", "OPEN", "Plane"),
            ("d4.jpg", "HEAD", "Is the skull intact?", "No", "CLOSED", "Condition Presence"),
        ],
        "test": [
            ("e5.jpg", "LEG", "Is there a fracture?", "No", "CLOSED", "Condition Presence"),
            ("e5.jpg", "LEG", "Which organ is shown?", "knee", "OPEN", "Organ System"),
        ],
    }
    fields = ("image_name", "image_organ", "question", "answer", "answer_type", "question_type")
    tiny_images(root / "img", ("a1.jpg", "b2.jpg", "c3.jpg", "d4.jpg", "e5.jpg"))
    for split, rows in rows_by_split.items():
        records = [{"qid": number, **dict(zip(fields, row, strict=True))} for number, row in enumerate(rows, start=1)]
        atomic_write_text(root / _FILES[split][0], json.dumps(records, indent=1))
