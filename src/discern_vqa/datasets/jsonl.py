"""Neutral JSON Lines: one object per line with the field names of `Sample`. For your own data, and to convert to.

    {"id": "7", "split": "train", "image": "images/a.png", "question": "Is there a mass?", "answer": "yes",
     "answer_type": "closed", "question_type": ["PRES"], "organ": "head", "modality": "ct"}

Needed are `image` and either `question` with `answer`, or `caption`. `split` is the option `use_as` and `id` the line's
number where they are not given; `question_type` may be one text ("PRES, POS") or a list; `choices` is a list of texts.
Keys that `Sample` does not have go to `extra`. Keys of other names are mapped; options and repairs are those of the
readers `json` and `csv`.

`image` is the image's identity and, relative to the JSONL file's folder, its place. Where the images lie elsewhere,
`path` says where (relative to the same folder, or absolute); `write` adds it only then. `mask` is relative to the
folder from which `image` is named. Empty lines are passed over.

Traps: an answer that is null or missing is an error, never an empty class; two lines with the same `id` are an error
even when they belong to different splits. Licence: that of your data.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import SPLITS as ALL_SPLITS
from discern_vqa.data.sample import Sample
from discern_vqa.files import atomic_path, atomic_write_text
from discern_vqa.reading import own_table
from discern_vqa.reading.encodings import DEFAULT
from discern_vqa.reading.image_files import tiny_images
from discern_vqa.reading.neutral import record_of
from discern_vqa.reading.neutral import root_of as root_of
from discern_vqa.reading.shapes import LINES
from discern_vqa.reading.table_options import TableOptions

SUMMARY = "your own data: JSON Lines with the field names of a sample (also what `discern data convert` writes)"
LICENCE = "that of your data"
SPLITS = ALL_SPLITS
PUBLISHED: dict[str, int] = {}

FILE = "samples.jsonl"


def read(
    root: Path,
    split: str,
    *,
    columns: Mapping[str, str] | None = None,
    values: Mapping[str, Mapping[str, str]] | None = None,
    images: str = "",
    use_as: str = "train",
    join: str = "",
    encoding: str = DEFAULT,
    skipped: list[str] | None = None,
) -> list[Sample]:
    """The samples of one split, in the file's order; none when all lines belong to other splits.

    Args:
        root: the JSONL file, or the folder that holds `samples.jsonl`, a file for each split, or one file.
        columns: field -> key, or the way to the value inside the line's object.
        values, images, use_as, join, encoding: as in the reader `csv`.

    Raises:
        DataError: the file or an image is missing, no line is usable, or one is broken (all are checked).
        ConfigError: an option names a field, key, split or encoding that does not exist.
    """
    options = TableOptions(
        reader="jsonl",
        root=Path(root),
        columns=columns or {},
        values=values or {},
        images=images,
        use_as=use_as,
        join=join,
        encoding=encoding,
    )
    return own_table.read(options, FILE, LINES, split, skipped)


def present(root: Path) -> tuple[str, ...]:
    """The splits that have a file of their own; all four for a single file. Raises DataError: there is none."""
    return own_table.present_in("jsonl", root, FILE, LINES)


def write(samples: Iterable[Sample], path: Path) -> None:
    """Writes `samples` to the JSONL file `path`, whole or not at all; `read` gives the same samples back.

    The images stay where they are. A line gets a `path` only when `image` does not lie at its name below the file's
    folder: relative when it lies below that folder, absolute otherwise. `source` is not kept: on reading it names the
    line of the new file. Raises ValueError when a key of `extra` has the name of a field.
    """
    path = Path(path)
    with atomic_path(path) as partial, open(partial, "w", encoding="utf-8") as file:
        for sample in samples:
            file.write(json.dumps(_line(sample, path.parent), ensure_ascii=False) + "\n")


def _line(sample: Sample, folder: Path) -> dict[str, Any]:
    record = record_of(sample)
    here, there = folder.resolve(), sample.path.resolve()
    if here / sample.image != there:
        record["path"] = (there.relative_to(here) if there.is_relative_to(here) else there).as_posix()
    return record


def write_tiny(root: Path) -> None:
    """Eight lines about four images: a caption, questions of every split, one key that goes to `extra`."""
    images = [f"images/{name}.png" for name in ("a", "b", "c", "d")]
    tiny_images(root, images)
    questions = [
        ("train", images[0], "Is there a mass?", "yes", "closed", "PRES"),
        ("train", images[0], "Where is the mass?", "left", "open", "POS"),
        ("train", images[1], "Is there a mass?", "no", "closed", "PRES"),
        ("validation", images[2], "Is there a mass?", "no", "closed", "PRES"),
        ("validation", images[2], "How large is the cyst?", "5.1 cm", "open", "SIZE"),
        ("test", images[3], "Is there a mass?", "yes", "closed", "PRES"),
        ("test", images[3], "Where is the mass?", "right", "open", "POS"),
    ]
    lines: list[dict[str, Any]] = [
        {"id": "0", "split": "pretrain", "image": images[0], "caption": "Axial CT with a mass on the left."}
    ]
    fields = ("split", "image", "question", "answer", "answer_type", "question_type")
    for number, row in enumerate(questions, start=1):
        lines.append({"id": str(number), **dict(zip(fields, row, strict=True)), "organ": "head", "site": "tiny"})
    atomic_write_text(root / FILE, "".join(json.dumps(line) + "\n" for line in lines))
