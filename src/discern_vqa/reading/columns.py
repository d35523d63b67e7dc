"""Questions in a table of the user's own: which column holds which field, and a row as a neutral record.

A column is found by the field's name, in any case ("Question", "IMAGE"). Columns of other names are given: the option
`columns` maps fields to them, on the command line as `--option columns.question=Frage`. Columns that no field takes go
to `Sample.extra`. Nothing is guessed from what a column holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.neutral import KNOWN
from discern_vqa.reading.records import Record, json_lines, one_line, parse_json, read_text, shown
from discern_vqa.reading.tables import rows

_HOW_TO_DECODE = "save the file as UTF-8, or name its encoding, for example --option encoding=cp1252"
DELIMITERS = (",", ";", "\t", "|")
_FIELDS = {*KNOWN, "series", "frame"}
SPLITS_AS_WRITTEN = {
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "dev": "validation",
    "testing": "test",
    "pretraining": "pretrain",
}
"""Other names of the four splits that a table may use."""


def records(file: Path, columns: Mapping[str, str], delimiter: str, encoding: str) -> Iterator[Record | DataError]:
    """The record of each row of a CSV file, or of each line of a JSONL file; a broken one as its error.

    Args:
        file: ".jsonl" is read as JSON Lines, everything else as a table with one line of names first.
        columns: field -> column name, where they differ.
        delimiter: what separates the columns; "" for the most frequent of , ; tab | in the line of names.

    Raises:
        DataError: the file is missing, in another encoding, has no line of names, or lacks a needed column.
        ConfigError: `columns` names a field or a column that does not exist.
    """
    if not isinstance(columns, Mapping) or not all(isinstance(name, str) for name in [*columns, *columns.values()]):
        raise ConfigError(
            f"columns is {shown(columns)}; expected the name of a column for each field",
            hint="for example --option columns.question=Frage",
        )
    if unknown := sorted(columns.keys() - _FIELDS):
        near = get_close_matches(unknown[0], sorted(KNOWN), n=1)
        raise ConfigError(
            f"columns: there is no field {unknown[0]!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(KNOWN))}",
        )
    text = read_text(file, encoding, _HOW_TO_DECODE)
    if file.suffix == ".jsonl":
        fields = {column: field for field, column in columns.items()}
        for record in json_lines(file, text):
            if isinstance(record, Record):
                values = {fields.get(key, key): value for key, value in record.values.items()}
                record = replace(record, values=values)
            yield record
        return
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = delimiter or max(DELIMITERS, key=first.count)
    table = rows(file, delimiter, text)
    _, names = next(table, (1, []))
    names = [name.strip() for name in names]
    row_fields = _fields(file, names, columns)
    for line, cells in table:
        source = f"{file.name}:{line}"
        if len(cells) != len(names):
            yield DataError(
                f"{source}: {len(cells)} columns; the line of names has {len(names)}",
                hint=f"columns are separated by {delimiter!r}; put quotes around a text that holds one",
            )
        else:
            texts = {field: cell.strip() for field, cell in zip(row_fields, cells, strict=True) if field}
            yield Record({field: text for field, text in texts.items() if text}, source, line)


def _fields(file: Path, names: list[str], columns: Mapping[str, str]) -> list[str]:
    """The field of each column; the column's own name where it is none. No field twice."""
    if len(names) < 2:
        raise DataError(
            f"{file} has no line of column names: the first line is {shown(','.join(names))}",
            hint="expected e.g. image,question,answer; give another delimiter with --option delimiter=';'",
        )
    if absent := [column for column in columns.values() if column not in names]:
        near = get_close_matches(absent[0], names, n=1)
        raise ConfigError(
            f"{file} has no column {absent[0]!r}; its columns are: {one_line(', '.join(names))}",
            hint=f"did you mean {near[0]!r}?" if near else "name one of these columns",
        )
    mapped = {column: field for field, column in columns.items()}
    known = {field.lower(): field for field in _FIELDS if field not in columns}
    fields = [mapped.get(name) or known.get(name.lower()) or name for name in names]
    if twice := sorted({field for field in fields if field and fields.count(field) > 1}):
        raise DataError(
            f"{file} has two columns for {twice[0]!r}", hint=f"name the right one: --option columns.{twice[0]}=NAME"
        )
    required = ("image",) if "caption" in fields else ("image", "question", "answer")
    if missing := [field for field in required if field not in fields]:
        options = [f"columns.{field}=NAME" for field in missing]
        raise DataError(
            f"{file} has no column {' and no column '.join(map(repr, missing))}; its columns are: "
            f"{one_line(', '.join(names))}",
            hint=f"name the columns that hold them: {' '.join(f'--option {option}' for option in options)}"
            f" (in a recipe: {' '.join(f'--set data.options.{option}' for option in options)})",
        )
    return fields


def tidied(record: Record, use_as: str) -> Record:
    """The record with its split (`use_as` where it has none), and its choices as a list.

    Choices may be a JSON list or texts between bars ("CT | MRI"). Raises DataError when they are neither.
    """
    split = str(record.values.get("split", "") or use_as).lower()
    tidy = {**record.values, "split": SPLITS_AS_WRITTEN.get(split, split)}
    choices = tidy.get("choices")
    if isinstance(choices, str):
        try:
            parsed = parse_json(choices, record.source, lines=False) if choices.startswith("[") else choices.split("|")
        except DataError as error:
            raise record.unexpected("choices", choices, "a list") from error
        tidy["choices"] = [str(choice) for choice in parsed]
    return replace(record, values=tidy)
