"""Tables of any size, read row by row: text (CSV and its relatives), JSON Lines, and Excel workbooks (.xlsx).

For what a user hands in and gets back: every cell stays as it was written, in the order of its columns. The readers of
data sets hold a whole table instead, since they check it as a whole. At no time is there more than one row in memory
(of a workbook also its table of shared texts).
"""

import csv
import io
import json
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading import workbooks
from discern_vqa.reading.encodings import MARKS, likely
from discern_vqa.reading.records import near_file, one_line, parse_json, require_record, shown
from discern_vqa.reading.shapes import UNREAD_SPREADSHEETS
from discern_vqa.reading.table_files import DELIMITERS, LINES, TEXTS
from discern_vqa.reading.tables import MOST_CHARACTERS

ENDINGS = (*TEXTS, *LINES, *workbooks.ENDINGS)
INSTALL = "pip install 'discern-vqa[tables]'"


@dataclass(frozen=True)
class Row:
    """A row that holds something. `cells`: of its columns, by their place in `names`; of JSON Lines in `values`."""

    line: int  # on which it begins, from 1
    cells: tuple[Any, ...] = ()
    values: dict[str, Any] | None = None
    problem: str = ""  # why it cannot be used; its cells are those that fit all the same


class Table(Protocol):
    """An open table. `names`: of its columns, as written; none for JSON Lines, whose rows name theirs."""

    path: Path
    names: tuple[str, ...]

    def rows(self) -> Iterator[Row]:
        """The rows below the names, from the beginning each time. Raises DataError with the line where the file cannot
        be read on."""
        ...


def open_table(path: Path, *, delimiter: str = "", encoding: str = "", sheet: str = "") -> "TextTable | Lines | Book":
    """The table in a file, by its ending.

    Args:
        path: .csv, .tsv, .txt; .jsonl, .ndjson; .xlsx, .xlsm.
        delimiter: what separates the columns of a text; "" for what Excel's line `sep=;` says, or the most frequent of
            , ; tab | in the line of names.
        encoding: of a text; "" for what its byte order mark says, or UTF-8.
        sheet: of a workbook, by name; "" for the first.

    Raises:
        DataError: no such file, none of these endings, another encoding, no line of column names.
        ConfigError: an option is of no use for such a file; there is no such encoding, delimiter or sheet.
    """
    ending = path.suffix.lower()
    given = {"delimiter": delimiter, "encoding": encoding, "sheet": sheet}
    options = {
        **dict.fromkeys(TEXTS, ("delimiter", "encoding")),
        **dict.fromkeys(workbooks.ENDINGS, ("sheet",)),
    }
    useful = options.get(ending, ())
    if ending in UNREAD_SPREADSHEETS:
        raise DataError(f"{path} is a spreadsheet of a kind that is not read", hint="save it as .xlsx or as CSV UTF-8")
    if ending == ".json":
        raise DataError(
            f"{path} ends in .json; expected JSON Lines, one object on each line",
            hint=f"jq -c '.[]' {path.name} > {path.stem}.jsonl",
        )
    if ending not in ENDINGS:
        raise DataError(f"{path} ends in {ending or 'nothing'}", hint=f"expected one of: {', '.join(ENDINGS)}")
    if not path.is_file():
        what = "is no file" if path.exists() else "is not there"
        raise DataError(f"the file {path} {what}", hint=near_file(path, "name a file of questions"))
    for name, value in given.items():
        if value and name not in useful:
            usable = ", ".join(useful) or "neither delimiter, encoding nor sheet"
            raise ConfigError(f"{path.name} has no {name}", hint=f"leave out --option {name}; it takes: {usable}")
    if ending in LINES:
        return Lines(path)
    return Book(path, sheet) if ending in workbooks.ENDINGS else TextTable(path, delimiter, encoding)


class TextTable:
    """A table of text. `delimiter` and `encoding` are what it has."""

    def __init__(self, path: Path, delimiter: str = "", encoding: str = "") -> None:
        self.path = path
        self.encoding = encoding or _marked(path)
        with self._readable() as file:
            lines = (line for line in file if line.strip())
            first = next(lines, "")
            stated = re.fullmatch(r'"?sep=(.)"?\s*', first)
            if stated is not None:
                first = next(lines, "")
        if "\0" in first:  # UTF-16 without its mark: half of its bytes are nought
            raise self._other_encoding("half of its bytes are nought")
        self._is_stated = stated is not None
        self.delimiter = delimiter or (stated[1] if stated is not None else max(DELIMITERS, key=first.count))
        if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
            raise ConfigError(
                f"the delimiter is {shown(self.delimiter)}; expected one character other than a quote or line break",
                hint="--option delimiter=';' or, for a tab, --option 'delimiter=\"\\t\"'",
            )
        _, names = next(self._records(), (1, []))
        self.names = tuple(_without_blank_end(names))
        if len(self.names) < 2:
            raise DataError(
                f"{path} has no line of column names: the first line is {shown(self.delimiter.join(names))}",
                hint="expected for example image,question; another delimiter is --option delimiter=';'",
            )

    def rows(self) -> Iterator[Row]:
        """See Table. Cells that are missing at the end of a row are empty."""
        records = self._records()
        next(records)
        for line, cells in records:
            kept, beyond = cells[: len(self.names)], cells[len(self.names) :]
            kept += [""] * (len(self.names) - len(kept))
            problem = ""
            if any(cell.strip() for cell in beyond):
                problem = (
                    f"{len(cells)} cells for {len(self.names)} columns: put quotes around a text that holds "
                    f"{self.delimiter!r}"
                )
            yield Row(line, tuple(kept), problem=problem)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """(line, cells) of each row that holds something, the names first."""
        csv.field_size_limit(MOST_CHARACTERS)
        current: list[str] = []  # the lines of the row that is being read

        def noted(lines: Iterator[str]) -> Iterator[str]:
            for text in lines:
                current.append(text)
                yield text

        with self._readable() as file:
            reader = csv.reader(noted(file), delimiter=self.delimiter)
            line, is_first = 1, True
            try:
                for cells in reader:
                    is_mark = is_first and self._is_stated and any(cell.strip() for cell in cells)
                    if any(cell.strip() for cell in cells) and not is_mark:
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
                raise DataError(
                    problem, hint="close it, or take it out; a quote inside of a text is written twice"
                ) from (error)

    @contextmanager
    def _readable(self) -> Iterator[io.TextIOWrapper]:
        """The open file; what is wrong with its encoding is said."""
        try:
            with open(self.path, encoding=self.encoding, newline="") as file:
                yield file
        except LookupError as error:
            hint = "utf-8, cp1252 and utf-16 are usual"
            raise ConfigError(f"there is no encoding {self.encoding!r}", hint=hint) from error
        except UnicodeError as error:
            reason = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
            raise self._other_encoding(reason) from error
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def _other_encoding(self, reason: str) -> DataError:
        with open(self.path, "rb") as file:
            start = file.read(4096)
        name = "UTF-8" if self.encoding.startswith("utf-8") else self.encoding
        return DataError(
            f"{self.path} is not {name} text: {reason}",
            hint=f"save it as UTF-8, or name its encoding, for example --option encoding={likely(start) or 'cp1252'}",
        )


