"""A workbook of your own: questions in a sheet of Excel (.xlsx), next to a folder of images.

    image              question                 answer   answer_type   split
    scans/0001.png     Is there a fracture?     yes      closed        train

The first row with two names or more names the columns; a title may stand above it. Columns, options and repairs are
those of the reader `csv`; where several sheets hold something, `sheet` says which. Needs openpyxl
(`pip install 'discern-vqa[tables]'`).

A formula gives the value that Excel computed last; without one it is refused where it is needed, and counts elsewhere
as not stated. A merged cell counts for each row that it covers; whole numbers have no decimals, dates are as in ISO
8601, and truth values are TRUE and FALSE (`--option values.answer.TRUE=yes`).

Traps: rows that are hidden by a filter are read too; images that were put into the sheet are not (save them as files);
.xls, .xlsb and .ods are not read: save them as .xlsx. Licence: that of your data.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from discern_vqa.data.sample import SPLITS as ALL_SPLITS
from discern_vqa.data.sample import Sample
from discern_vqa.files import atomic_path
from discern_vqa.reading import own_table, workbooks
from discern_vqa.reading.image_files import tiny_images
from discern_vqa.reading.shapes import BOOKS
from discern_vqa.reading.table_options import TableOptions

SUMMARY = "your own data: a sheet of Excel (.xlsx) and a folder of images; any column names"
LICENCE = "that of your data"
SPLITS = ALL_SPLITS
PUBLISHED: dict[str, int] = {}

FILE = "questions.xlsx"


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
    skipped: list[str] | None = None,
) -> list[Sample]:
    """The samples of one split, in the sheet's order; none when all rows belong to other splits.

    Args:
        root: the workbook, or the folder that holds `questions.xlsx`, a workbook for each split, or one workbook.
        columns, values, images, use_as, join: as in the reader `csv`.
        sheet: the sheet's name; by default the only one that is not empty.

    Raises:
        DataError: the file or an image is missing, or a row breaks the format (all rows are checked first).
        ConfigError: an option names a field, column, split or sheet that does not exist, or openpyxl is not installed.
    """
    options = TableOptions(
        reader="xlsx",
        root=Path(root),
        columns=columns or {},
        values=values or {},
        images=images,
        use_as=use_as,
        join=join,
        sheet=sheet,
    )
    return own_table.read(options, FILE, BOOKS, split, skipped)


def present(root: Path) -> tuple[str, ...]:
    """The splits that have a workbook of their own; all four for a single one. Raises DataError: there is none."""
    return own_table.present_in("xlsx", root, FILE, BOOKS)


def write_tiny(root: Path) -> None:
    """Eight rows about four images below a title: numbers, a merged cell, German types, an empty sheet."""
    tiny_images(root / "scans", ("a.png", "b.png", "c.png", "d.png"))
    rows: list[Sequence[str | int | float | None]] = [
        ("Questions of the ward", None, None, None, None, None),
        ("image", "question", "answer", "answer_type", "Split", "patient"),
        ("scans/a.png", "Is there a mass?", "yes", "geschlossen", "train", 4),
        (None, "Where is the mass?", "left lobe", "offen", "train", 4),
        ("scans/b.png", "How many nodules are there?", 2.0, "offen", "train", 5),
        ("scans/b.png", "Is the heart enlarged?", "no", None, "train", 5),
        ("c", "Is there a mass?", "no", "yes/no", "val", 6),
        ("c", "Which plane?", "axial", "open-ended", "val", 6),
        ("scans\\d.PNG", "Is there a mass?", "yes", "closed", "test", 7),
        ("scans\\d.PNG", "How large is it?", "5.1 cm", "open", "test", 7),
    ]
    book = workbooks.new()
    page = book.active
    for row in rows:
        page.append(row)
    page.merge_cells("A3:A4")
    book.create_sheet("Empty")
    with atomic_path(root / FILE) as partial:
        book.save(partial)
