"""A look into a file that may be a table of questions, for `guess`: its kind, encoding, delimiter, columns and rows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from discern_vqa.errors import DataError, DiscernError
from discern_vqa.reading import encodings, parquet, workbooks
from discern_vqa.reading.columns import names_of, reach
from discern_vqa.reading.records import Record
from discern_vqa.reading.shapes import BOOKS, READERS, TABLES, TEXTS, reader_of_keys
from discern_vqa.reading.table_files import open_table
from discern_vqa.reading.table_options import TableOptions
from discern_vqa.reading.text_tables import DELIMITERS

LIKELY_TABLES = frozenset({*TABLES, ".parquet"})
LOOKED_AT = 5000
"""Records that are looked at: enough to know a column, and read in a moment."""
_KINDS = {
    "csv": "a table of text",
    "xlsx": "a workbook of Excel",
    "json": "a list in JSON",
    "jsonl": "JSON Lines",
    "parquet": "Parquet",
    "llava": "conversations",
    "coco_vqa": "questions and annotations as in COCO-VQA",
}


@dataclass(frozen=True)
class Peek:
    """A file as far as it was looked at. `options`: those that its reader needs to open it; `is_cut`: there are more
    records than were looked at."""

    file: Path
    reader: str
    options: dict[str, Any]
    names: tuple[str, ...]
    records: tuple[Record, ...]
    is_cut: bool

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return _KINDS.get(self.reader, self.reader)

    @property
    def title(self) -> str:
        """How the user knows it."""
        return f"{self.file}, sheet {self.options['sheet']}" if "sheet" in self.options else str(self.file)

    @property
    def root(self) -> Path:
        """What its reader is given: the file, or of a pair of files their folder."""
        return self.file.parent if self.reader == "coco_vqa" else self.file

    def texts(self, name: str) -> list[str]:
        """What a column holds, cells that are empty left out."""
        if name not in self._texts:
            self._texts[name] = [text for record in self.records if (text := _text(record, name))]
        return self._texts[name]

    @cached_property
    def _texts(self) -> dict[str, list[str]]:
        return {}


def peeks(file: Path) -> list[Peek]:
    """Looks into a file, and of a workbook with several sheets into each. Raises as `peek`, if that holds for all."""
    names = workbooks.sheets(file) if file.suffix.lower() in BOOKS else []
    if len(names) < 2:
        return [peek(file)]
    tables, errors = [], []
    for name in names:
        try:
            tables.append(peek(file, name))
        except DiscernError as error:  # an empty sheet, or one of notes
            errors.append(error)
    if not tables:
        raise errors[0]
    return tables


def peek(file: Path, sheet: str = "") -> Peek:
    """Looks into a file; `sheet`: of a workbook. Raises DataError, ConfigError where it is no table."""
    ending = file.suffix.lower()
    if ending == ".parquet":
        rows = list(islice(parquet.rows([file], (), others=True), LOOKED_AT + 1))
        records = [Record(row.values, row.source, row.number) for row in rows]
        return _peek(file, "parquet", {}, names_of(record.values for record in records), records)
    reader = READERS.get(ending, "csv")
    options: dict[str, Any] = {"sheet": sheet} if sheet else {}
    if ending in TEXTS or ending in (".json", ".jsonl", ".ndjson"):
        content = file.read_bytes()
        if encoding := encodings.needed(content):
            options["encoding"] = encoding
    if ending in TEXTS and (delimiter := _delimiter(file, options)):
        options["delimiter"] = delimiter
    if ending == ".json" and (records := _pair_of_files(file, options)):
        return _peek(file, "coco_vqa", {}, names_of(record.values for record in records), records)
    table = open_table(file, TableOptions(reader, file, **options))
    records = [record for record in islice(table.records, LOOKED_AT + 1) if isinstance(record, Record)]
    names = list(table.names) if table.names is not None else names_of(record.values for record in records)
    return _peek(file, reader_of_keys(names) or reader, options, names, records)


def _pair_of_files(file: Path, options: dict[str, Any]) -> list[Record]:
    """The questions of a file of COCO-VQA, whose answers are in another one; none where it is no such file."""
    try:
        table = open_table(file, TableOptions("json", file, sheet="questions", **options))
        records = [record for record in islice(table.records, LOOKED_AT + 1) if isinstance(record, Record)]
    except DiscernError:
        return []
    return records if records and "image_id" in records[0].values and "answer" not in records[0].values else []


def _peek(file: Path, reader: str, options: dict[str, Any], names: list[str], records: list[Record]) -> Peek:
    if not records:
        raise DataError(f"{file} has no usable row", hint="expected a row for each question")
    named = tuple(name for name in names if name)
    return Peek(file, reader, options, named, tuple(records[:LOOKED_AT]), len(records) > LOOKED_AT)


def _delimiter(file: Path, options: dict[str, Any]) -> str:
    """The delimiter by which most rows have as many cells as the line of names; "" where the reader's own is as
    good."""

    def whole_rows(delimiter: str) -> tuple[int, int]:
        """(rows that fit, columns)."""
        try:
            table = open_table(file, TableOptions("csv", file, delimiter=delimiter, **options))
        except DataError:
            return 0, 0
        fitting = sum(isinstance(record, Record) for record in islice(table.records, 200))
        return fitting, len(table.names or ())

    usual = whole_rows("")
    best: Callable[[str], tuple[int, int]] = whole_rows
    other = max(DELIMITERS, key=best)
    return other if best(other) > usual else ""


def _text(record: Record, name: str) -> str:
    try:
        value = reach(record.values, name)
    except KeyError:
        return ""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).strip()