class Lines:
    """JSON Lines: one object on each line."""

    names: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> Iterator[Row]:
        """See Table. A line that is no object, or could not be written again, has its problem."""
        try:
            with open(self.path, encoding="utf-8-sig", newline="\n") as file:
                for line, text in enumerate(file, start=1):
                    if text.strip():
                        yield self._row(line, text)
        except UnicodeError as error:
            raise DataError(f"{self.path} is not UTF-8 text", hint="save the file as UTF-8") from error
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def _row(self, line: int, text: str) -> Row:
        try:
            values = dict(require_record(parse_json(text, "", lines=False), "").values)
            json.dumps(values, allow_nan=False)  # the row is written into the answers, which other programs read
        except DataError as error:
            return Row(line, values={}, problem=str(error).removeprefix(": "))
        except ValueError:
            return Row(line, values={}, problem="a number is NaN or infinite, which JSON does not have")
        except RecursionError:
            return Row(line, values={}, problem="the row is nested too deep")
        return Row(line, values=values)


class Book:
    """A sheet of an Excel workbook; of formulas the values that Excel has computed."""

    def __init__(self, path: Path, sheet: str = "") -> None:
        self.path, self._sheet = path, sheet
        self.names = tuple(str("" if name is None else name) for name in _without_blank_end(next(self._cells())[1]))
        if len(self.names) < 2:
            raise DataError(f"{path} has no row of column names", hint="expected for example image and question")

    def rows(self) -> Iterator[Row]:
        """See Table. `line` is the sheet's row."""
        cells = self._cells()
        next(cells)
        for line, values in cells:
            kept = (*values[: len(self.names)], *[None] * (len(self.names) - len(values)))
            beyond = any(value not in (None, "") for value in values[len(self.names) :])
            yield Row(line, kept, problem="it has cells right of the last column that has a name" if beyond else "")

    def _cells(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """(row, values) of each row that holds something, the names first."""
        book = _workbook(self.path)
        try:
            if self._sheet and self._sheet not in book.sheetnames:
                hint = f"it has: {one_line(', '.join(book.sheetnames))}"
                raise ConfigError(f"{self.path} has no sheet {self._sheet!r}", hint=hint)
            sheet = book[self._sheet] if self._sheet else book.worksheets[0]
            sheet.reset_dimensions()  # some programs write a size that is not the sheet's
            empty = True
            for line, values in enumerate(sheet.iter_rows(values_only=True), start=1):
                if any(value is not None and str(value).strip() for value in values):
                    empty = False
                    yield line, values
            if empty:
                raise DataError(
                    f"{self.path}: the sheet {sheet.title!r} is empty", hint="name another: --option sheet=NAME"
                )
        finally:
            book.close()


def _workbook(path: Path) -> Any:
    """The workbook, open for reading row by row. Raises DataError: openpyxl is missing, or the file is no workbook."""
    try:
        import openpyxl
    except ImportError as error:
        raise DataError(f"{path}: Excel's files are read by the package openpyxl", hint=INSTALL) from error
    from zipfile import BadZipFile

    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of formats and drop-down lists, which nobody reads here
            return openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (BadZipFile, InvalidFileException, KeyError, ValueError, EOFError) as error:
        raise DataError(f"{path} is no Excel workbook, or is damaged: {error}", hint="save it anew as .xlsx") from error
    except OSError as error:
        raise _unreadable(path, error) from error


def _marked(path: Path) -> str:
    """The encoding that a byte order mark says; UTF-8 without one."""
    try:
        with open(path, "rb") as file:
            start = file.read(4)
    except OSError as error:
        raise _unreadable(path, error) from error
    return next((encoding for mark, encoding in MARKS.items() if start.startswith(mark)), "utf-8")


def _without_blank_end(cells: Any) -> list[Any]:
    kept = list(cells)
    while kept and (kept[-1] is None or not str(kept[-1]).strip()):
        kept.pop()
    return kept


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot read {path}: {error.strerror}", hint="check the file and its permissions")
