"""Tables of text (CSV) of published sets, with the line on which each row begins."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from discern_vqa.errors import DataError
from discern_vqa.reading.records import CORRECT_IT, Record, one_line, read_text

MOST_CHARACTERS = 10_000_000
"""In one field; the csv module's own limit of 131,072 is too small for some captions files with a quote left open."""


def rows(file: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each row that is not empty; quoted fields may hold delimiters and line breaks.

    The file is UTF-8, with or without a byte order mark. Raises DataError: it is missing, no UTF-8 text, or a row
    cannot be taken apart.
    """
    csv.field_size_limit(MOST_CHARACTERS)
    reader = csv.reader(io.StringIO(read_text(file), newline=""), delimiter=delimiter)
    line = 1
    try:
        for fields in reader:
            if any(field.strip() for field in fields):
                yield line, fields
            line = 1 + reader.line_num
    except csv.Error as error:
        raise DataError(f"{file.name}:{line}: the row cannot be read: {error}", hint=CORRECT_IT) from error


def named_rows(file: Path, needed: Sequence[str]) -> Iterator[Record | DataError]:
    """The record of each row of a table whose first line names its columns; for a row of too many cells its error.

    Cells that are missing at the end of a row are absent from it; the names are trimmed.

    Raises DataError: as `rows`, or a needed column is missing.
    """
    table = rows(file)
    first, names = next(table, (1, list(needed)))
    names = [name.strip() for name in names]
    if missing := [name for name in needed if name not in names]:
        raise DataError(
            f"{file.name}:{first}: no column {missing[0]!r}; there are: {one_line(', '.join(names))[:200]}",
            hint="give the data set's own file",
        )
    for line, cells in table:
        source = f"{file.name}:{line}"
        if len(cells) > len(names):
            yield DataError(f"{source}: {len(cells)} cells for {len(names)} columns", hint=CORRECT_IT)
        else:
            yield Record(dict(zip(names, cells, strict=False)), source, line)
