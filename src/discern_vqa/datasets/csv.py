"""A table of your own: a CSV file of questions next to a folder of images, as a spreadsheet saves it.

    image;question;answer;answer_type;split
    scans/0001.png;Is there a fracture?;yes;closed;train

Needed are the columns `image` and either `question` with `answer`, or `caption`. Columns with the name of another field
of a sample are taken too (`split`, `answer_type`, `question_type`, `organ`, `modality`, `language`, `choices`, `group`,
`patient`, `study`, `id`, ...); columns of other names are mapped, and what is left goes to `extra`:

    discern data audit csv questions.csv --option columns.question=Frage --option columns.image=Datei

`split` may say train, validation (val, valid, dev), test or pretrain; where there is no such column every row is
`use_as`, and `discern data split` or a recipe splits it. A folder with train.csv, val.csv and test.csv is read as these
splits. `answer_type` is understood in five languages ("close-ended", "geschlossen", "oui/non"); other words are mapped:
`--option values.answer_type.A=open`. `choices` are texts between bars ("CT | MRI") or a JSON list. docs/formats.md has
all options, and says how images are found.

Repaired on the way: white space around cells; "\\" between folders becomes "/"; a byte order mark; Excel's line
"sep=;"; "2.0" where a program wrote whole numbers with a decimal. The delimiter is the one of comma, semicolon, tab and
bar that the line of names has most of, or the option `delimiter`. A missing type is derived where the answer is yes or
no, and `extra["derived"]` says so; "nan" and the like count as missing, and `extra["not_stated"]` says where.

Traps: older programs write another encoding, which is refused rather than guessed (`--option encoding=cp1252`); a cell
that holds the delimiter needs quotes around it; "01" may have become "1" before the file was saved. Write no names of
patients into `patient` or `study`: a pseudonym is enough.

Licence: that of your data.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from discern_vqa.data.sample import SPLITS as ALL_SPLITS
from discern_vqa.data.sample import Sample
from discern_vqa.files import atomic_write_text
from discern_vqa.reading import own_table
from discern_vqa.reading.encodings import DEFAULT
from discern_vqa.reading.image_files import tiny_images
from discern_vqa.reading.shapes import TEXTS
from discern_vqa.reading.table_options import TableOptions

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
    values: Mapping[str, Mapping[str, str]] | None = None,
    images: str = "",
    use_as: str = "train",
    join: str = "",
    delimiter: str = "",
    encoding: str = DEFAULT,
    skipped: list[str] | None = None,
) -> list[Sample]:
    """The samples of one split, in the file's order; none when all rows belong to other splits.

    Args:
        root: the table, or the folder that holds `questions.csv`, a table for each split, or one table.
        columns: field -> column, where the column has another name than the field.
        values: field -> {as written: as meant}.
        images: the folder of the images, relative to the table's folder.
        use_as: the split of rows that say none.
        join: another table with a row for each image, relative to the table's folder, whose columns are added.
        delimiter: what stands between columns; by default , ; tab or |, whichever the line of names has most of.
        encoding: of the file.

    Raises:
        DataError: the file or an image is missing, or a row breaks the format (all rows are checked first).
        ConfigError: an option names a field, column, split or encoding that does not exist.
    """
    options = TableOptions(
        reader="csv",
        root=Path(root),
        columns=columns or {},
        values=values or {},
        images=images,
        use_as=use_as,
        join=join,
        encoding=encoding,
        delimiter=delimiter,
    )
    return own_table.read(options, FILE, TEXTS, split, skipped)


def present(root: Path) -> tuple[str, ...]:
    """The splits that have a table of their own; all four for a single table. Raises DataError: there is no table."""
    return own_table.present_in("csv", root, FILE, TEXTS)


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
