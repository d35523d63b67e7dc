"""A JSON file of your own: a list of records with a question each, under any names, next to a folder of images.

    [{"qid": 1, "img_name": "a.png", "question": "Is there a mass?", "answer": "yes", "meta": {"type": "CLOSED"}}, ...]

This is how MEVF, OmniMedVQA and many other projects pass their questions on. Fields are found by their names, or
mapped; the way to a value inside another has dots, and places in a list count from 0:

    discern data audit json train.json --option columns.image=img_name --option columns.answer_type=meta.type
    --option columns.image=images.0 --option "columns.choices=option_A | option_B | option_C | option_D"

Besides a list, the file may hold one object a line; an object that holds the list under a key (`sheet` names it where
there are several); lists under the names of splits; or an object of records by id or by their image's name. A record
may hold a list of its image's questions ({"image": "a.png", "qa": [{"q": ..., "a": ...}]}): each is one. A folder with
train.json, val.json and test.json is read as these splits: an id then begins with its split. Options and repairs are
those of the reader `csv`. Of several answers ("answers": ["ct", "ct", "mri"]) the most frequent is taken;
`extra["answers"]` keeps them all. Other keys go to `extra`.

Traps: conversations are read by `llava`, questions and annotations in two files by `coco_vqa`; a null is a missing
value. Licence: that of your data.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import SPLITS as ALL_SPLITS
from discern_vqa.data.sample import Sample
from discern_vqa.files import atomic_write_text
from discern_vqa.reading import own_table
from discern_vqa.reading.encodings import DEFAULT
from discern_vqa.reading.image_files import tiny_images
from discern_vqa.reading.shapes import LISTS
from discern_vqa.reading.table_options import TableOptions

SUMMARY = "your own data: a JSON list of questions and a folder of images; any names of keys"
LICENCE = "that of your data"
SPLITS = ALL_SPLITS
PUBLISHED: dict[str, int] = {}

FILE = "questions.json"


def read(
    root: Path,
    split: str,
    *,
    columns: Mapping[str, str] | None = None,
    values: Mapping[str, Mapping[str, str]] | None = None,
    images: str = "",
    use_as: str = "train",
    join: str = "",
    sheet: str = "",
    encoding: str = DEFAULT,
    skipped: list[str] | None = None,
) -> list[Sample]:
    """The samples of one split, in the file's order; none when all records belong to other splits.

    Args:
        root: the file, or the folder that holds `questions.json`, a file for each split, or one file.
        columns: field -> key, or the way to the value inside the record.
        values, images, use_as, join, encoding: as in the reader `csv`.
        sheet: the key under which the list of records is, where the file holds several.

    Raises:
        DataError: the file or an image is missing, or a record breaks the format (all records are checked first).
        ConfigError: an option names a field, key, split or encoding that does not exist.
    """
    options = TableOptions(
        reader="json",
        root=Path(root),
        columns=columns or {},
        values=values or {},
        images=images,
        use_as=use_as,
        join=join,
        encoding=encoding,
        sheet=sheet,
    )
    return own_table.read(options, FILE, LISTS, split, skipped)


def present(root: Path) -> tuple[str, ...]:
    """The splits that have a file of their own; all four for a single file. Raises DataError: there is none."""
    return own_table.present_in("json", root, FILE, LISTS)


def write_tiny(root: Path) -> None:
    """Eight records under the names of splits: other cases of names, several answers, choices by letter, null."""
    tiny_images(root / "images", ("a.jpg", "b.jpg", "c.jpg", "d.jpg"))
    records: dict[str, list[dict[str, Any]]] = {
        "pretrain": [{"image": "a.jpg", "caption": "Axial CT with a mass on the left."}],
        "train": [
            {"Image": "a.JPG", "Question": "Is there a mass?", "Answer": "yes", "organ": None},
            {"image": "images/a", "question": "How many are there?", "answer": 2.0, "answer_type": "OPEN"},
            {"image": ["b.jpg"], "question": "CT or MRI?", "answer": "CT", "choices": {"A": "CT", "B": "MRI"}},
        ],
        "val": [
            {"image": "c.jpg", "question": "What is it?", "answer": ["cyst", "a cyst", "cyst"]},
            {"image": "c.jpg", "question": "Is it normal?", "answer": "no", "answer_type": "close-ended"},
        ],
        "test": [
            {"image": "d.jpg", "question": "Is there a mass?", "answer": "no", "source": {"page": 3}},
            {"image": "d.jpg", "question": "How large is it?", "answer": "5.1 cm", "answer_type": "open"},
        ],
    }
    atomic_write_text(root / FILE, json.dumps(records, indent=1))
