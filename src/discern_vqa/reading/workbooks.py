"""Excel workbooks (.xlsx, .xlsm), row by row. openpyxl is imported where it is used (extra "tables").

A formula gives the value that Excel computed last, and NO_VALUE where the program that wrote the workbook computed
none. A cell that is merged over several rows or columns counts for each of them, as it is seen.
"""

import datetime
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from discern_vqa.errors import ConfigError, DataError, DiscernError, did_you_mean
from discern_vqa.reading.placeholders import refuse_placeholder
from discern_vqa.reading.records import near_file, number_text, one_line
from discern_vqa.reading.row import Opening, Row

if TYPE_CHECKING:
    from openpyxl import Workbook

MOST_BYTES = 2_000_000_000
"""Unpacked; a table of a million rows has some 200 million."""
NO_VALUE = "#a formula without a value"
COMPUTE = "open the workbook in Excel or LibreOffice, save it, and read it again"
"""What to do about NO_VALUE."""

_SAVE_IT = "open it in Excel or LibreOffice, and save it as .xlsx again or as CSV UTF-8"
_MARKS = re.compile(rb"<(?:\w+:)?(?:f[\s/>]|mergeCell\s)")
"""What a sheet's XML has of formulas and merged cells (ISO/IEC 29500-1, 18.3.1.40 and 18.3.1.54)."""
_LONGEST_MARK = 64

Cells = tuple[Any, ...]


class Book:
    """A sheet of a workbook: the one that `opening` names, or the only one that is not empty. In memory is one row at a
    time, and the table of shared texts; of a workbook with merged cells all."""

    def __init__(self, path: Path, opening: Opening) -> None:
        """Raises DataError: the file is missing or no workbook, all sheets are empty, several are not and none is
        named, or no row names columns; ConfigError: openpyxl is not installed, or there is no such sheet."""
        self.path = path
        self._holds_formulas, self._holds_merged = _marks(path)
        self._sheet = self._chosen(opening)
        self.names: tuple[str, ...] = ()
        self._names_in = 0
        for number, cells in self._filled_rows():
            texts = [text_of(cell).strip() for cell in cells]
            if sum(map(bool, texts)) > 1:  # a title may stand above
                last = max(place for place, text in enumerate(texts, start=1) if text)
                self.names, self._names_in = tuple(text_of(cell) for cell in cells[:last]), number
                break
        if not self.names:
            raise DataError(
                f"{path} has no line of column names: no row of the sheet {self._sheet!r} has two cells or more",
                hint="expected for example image, question and answer",
            )

    def rows(self) -> Iterator[Row]:
        """See Table."""
        for number, cells in self._filled_rows():
            if number <= self._names_in:
                continue
            own = (*cells[: len(self.names)], *[None] * (len(self.names) - len(cells)))
            beyond = [place for place, cell in enumerate(cells, start=1) if place > len(self.names) and text_of(cell)]
            problem = f"{beyond[-1]} cells for {len(self.names)} columns" if beyond else ""
            hint = "give the last columns names too, or empty these cells"
            yield Row(number, f"row {number}", own, problem=problem, hint=hint if beyond else "")

    def _chosen(self, opening: Opening) -> str:
        with _open(self.path, self._holds_merged) as book:
            titles: list[str] = [page.title for page in book.worksheets]
            if opening.sheet in titles:
                return opening.sheet
            if opening.sheet:
                listed = f"there are: {one_line(', '.join(titles))}"
                hint = did_you_mean(opening.sheet, titles, listed)
                raise ConfigError(f"{self.path} has no sheet {opening.sheet!r}", hint=hint)
            filled = [title for title in titles if any(any(map(text_of, cells)) for cells in _cells(book, title))]
        if not filled:
            hint = "put the questions into it, and save it"
            raise DataError(f"{self.path} has no row: its sheets are empty", hint=hint)
        if len(filled) > 1:
            raise DataError(
                f"{self.path} has {len(filled)} sheets that hold something: {one_line(', '.join(filled))}",
                hint=opening.command(sheet=filled[0]),
            )
        return filled[0]

    def _filled_rows(self) -> Iterator[tuple[int, Cells]]:
        """(row number as Excel counts, cells) of each row that is not empty."""
        with ExitStack() as books:
            computed = books.enter_context(_open(self.path, self._holds_merged))
            formulas = None
            if self._holds_formulas:
                formulas = books.enter_context(_open(self.path, self._holds_merged, computed=False))
            for number, cells in enumerate(_cells(computed, self._sheet, formulas), start=1):
                if any(map(text_of, cells)):
                    yield number, cells


