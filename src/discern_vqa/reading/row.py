"""A table of any kind as it is read, row by row: what every kind has, and how one is opened."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Row:
    """A row that holds something.

    line: where it begins (a line of a text, a row of a sheet, an item of a list), from 1. place: that in words, for
    messages. cells: as they were written, by their place in the table's `names`; of a text there may be fewer. values:
    of JSON, where each row names its own keys; else None. problem, hint: why it cannot be used and what helps; the
    cells are then those that fit all the same.
    """

    line: int
    place: str
    cells: tuple[Any, ...] = ()
    values: Mapping[str, Any] | None = None
    problem: str = ""
    hint: str = ""


class Table(Protocol):
    """An open table. `names`: of its columns, as written; none for JSON, whose rows name theirs."""

    path: Path
    names: tuple[str, ...]

    def rows(self) -> Iterator[Row]:
        """The rows below the names, from the beginning each time. Raises DataError with the line where the file cannot
        be read on."""
        ...


class Opening(Protocol):
    """How a table is opened; "" for what the file itself says."""

    @property
    def encoding(self) -> str:
        """Of a text or of JSON."""
        ...

    @property
    def delimiter(self) -> str:
        """What stands between the columns of a text."""
        ...

    @property
    def sheet(self) -> str:
        """Of a workbook, or the key of a JSON object under which the records are."""
        ...

    def command(self, **changes: str) -> str:
        """What is typed to open it otherwise: these options changed."""
        ...
