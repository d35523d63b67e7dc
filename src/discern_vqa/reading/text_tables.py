"""Tables of text (CSV and its relatives), row by row: every cell stays as it was written."""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.encodings import encoding_of, opened_text
from discern_vqa.reading.records import shown
from discern_vqa.reading.row import Opening, Row
from discern_vqa.reading.tables import MOST_CHARACTERS

DELIMITERS = (",", ";", "\t", "|")
_STATED = re.compile(r'"?sep=(\\t|[^\r\n])"?\s*', re.IGNORECASE)
"""Excel's line before the names, which says what stands between the columns."""


class TextTable:
    """A table of text. `delimiter` and `encoding` are what it has: as `opening` says, else as the file itself does. A
    file that says no delimiter has the one of DELIMITERS that its line of names has most of."""

    def __init__(self, path: Path, opening: Opening) -> None:
        """Raises DataError: another encoding, no line of column names; ConfigError: an option that cannot be."""
        self.path, self._opening = path, opening
        self.encoding = encoding_of(path, opening)
        with opened_text(path, self.encoding, opening) as file:
            lines = (line for line in file if line.strip())
            first = next(lines, "")
            stated = _STATED.fullmatch(first)
            if stated is not None:
                first = next(lines, "")
        self._is_stated = stated is not None
        self.delimiter = opening.delimiter or (stated[1] if stated is not None else max(DELIMITERS, key=first.count))
        self.delimiter = "\t" if self.delimiter == "\\t" else self.delimiter
        if not isinstance(self.delimiter, str) or len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise ConfigError(
                f"the delimiter is {shown(self.delimiter)}; expected one character other than a quote or line break",
                hint="--option delimiter=';' or, for a tab, --option 'delimiter=\"\\t\"'",
            )
        _, names = next(self._records(), (1, []))
        self.names = tuple(_without_blank_end(names))
        if len(self.names) < 2:
            raise DataError(
                f"{path} has no line of column names: the first line is {shown(self.delimiter.join(names))}",
                hint="expected for example image,question,answer; another delimiter is --option delimiter=';'",
            )

    def rows(self) -> Iterator[Row]:
        """See Table."""
        records = self._records()
        next(records)
        for line, cells in records:
            problem, hint = "", ""
            if any(cell.strip() for cell in cells[len(self.names) :]):
                problem = f"{len(cells)} cells for {len(self.names)} columns"
                hint = f"put quotes around a text that holds {self.delimiter!r}"
            yield Row(line, str(line), tuple(cells[: len(self.names)]), problem=problem, hint=hint)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) of each row that holds something, the names first."""
        csv.field_size_limit(MOST_CHARACTERS)
        current: list[str] = []  # the lines of the row that is being read

        def noted(lines: Iterator[str]) -> Iterator[str]:
            for text in lines:
                current.append(text)
                yield text

        with opened_text(self.path, self.encoding, self._opening) as file:
            reader = csv.reader(noted(file), delimiter=self.delimiter)
            line, is_first = 1, True
            try:
                for cells in reader:
                    holds = any(cell.strip() for cell in cells)
                    is_mark = is_first and self._is_stated and holds
                    if holds and not is_mark:
                        if len(current) > 1:
                            self._refuse_open_quote(current, line)
                        yield line, cells
                    is_first = is_first and not is_mark
                    line = reader.line_num + 1
                    current.clear()
            except csv.Error as error:
                hint = "a quote that is never closed? correct that row"
                raise DataError(f"{self.path}:{line}: the row cannot be read: {error}", hint=hint) from error

    def _refuse_open_quote(self, lines: list[str], line: int) -> None:
        """Raises DataError where a quote is opened and never closed: the rest of the file would be one cell."""
        try:
            list(csv.reader(lines, delimiter=self.delimiter, strict=True))
        except csv.Error as error:
            if "end of data" in str(error):
                problem = f"{self.path}:{line}: a quote is opened in this row and never closed"
                hint = "close it, or take it out; a quote inside of a text is written twice"
                raise DataError(problem, hint=hint) from error


def _without_blank_end(cells: Sequence[str]) -> Sequence[str]:
    filled = [place for place, cell in enumerate(cells, start=1) if cell.strip()]
    return cells[: filled[-1] if filled else 0]
