"""Excel workbooks (.xlsx, .xlsm), as rows of text. openpyxl is imported where it is used (extra "tables").

A formula gives the value that Excel computed last. A cell that is merged over several rows or columns counts for each
of them, as it is seen. Whole numbers have no decimals, dates are written as in ISO 8601, and truth values as TRUE and
FALSE.
"""

import datetime
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from discern_vqa.errors import ConfigError, DataError, did_you_mean
from discern_vqa.reading.records import near_file, number_text, one_line

if TYPE_CHECKING:
    from openpyxl import Workbook

ENDINGS = (".xlsx", ".xlsm")
MOST_BYTES = 2_000_000_000
"""Unpacked; a table of a million rows has some 200 million."""

_SAVE_IT = "open it in Excel or LibreOffice, and save it as .xlsx again or as CSV UTF-8"


def sheet_rows(file: Path, sheet: str, choose: str) -> Iterator[tuple[int, list[str]]]:
    """(row number as Excel counts, texts) of each row of a sheet that is not empty.

    Args:
        file: the workbook.
        sheet: the sheet's name; "" for the only one that is not empty.
        choose: the command that reads the sheet of a name, with "{}" in the name's place.

    Raises:
        DataError: the file is missing or no workbook, all sheets are empty, or several are not and none is named.
        ConfigError: openpyxl is not installed, or there is no such sheet.
    """
    book = _open(file)
    tables = {page.title: _texts(list(page.iter_rows(values_only=True))) for page in book.worksheets}
    for page in book.worksheets:
        for area in page.merged_cells.ranges:
            _spread(tables[page.title], area.min_row, area.max_row, area.min_col, area.max_col)
    filled = {name: rows for name, rows in tables.items() if any(any(row) for row in rows)}
    if sheet and sheet not in tables:
        listed = f"there are: {one_line(', '.join(tables))}"
        raise ConfigError(f"{file} has no sheet {sheet!r}", hint=did_you_mean(sheet, tables, listed))
    if not sheet and len(filled) != 1:
        if not filled:
            raise DataError(f"{file} has no row: its sheets are empty", hint="put the questions into it, and save it")
        names = one_line(", ".join(filled))
        raise DataError(
            f"{file} has {len(filled)} sheets that hold something: {names}", hint=choose.format(next(iter(filled)))
        )
    for number, row in enumerate(tables[sheet] if sheet else next(iter(filled.values())), start=1):
        if any(row):
            yield number, row


def sheets(file: Path) -> list[str]:
    """The names of a workbook's sheets. Raises DataError, ConfigError as `sheet_rows`."""
    return [page.title for page in _open(file).worksheets]


def new() -> "Workbook":
    """A workbook with one empty sheet. Raises ConfigError: openpyxl is not installed."""
    return _openpyxl().Workbook()


def _openpyxl() -> ModuleType:
    try:
        import openpyxl
    except ImportError as error:
        raise ConfigError("Excel workbooks need openpyxl", hint="pip install 'discern-vqa[tables]'") from error
    module: ModuleType = openpyxl
    return module


def _open(file: Path) -> "Workbook":
    openpyxl = _openpyxl()
    try:
        with zipfile.ZipFile(file) as packed:
            size = sum(member.file_size for member in packed.infolist())
        if size > MOST_BYTES:
            raise DataError(f"{file} would grow to {size / 1e9:.1f} GB: too large for a table", hint="save it as CSV")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of formats and drop-down lists that openpyxl does not keep
            return openpyxl.load_workbook(file, data_only=True)
    except FileNotFoundError as error:
        raise DataError(f"the file {file} is not there", hint=near_file(file)) from error
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"cannot read {file}: {error.strerror}", hint="check the file and its permissions") from error
    except Exception as error:  # openpyxl raises many kinds on damaged files; all mean the same to the user
        raise DataError(f"{file} is not a workbook of Excel, or is damaged or locked", hint=_SAVE_IT) from error


def _texts(rows: Sequence[Sequence[object]]) -> list[list[str]]:
    return [[_text(value) for value in row] for row in rows]


def _text(value: object) -> str:
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


def _spread(rows: list[list[str]], top: int, bottom: int, left: int, right: int) -> None:
    """Gives each cell of a merged area the text of its first cell. The bounds count from 1 and are inclusive."""
    for row in rows[top - 1 : bottom]:
        for column in range(left - 1, min(right, len(row))):
            row[column] = rows[top - 1][left - 1]
