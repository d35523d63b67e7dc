"""Why a table does not fit: all columns and values that have to be mapped, in one message with one whole command."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import CLOSED, OPEN, SPLITS
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading import spellings
from discern_vqa.reading.column_names import NEEDED, likely_columns
from discern_vqa.reading.columns import Columns, field_of, names_of, parts_of, reach
from discern_vqa.reading.records import Record, number_text, one_line, shown
from discern_vqa.reading.shapes import reader_of_keys
from discern_vqa.reading.table_files import Table
from discern_vqa.reading.table_options import IN_A_RECIPE, TableOptions
from discern_vqa.reading.tidying import plain

MOST_NAMED = 6
"""Values of one field that a message names."""

_MANY_TIMES, _LARGE_SHARE = 3, 0.1
"""A value that is not understood is the table's own word for something, no slip, where it comes that often."""


class UnfitOptions(ConfigError, DataError):
    """The columns or values of a table are others than the options say."""


def header_fault(
    file: Path, options: TableOptions, names: Sequence[str], open_again: Callable[[], Table]
) -> DataError | None:
    """What is wrong with the names of the columns; None where they hold what is needed, each once."""
    fields = [field for name in names if (field := _own_field(name, options))]
    if twice := [field for field, count in Counter(fields).items() if count > 1]:
        columns = [name for name in names if _own_field(name, options) == twice[0]]
        command = options.command(columns={**options.columns, twice[0]: columns[0]})
        return UnfitOptions(
            f"{file} has two columns for {twice[0]!r}: {one_line(', '.join(columns))}", hint=_hint(command)
        )
    if not _unreached(options, names, ()) and not _missing(options, {*fields, *options.columns}):
        return None
    return _fault(file, options, names, _values(open_again()), is_table=True)


def fault_of(
    file: Path, options: TableOptions, open_again: Callable[[], Table], error: DataError | None
) -> DataError | None:
    """What is wrong with the whole of a table of which records could not be read; None where it is the records.

    `error` is what the reading ended with; None where broken records are left out, and only few could be wrong.
    """
    table = open_again()
    values = _values(table)
    names = list(table.names) if table.names is not None else names_of(record.values for record in values)
    return _fault(file, options, names, values, table.names is not None, error is None) if values else None


def _values(table: Table) -> list[Record]:
    """The records, images that they hold left out."""
    records = (record for record in table.records if isinstance(record, Record))
    return [Record(_without_bytes(record.values), record.source, record.number) for record in records]


def _without_bytes(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _without_bytes(value) if isinstance(value, Mapping) else b"" if isinstance(value, bytes) else value
        for key, value in values.items()
    }


def _own_field(name: str, options: TableOptions) -> str:
    """The field that a column holds by its own name; "" where `columns` takes it from elsewhere, or there is none."""
    used = {part for field, column in options.columns.items() for part in parts_of(field, column)}
    field = field_of(name)
    return field if field != "path" and field not in options.columns and name not in used else ""


def _unreached(options: TableOptions, names: Iterable[str], records: Sequence[Record]) -> dict[str, str]:
    """The given columns that are nowhere: field -> name."""
    there = set(names)

    def is_there(part: str) -> bool:
        return part in there or any(_reaches(record.values, part) for record in records)

    return {
        field: part
        for field, column in options.columns.items()
        for part in parts_of(field, column)
        if not is_there(part)
    }


def _reaches(values: Mapping[str, Any], path: str) -> bool:
    try:
        reach(values, path)
    except KeyError:
        return False
    return True


def _missing(options: TableOptions, fields: set[str]) -> list[str]:
    """The fields that are needed and that no column holds. An image with a caption needs no question."""
    needed = ("image",) if "caption" in fields and "question" not in fields else NEEDED
    return [field for field in needed if field not in fields]


