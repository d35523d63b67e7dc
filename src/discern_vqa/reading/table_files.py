"""Files of one's own as tables: text with columns, workbooks, JSON lists and JSON Lines. Their names are the source's.

Repaired on the way: white space around cells; Excel's line "sep=;" before the names; whole numbers that a program wrote
with a decimal ("2.0", where no number of that column has another one). JSON may be one list, one object a line, or an
object that holds a list under a key, under several keys that are called like splits, or an object of objects by id.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discern_vqa.errors import ConfigError, DataError, did_you_mean
from discern_vqa.reading import spellings, workbooks
from discern_vqa.reading.columns import field_of
from discern_vqa.reading.encodings import read_table_text
from discern_vqa.reading.records import Record, json_lines, one_line, parse_json, require_record, shown
from discern_vqa.reading.shapes import UNREAD_SPREADSHEETS
from discern_vqa.reading.table_options import TableOptions
from discern_vqa.reading.tables import rows

DELIMITERS = (",", ";", "\t", "|")
TEXTS, LISTS, LINES = (".csv", ".tsv", ".txt"), (".json",), (".jsonl", ".ndjson")
ENDINGS = (*TEXTS, *workbooks.ENDINGS, *LISTS, *LINES)
_UNREAD = (*UNREAD_SPREADSHEETS, ".pkl", ".db", ".sqlite", ".xml", ".docx", ".pdf")

_SEPARATOR = re.compile(r"sep=(.)[ \t]*", re.IGNORECASE)
_NUMBER, _FLOAT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?"), re.compile(r"-?[0-9]+\.0")


@dataclass(frozen=True)
class Table:
    """`names` of the columns in their order, or None where each record names its own keys; and the records."""

    names: tuple[str, ...] | None
    records: Iterable[Record | DataError]


def open_table(file: Path, options: TableOptions) -> Table:
    """The table in a file, by the file's ending.

    Raises:
        DataError: the file is missing, of another kind or encoding, or has no names of columns.
        ConfigError: an option does not fit the file.
    """
    ending = file.suffix.lower()
    if ending in workbooks.ENDINGS:
        choose = options.command(sheet="SHEET").replace("SHEET", "{}")
        return _from_cells(file, workbooks.sheet_rows(file, options.sheet, choose), "row ", "the row of names")
    if ending in _UNREAD:
        raise DataError(
            f"{file} is a file of a kind that is not read ({ending})", hint="save it as .xlsx, or as CSV UTF-8"
        )
    text = read_table_text(file, options.encoding, lambda encoding: options.command(encoding=encoding))
    if ending in LISTS:
        return Table(None, _json_records(file, text, options))
    if ending in LINES:
        hint = "each line must be one whole JSON object (no list around them, no commas between them)"
        return Table(None, json_lines(file, text, hint))
    return _delimited(file, text, options)


def _delimited(file: Path, text: str, options: TableOptions) -> Table:
    above, _, below = text.partition("\n")
    stated = _SEPARATOR.fullmatch(above.strip().strip('"'))
    body, first = (below, 2) if stated else (text, 1)
    names = next((line for line in body.split("\n") if line.strip()), "")
    delimiter = options.delimiter or (stated[1] if stated else max(DELIMITERS, key=names.count))
    expected = f"columns are separated by {delimiter!r}; put quotes around a text that holds one"
    return _from_cells(file, rows(file, delimiter, body, first), "", expected)


def _from_cells(file: Path, table: Iterator[tuple[int, list[str]]], place: str, expected: str) -> Table:
    """A table whose first row names the columns. In a workbook (`place` is not "") a title may stand above them."""
    names: list[str] = []
    for _, cells in table:
        names = [" ".join(cell.split()) for cell in cells]
        if not place or sum(map(bool, names)) > 1:
            break
    if sum(map(bool, names)) < 2:
        raise DataError(
            f"{file} has no line of column names: the first line is {shown(','.join(names))}",
            hint="expected e.g. image,question,answer; give another delimiter with --option delimiter=';'",
        )
    while place and not names[-1]:
        names.pop()
    names = _distinct(names)
    return Table(tuple(names), _records(file, list(table), names, place, expected))


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, of which none comes twice, so that no cell is lost: "note", "note (2)". Those of fields stay."""
    seen: Counter[str] = Counter()
    distinct = []
    for name in names:
        seen[name] += 1
        distinct.append(f"{name} ({seen[name]})" if name and seen[name] > 1 and not field_of(name) else name)
    return distinct


