"""Tables of text (CSV and its relatives), with the line on which each row begins. For the readers."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from discern_vqa.datasets._reading import CORRECT_IT, read_text
from discern_vqa.errors import DataError

MOST_CHARACTERS = 10_000_000
"""In one field; the csv module's own limit of 131,072 is too small for some captions files with a quote left open."""


def rows(file: Path, delimiter: str = ",", text: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of each row that is not empty; quoted fields may hold delimiters and line breaks.

    Args:
        file: the file, UTF-8 with or without a byte order mark; read here unless `text` is given.
        delimiter: what stands between fields.
        text: the file's text, where the caller has read it already.

    Raises:
        DataError: the file is missing, no UTF-8 text, or a row cannot be taken apart.
    """
    csv.field_size_limit(MOST_CHARACTERS)
    reader = csv.reader(io.StringIO(read_text(file) if text is None else text, newline=""), delimiter=delimiter)
    line = 1
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{file.name}:{line}: the row cannot be read: {error}", hint=CORRECT_IT) from error
        if fields is None:
            return
        if any(field.strip() for field in fields):
            yield line, fields
        line = reader.line_num + 1