def sheets(file: Path) -> list[str]:
    """The names of a workbook's sheets. Raises DataError, ConfigError as `Book`."""
    refuse_placeholder(file)
    with _open(file) as book:
        return [page.title for page in book.worksheets]


def new() -> "Workbook":
    """A workbook with one empty sheet. Raises ConfigError: openpyxl is not installed."""
    return require().Workbook()


def text_of(value: object) -> str:
    """A cell as text: whole numbers without decimals, dates as in ISO 8601, truth values as TRUE and FALSE."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return number_text(value)
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)


def _cells(book: "Workbook", title: str, formulas: "Workbook | None" = None) -> Iterator[Cells]:
    """The cells of each row of a sheet; of merged ones each has the value of the first. `formulas`: the same workbook,
    opened for what its cells are computed by."""
    page, merged = book[title], dict[tuple[int, int], Any]()
    if book.read_only:
        page.reset_dimensions()  # some programs write a size that is not the sheet's
    else:
        for area in page.merged_cells.ranges:
            merged |= dict.fromkeys(area.cells, page.cell(area.min_row, area.min_col).value)
    rows: Iterable[Cells] = page.iter_rows(values_only=True)
    if formulas is not None:
        written = formulas[title]
        if book.read_only:
            written.reset_dimensions()
        rows = map(_values, page.iter_rows(), written.iter_rows())
    for row, cells in enumerate(_without_warnings(rows), start=1):
        yield tuple(merged.get((row, column), cell) for column, cell in enumerate(cells, start=1)) if merged else cells


def _without_warnings(rows: Iterable[Cells]) -> Iterator[Cells]:
    """The rows; what openpyxl warns of while it reads one (a date that there is not) stands in its cell."""
    iterator = iter(rows)
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cells = next(iterator, None)
        if cells is None:
            return
        yield cells


def _values(cells: Cells, written: Cells) -> Cells:
    """The values of a row's cells, NO_VALUE where a formula has none; a text that is empty ("str") is one."""
    return tuple(
        NO_VALUE if cell.value is None and formula.data_type == "f" and cell.data_type != "str" else cell.value
        for cell, formula in zip(cells, written, strict=False)
    )


def _marks(file: Path) -> tuple[bool, bool]:
    """Whether any sheet of a workbook holds formulas, and merged cells. Raises DataError."""
    refuse_placeholder(file)
    marks: set[bytes] = set()
    with _explained(file), zipfile.ZipFile(file) as packed:
        size = sum(member.file_size for member in packed.infolist())
        if size > MOST_BYTES:
            raise DataError(f"{file} would grow to {size / 1e9:.1f} GB: too large for a table", hint="save it as CSV")
        for name in packed.namelist():
            if not re.fullmatch(r"xl/worksheets/[^/]+\.xml", name):
                continue
            with packed.open(name) as sheet:
                end = b""
                while chunk := sheet.read(1 << 20):
                    marks |= {mark[-2:-1] for mark in _MARKS.findall(end + chunk)}
                    end = chunk[-_LONGEST_MARK:]
    return b"f" in marks, b"l" in marks


def require() -> ModuleType:
    """openpyxl. Raises ConfigError where it is not installed."""
    try:
        import openpyxl
    except ImportError as error:
        raise ConfigError("Excel workbooks need openpyxl", hint="pip install 'discern-vqa[tables]'") from error
    module: ModuleType = openpyxl
    return module


@contextmanager
def _open(file: Path, in_memory: bool = False, computed: bool = True) -> "Iterator[Workbook]":
    """The open workbook; what is wrong with it is said, also while it is read."""
    openpyxl = require()
    with _explained(file):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of formats and drop-down lists that openpyxl does not keep
            loaded = openpyxl.load_workbook(file, read_only=not in_memory, data_only=computed)
        with closing(loaded) as book:
            yield book


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"the file {file} is not there", hint=near_file(file)) from error
    except DiscernError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}", hint="check the file and its permissions") from error
    except Exception as error:  # openpyxl raises many kinds on damaged files; all mean the same to the user
        raise DataError(f"{file} is not a workbook of Excel, or is damaged or locked", hint=_SAVE_IT) from error
