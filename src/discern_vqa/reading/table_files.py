"""Files of one's own as tables: text with columns, workbooks, JSON lists and JSON Lines.

`open_rows` gives the rows one after the other, as they were written; `open_table` the records of a whole table, whose
names are the source's. In these is repaired: white space around cells, and whole numbers that a program wrote with a
decimal ("2.0", where no number of that column has another one).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.imaging.endings import is_image_name
from discern_vqa.reading.columns import field_of
from discern_vqa.reading.encodings import DEFAULT
from discern_vqa.reading.json_lists import Lines, ListOfRecords
from discern_vqa.reading.placeholders import refuse_placeholder
from discern_vqa.reading.records import Record, near_file
from discern_vqa.reading.row import Opening, Row
from discern_vqa.reading.row import Table as Rows
from discern_vqa.reading.shapes import BOOKS, LINES, LISTS, TABLES, TEXTS, UNREAD_SPREADSHEETS
from discern_vqa.reading.text_tables import TextTable
from discern_vqa.reading.workbooks import Book, text_of

_UNREAD = (*UNREAD_SPREADSHEETS, ".pkl", ".db", ".sqlite", ".xml", ".docx", ".pdf")
_KINDS: dict[str, tuple[Callable[[Path, Opening], Rows], tuple[str, ...]]] = {
    **dict.fromkeys(TEXTS, (TextTable, ("delimiter", "encoding"))),
    **dict.fromkeys(BOOKS, (Book, ("sheet",))),
    **dict.fromkeys(LISTS, (ListOfRecords, ("sheet", "encoding"))),
    **dict.fromkeys(LINES, (Lines, ("encoding",))),
}
"""Ending -> how such a file is read, and the options that mean something for it. Others are text, as .txt is."""
_NUMBER, _FLOAT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?"), re.compile(r"-?[0-9]+\.0")


def open_rows(file: Path, opening: Opening) -> Rows:
    """The rows of a table, by the file's ending.

    Raises:
        DataError: the file is missing, of another kind or encoding, or has no names of columns.
        ConfigError: an option is of no use for such a file, or cannot be.
    """
    ending = file.suffix.lower()
    if ending in _UNREAD:
        raise DataError(
            f"{file} is a file of a kind that is not read ({ending})", hint="save it as .xlsx, or as CSV UTF-8"
        )
    if is_image_name(file.name):
        raise DataError(f"{file} ends in {ending}; a table is expected", hint=f"name a file in {', '.join(TABLES)}")
    if not file.is_file():
        what = "is no file" if file.exists() else "is not there"
        raise DataError(f"the file {file} {what}", hint=near_file(file, "name a table of questions"))
    refuse_placeholder(file)
    kind, useful = _KINDS.get(ending, _KINDS[".txt"])
    for name, value in (("delimiter", opening.delimiter), ("sheet", opening.sheet), ("encoding", opening.encoding)):
        if value not in ("", DEFAULT) and name not in useful:
            raise ConfigError(f"{file.name} has no {name}", hint=f"leave out {name}; it takes: {', '.join(useful)}")
    return kind(file, opening)


@dataclass(frozen=True)
class Table:
    """`names` of the columns in their order, or None where each record names its own keys; and the records."""

    names: tuple[str, ...] | None
    records: Iterable[Record | DataError]


def open_table(file: Path, opening: Opening) -> Table:
    """The records of a table. Raises as `open_rows`, and while they are read where the file cannot be read on."""
    table = open_rows(file, opening)
    if not table.names:
        return Table(None, (_of_json(file, row) for row in table.rows()))
    names = _distinct([" ".join(text_of(name).split()) for name in table.names])
    return Table(tuple(names), _of_cells(file, list(table.rows()), names))


def _of_json(file: Path, row: Row) -> Record | DataError:
    source = f"{file.name}:{row.place}"
    if row.problem or row.values is None:
        return DataError(f"{source}: {row.problem}", hint=row.hint)
    return Record(row.values, source, row.line)


def _of_cells(file: Path, rows: Sequence[Row], names: Sequence[str]) -> Iterator[Record | DataError]:
    table = [[text_of(cell).strip() for cell in row.cells] for row in rows]
    whole = [_is_whole(cells[column] for cells in table if column < len(cells)) for column in range(len(names))]
    for row, cells in zip(rows, table, strict=True):
        source = f"{file.name}:{row.place}"
        if row.problem or len(cells) < len(names):
            problem = row.problem or f"{len(cells)} cells for {len(names)} columns"
            hint = row.hint or "is a text that holds a line break without quotes? correct that row"
            yield DataError(f"{source}: {problem}", hint=hint)
            continue
        values = {
            name: text.removesuffix(".0") if is_whole and _FLOAT.fullmatch(text) else text
            for name, text, is_whole in zip(names, cells, whole, strict=True)
            if name and text
        }
        yield Record(values, source, row.line)


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, of which none comes twice, so that no cell is lost: "note", "note (2)". Those of fields stay."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(f"{name} ({seen[name]})" if name and seen[name] > 1 and not field_of(name) else name)
    return distinct


def _is_whole(cells: Iterable[str]) -> bool:
    """Whether a column has whole numbers that were written with a decimal, and no number with another one."""
    numbers = {cell for cell in cells if _NUMBER.fullmatch(cell)}
    decimals = {number for number in numbers if "." in number}
    return bool(decimals) and all(map(_FLOAT.fullmatch, decimals))