def _records(
    file: Path, table: Sequence[tuple[int, list[str]]], names: Sequence[str], place: str, expected: str
) -> Iterator[Record | DataError]:
    whole = [_is_whole([cells[column] for _, cells in table if column < len(cells)]) for column in range(len(names))]
    for number, cells in table:
        source = f"{file.name}:{place}{number}"
        if place:
            cells = [*cells, *[""] * (len(names) - len(cells))]
            surplus = any(cells[len(names) :])
        else:
            surplus = len(cells) != len(names)
        if surplus:
            filled = len(cells) if not place else max(column for column, cell in enumerate(cells, 1) if cell)
            yield DataError(f"{source}: {filled} columns; the line of names has {len(names)}", hint=expected)
            continue
        texts = (cell.strip() for cell in cells)
        values = {
            name: text.removesuffix(".0") if is_whole and _FLOAT.fullmatch(text) else text
            for name, text, is_whole in zip(names, texts, whole, strict=False)
            if name and text
        }
        yield Record(values, source, number)


def _is_whole(cells: Iterable[str]) -> bool:
    """Whether a column has whole numbers that were written with a decimal, and no number with another one."""
    numbers = {cell.strip() for cell in cells if _NUMBER.fullmatch(cell.strip())}
    decimals = {number for number in numbers if "." in number}
    return bool(decimals) and all(map(_FLOAT.fullmatch, decimals))


def _json_records(file: Path, text: str, options: TableOptions) -> Iterator[Record | DataError]:
    try:
        content = parse_json(text, str(file))
    except DataError:
        first = text.lstrip().split("\n", 1)
        if len(first) == 2 and _is_object(first[0]):  # JSON Lines in a file that is called .json
            return json_lines(file, text)
        raise
    return _items(file, content, options)


def _is_object(line: str) -> bool:
    try:
        return isinstance(parse_json(line, "", lines=False), dict)
    except DataError:
        return False


def _items(file: Path, content: object, options: TableOptions) -> Iterator[Record | DataError]:
    """The records of JSON's content, in whichever of the forms above."""
    if isinstance(content, list):
        if options.sheet:
            raise ConfigError(
                f"{file} holds a list, which has no key {options.sheet!r}", hint=options.command(sheet="")
            )
        yield from _listed(file, content, "item ", {})
        return
    if not isinstance(content, Mapping):
        raise DataError(f"{file} holds {shown(content)}; expected records", hint='for example [{"image": "a.png"}]')
    lists = {key: value for key, value in content.items() if _is_records(value)}
    if options.sheet:
        if options.sheet not in lists:
            listed = f"there are: {one_line(', '.join(lists)) or 'none'}"
            hint = did_you_mean(options.sheet, lists, listed)
            raise ConfigError(f"{file} has no list of records under {options.sheet!r}", hint=hint)
        yield from _listed(file, content[options.sheet], f"{options.sheet} item ", {})
    elif lists and all(map(spellings.split_name, lists)):
        before = 0
        for key, records in lists.items():
            yield from _listed(file, records, f"{key} item ", {"split": key}, before)
            before += len(records)
    elif len(lists) == 1:
        key, records = next(iter(lists.items()))
        yield from _listed(file, records, f"{key} item ", {})
    elif lists:
        raise DataError(
            f"{file} holds lists of records under several keys: {one_line(', '.join(lists))}",
            hint=options.command(sheet=next(iter(lists))),
        )
    elif content and all(isinstance(value, Mapping) for value in content.values()):
        for number, (key, values) in enumerate(content.items(), start=1):
            yield Record({"id": key, **values}, f"{file.name}:item {number}", number)
    else:
        yield Record(content, f"{file.name}:item 1", 1)


def _is_records(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _listed(
    file: Path, records: Sequence[object], place: str, more: Mapping[str, Any], before: int = 0
) -> Iterator[Record | DataError]:
    for number, values in enumerate(records, start=1):
        try:
            record = require_record(values, f"{file.name}:{place}{number}", before + number)
        except DataError as error:
            yield error
            continue
        yield replace(record, values={**more, **record.values}) if more else record
