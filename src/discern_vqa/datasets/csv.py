"""A table of your own: a CSV file of questions next to a folder of images, as a spreadsheet saves it.

    image;question;answer;answer_type;split
    scans/0001.png;Is there a fracture?;yes;closed;train

Needed are the columns `image` and either `question` with `answer`, or `caption`. Columns with the name of another field
of a sample are taken too (`split`, `answer_type`, `question_type`, `organ`, `modality`, `language`, `choices`, `group`,
`patient`, `study`, `id`, ...); columns of other names are mapped, and what is left goes to `extra`:

    discern data audit csv questions.csv --option columns.question=Frage --option columns.image=Datei

`split` may say train, validation (val, valid, dev), test or pretrain; where there is no such column every row is
`use_as`, and `discern data split` or a recipe splits it. `choices` are texts between bars ("CT | MRI") or a JSON list.

Repaired on the way: white space around cells; "\\" between folders becomes "/"; a byte order mark. The delimiter is
the one of comma, semicolon, tab and bar that the first line has most of, or the option `delimiter`.

Traps: Excel's own files are not read (save as "CSV UTF-8"); older programs write another encoding, which is refused
rather than guessed (`--option encoding=cp1252`); a cell that holds the delimiter needs quotes around it; "01" may have
become "1" before the file was saved. Write no names of patients into `patient` or `study`: a pseudonym is enough.

Licence: that of your data.
"""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from discern_vqa.data.sample import SPLITS as ALL_SPLITS
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading.columns import records, tidied
from discern_vqa.reading.image_files import Images, tiny_images
from discern_vqa.reading.neutral import sample_of
from discern_vqa.reading.records import Record, collect, near_file, require_folder, require_split

SUMMARY = "your own data: a table of questions (CSV) and a folder of images; any column names"
LICENCE = "that of your data"
SPLITS = ALL_SPLITS
PUBLISHED: dict[str, int] = {}

FILE = "questions.csv"


def read(
    root: Path,
    split: str,
    *,
    columns: Mapping[str, str] | None = None,
    images: str = "",
    use_as: str = "train",
    delimiter: str = "",
    encoding: str = "utf-8-sig",
    skipped: list[str] | None = None,
) -> list[Sample]:
    """The samples of one split, in the file's order; none when all rows belong to other splits.

    Args:
        root: the table, or the folder that holds `questions.csv` (or one other .csv or .tsv).
        columns: field -> column, where the column has another name than the field.
        images: the folder of the images, relative to the table's folder.
        use_as: the split of rows that say none.
        delimiter: what stands between columns; by default , ; tab or |, whichever the first line has most of.
        encoding: of the file.

    Raises:
        DataError: the file or an image is missing, or a row breaks the format (all rows are checked first).
        ConfigError: an option names a field, column, split or encoding that does not exist.
    """
    require_split(split, SPLITS, "csv")
    if use_as not in SPLITS:
        raise ConfigError(f"use_as is {use_as!r}", hint=f"it is one of: {', '.join(SPLITS)}")
    file = table_of(Path(root))
    images_below = Images(file.parent, "" if images else "images")

    def samples(row: Record) -> Iterator[Sample]:
        record = tidied(row, use_as)
        name = record.text("image", verbatim=True).replace("\\", "/")
        image = f"{images.strip('/')}/{name}" if images else name
        path = file.parent / image
        if record.values["split"] == split:
            path = images_below.find(image, record.source)
            if mask := record.optional("mask", verbatim=True):
                images_below.find(mask, record.source)
        yield sample_of(replace(record, values={**record.values, "image": image}), path)

    hint = "expected a line of column names and a row for each question"
    nothing = DataError(f"{file} has no usable row", hint=hint)
    return collect(records(file, columns or {}, delimiter, encoding), samples, split, skipped, nothing)


def table_of(root: Path) -> Path:
    """The table itself, or the one in a folder. Raises DataError when there is none, or more than one."""
    if root.suffix.lower() in (".csv", ".tsv", ".txt", ".jsonl"):
        return root
    if root.suffix.lower() in (".xlsx", ".xls", ".ods"):
        raise DataError(f"{root} is a spreadsheet in a binary format, which is not read", hint="save it as CSV UTF-8")
    require_folder(root)
    if (root / FILE).exists():
        return root / FILE
    tables = sorted([*root.glob("*.csv"), *root.glob("*.tsv")])
    if len(tables) == 1:
        return tables[0]
    if tables:
        names = ", ".join(table.name for table in tables[:5])
        raise DataError(f"{root} holds {len(tables)} tables: {names}", hint=f"name one: {tables[0]}")
    raise DataError(f"{root} holds no table (.csv or .tsv)", hint=near_file(root / FILE))


def write_tiny(root: Path) -> None:
    """Eight rows about four images: semicolons, quotes, a comma in a cell, a Windows path, splits in other words."""
    tiny_images(root / "scans", ("a.png", "b.png", "c.png", "d.png"))
    fields = ("image", "question", "answer", "answer_type", "Split", "question_type", "choices", "patient", "ward")
    rows = [
        ("scans/a.png", "Is there a mass?", "yes", "CLOSED", "train", "PRES", "", "p1", "3"),
        ("scans/a.png", "Where is the mass, if any?", "left; lower lobe", "open", "train", "POS, PRES", "", "p1", "3"),
        ("scans\\b.png", "CT or MRI?", "CT", "closed", "Train", "MODALITY", "CT | MRI", "p2", ""),
        ("scans/b.png", ' What is  "this"? ', "a cyst", "", "train", "", "", "p2", "4"),
        ("scans/c.png", "Is there a mass?", "no", "closed", "val", "PRES", "", "p3", ""),
        ("scans/c.png", "Which plane?", "axial", "open", "dev", "PLANE", '["axial", "coronal"]', "p3", ""),
        ("scans/d.png", "Is there a mass?", "yes", "closed", "test", "PRES", "", "p4", "4"),
        ("scans/d.png", "How large is it?", "5,1 cm", "open", "test", "SIZE", "", "p4", "4"),
    ]
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=";", lineterminator="\r\n")
    writer.writerow(fields)
    writer.writerows(rows)
    atomic_write_text(root / FILE, "\ufeff" + buffer.getvalue())