def _fault(
    file: Path,
    options: TableOptions,
    names: Sequence[str],
    records: Sequence[Record],
    is_table: bool,
    few_are_wrong: bool = False,
) -> DataError | None:
    unreached = _unreached(options, names, records)
    fields = {field for name in names if (field := _own_field(name, options))}
    missing = _missing(options, {*fields, *options.columns} - {*unreached})
    missing = [field for field in missing if field not in unreached]
    if missing and (other := reader_of_keys(names)):
        return DataError(
            f"{file} holds records of another kind; their keys are: {one_line(', '.join(names))[:200]}",
            hint=f"discern data audit {other} {options.root}",
        )
    columns = dict(options.columns)
    if unreached or missing:
        near = {field: get_close_matches(name, names, n=1) for field, name in unreached.items()}
        columns = {field: name for field, name in columns.items() if field not in unreached}
        columns |= {field: matches[0] for field, matches in near.items() if matches}
        own = {field: next(name for name in names if field_of(name) == field) for field in fields - columns.keys()}
        rows = [record.values for record in records]
        columns |= likely_columns(names, rows, {**own, **columns})
        columns |= {field: "NAME" for field in (*missing, *unreached) if field not in columns}
    unknown = {
        field: found
        for field, found in (_unknown(field, columns, options, records) for field in ("answer_type", "split"))
        if found and not (few_are_wrong and _are_slips(found, len(records)))
    }
    if not unreached and not missing and not unknown:
        return None
    values = {field: dict(meanings) for field, meanings in options.values.items()}
    sentences = []
    if unreached or missing:
        absent = [*unreached.values(), *missing]
        kind = "columns" if is_table else "keys"
        listed = one_line(", ".join(filter(None, names)))
        sentences.append(
            f"{file} has no {kind.removesuffix('s')} {' and no '.join(map(repr, absent))}; its {kind} are: {listed}"
        )
        sentences += [f"{name!r} is given by columns.{field}" for field, name in unreached.items()]
    for field, found in unknown.items():
        values[field] = values.get(field, {}) | {text: about.suggested() for text, about in found.items()}
        sentences.append(_unknown_sentence(field, found))
    command = replace(options, columns=columns).command(values=values)
    return UnfitOptions("; ".join(sentences), hint=_hint(command))


class _Unknown:
    """A value of a field that is not understood: where it comes first, how often, and with what answers."""

    def __init__(self, field: str, text: str, source: str) -> None:
        self.field, self.text, self.source = field, text, source
        self.count = self.yes_or_no = 0

    def suggested(self) -> str:
        """What it is likely to mean."""
        if self.field == "answer_type":
            return CLOSED if self.yes_or_no == self.count else OPEN
        return next(iter(get_close_matches(self.text.lower(), SPLITS, n=1)), "train")


def _unknown(
    field: str, columns: Mapping[str, str], options: TableOptions, records: Sequence[Record]
) -> tuple[str, dict[str, _Unknown]]:
    """(field, the values of it that are not understood), with the columns as they are suggested."""
    known = spellings.answer_type if field == "answer_type" else spellings.split_name
    meanings = set(map(plain, options.values.get(field, ())))
    take = Columns({name: column for name, column in columns.items() if column != "NAME"})
    found: dict[str, _Unknown] = {}
    for record in records:
        values = take.taken(record.values)
        value = values.get(field)
        text = number_text(value) if isinstance(value, int | float) else value
        if not isinstance(text, str) or spellings.is_missing(text) or known(text):
            continue
        if plain(text) not in meanings:
            written = " ".join(text.split())
            about = found.setdefault(written, _Unknown(field, written, record.source))
            about.count += 1
            about.yes_or_no += spellings.is_yes_or_no(str(values.get("answer", "")))
    return field, found


def _are_slips(found: Mapping[str, _Unknown], records: int) -> bool:
    most = max(about.count for about in found.values())
    return most < _MANY_TIMES or most < _LARGE_SHARE * records


def _unknown_sentence(field: str, found: Mapping[str, _Unknown]) -> str:
    parts = []
    for about in list(found.values())[:MOST_NAMED]:
        count = f" ({about.count:,} records)" if about.count > 1 else ""
        parts.append(f"{about.source}: {field!r} is {shown(about.text)}{count}")
    more = f" (and {len(found) - MOST_NAMED} other values)" if len(found) > MOST_NAMED else ""
    expected = "open, closed or choice" if field == "answer_type" else f"one of {', '.join(SPLITS)}"
    return f"{', '.join(parts)}{more}; expected {expected}"


def _hint(command: str) -> str:
    return f"{command}  # {IN_A_RECIPE}"
