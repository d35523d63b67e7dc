"""The report's tables as plain data, from which the page, Markdown, CSV and LaTeX are written. No torch.

A cell is text, a number, a `Figure` (a value with its interval and n) or None; what a table is, is said by its title
and note. Tables of content that other parts of the program write are made by `table_of`, whatever their keys are.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from discern_vqa.scoring.stored import is_number


@dataclass(frozen=True)
class Figure:
    """A value with the ends of its 95 % interval and the questions it rests on; None where nothing is known."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    digits: int = 1
    signed: bool = False  # a difference, which is written with its sign

    @property
    def middle(self) -> str:
        """The value as text."""
        return self._written(self.value)

    @property
    def ends(self) -> str:
        """The interval as text: "66.4–76.0", or "-2.6 to +3.0" of a difference; "" where there is none."""
        if self.low is None or self.high is None:
            return ""
        between = " to " if self.signed or self.low < 0 else "–"
        return f"{self._written(self.low)}{between}{self._written(self.high)}"

    def said(self) -> str:
        """Value and interval as text."""
        if self.low is None or self.high is None:
            return self.middle
        return f"{self.middle} [{self._written(self.low)}, {self._written(self.high)}]"

    def _written(self, value: float) -> str:
        return f"{value:{'+' if self.signed else ''}.{self.digits}f}"


Cell = str | int | float | Figure | None
_LONG = 14


@dataclass(frozen=True)
class Table:
    """name: the stem of its files; columns: titles, the first that of the rows; rows: cells, as many as columns."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    marked: Sequence[int] = field(default=())  # rows of the model that is reported

    def __post_init__(self) -> None:
        odd = [row for row in self.rows if len(row) != len(self.columns)]
        if odd:
            raise ValueError(f"table {self.name}: {len(self.columns)} columns, and a row {odd[0]}")

    @property
    def worded(self) -> list[bool]:
        """Which columns hold sentences: those are set flush left and may run over several lines."""
        columns = [[cell for row in self.rows if (cell := row[place])] for place in range(len(self.columns))]
        return [all(isinstance(one, str) for one in cells) and max(map(len, map(str, cells)), default=0) > _LONG
                for cells in columns]  # fmt: skip


def in_percent(
    share: float | None, ends: Sequence[float] | None = None, n: int | None = None, signed: bool = False
) -> Figure | None:
    """A share, or the difference of two, in % with the ends of its interval; None for nothing."""
    if share is None:
        return None
    low, high = (100 * end for end in ends) if ends else (None, None)
    return Figure(100 * share, low, high, n, signed=signed)


def percent(figure: Mapping[str, Any] | None) -> Figure | None:
    """A figure of `scores.json` in %; None for nothing."""
    return in_percent(figure.get("accuracy"), figure.get("ci95"), figure.get("n")) if figure else None


def said(cell: Cell) -> str:
    """A cell as text; a dash for nothing."""
    if cell is None or cell == "":
        return "–"
    if isinstance(cell, Figure):
        return cell.said()
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def table_of(name: str, title: str, content: Mapping[str, Any], note: str = "") -> Table | None:
    """A table of anything that JSON holds: a row for each key whose value is an object, with a column for each name
    that occurs in one; single values become rows of one value. None where there is nothing to show."""
    if _cell(content) is not None or any(key.endswith("ci95") for key in content):
        content = {title.lower(): content}
    objects = {key: value for key, value in content.items() if isinstance(value, Mapping) and _cell(value) is None}
    single = {key: _cell(value) for key, value in content.items() if key not in objects}
    single = {key: value for key, value in single.items() if value is not None}
    flat = {key: _flat(value) for key, value in objects.items()}
    flat = {key: cells for key, cells in flat.items() if cells}
    named = list(dict.fromkeys(column for cells in flat.values() for column in cells))
    columns = ["", *(["value"] if single else []), *map(_spoken, named)]
    blank: list[Cell] = [None] * len(named)
    rows: list[list[Cell]] = [[_spoken(key), value, *blank] for key, value in single.items()]
    gap: list[Cell] = [None] if single else []
    rows += [[_spoken(key), *gap, *(cells.get(column) for column in named)] for key, cells in flat.items()]
    return Table(name, title, columns, rows, note) if rows else None


def _flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Cell]:
    """Every value with its name; a value and its interval (`share`, `share_ci95`; `points`, `ci95`) are one figure."""
    cells: dict[str, Cell] = {}
    for key, value in content.items():
        cell = _cell(value)
        if cell is not None:
            cells[f"{prefix}{key}"] = cell
        elif isinstance(value, Mapping):
            cells |= _flat(value, f"{prefix}{key}, ")
    lone = next((key for key in ("points", "value", "mean", "accuracy") if is_number(content.get(key))), "")
    for key, ends in content.items():
        whose = lone if key == "ci95" else key.removesuffix("_ci95") if key.endswith("_ci95") else ""
        if whose and _is_pair(ends) and is_number(content.get(whose)):
            cells[f"{prefix}{whose}"] = Figure(content[whose], ends[0], ends[1], _n(content), digits=3)
    return cells


def _cell(value: Any) -> Cell:
    """One value; an object that is a figure (docs/metrics.md) is one too. Lists and other objects are None."""
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, Mapping):
        numbers = [key for key, one in value.items() if is_number(one) and key not in _ABOUT]
        if set(value) - _ABOUT - {"ci95"} == {"accuracy"} and is_number(value["accuracy"]):
            return percent({**value, "n": _n(value), "ci95": value["ci95"] if _is_pair(value.get("ci95")) else None})
        if len(numbers) == 1 and _is_pair(value.get("ci95")):  # what is nested beside them stays in its file
            return Figure(value[numbers[0]], value["ci95"][0], value["ci95"][1], _n(value), digits=3)
    return None


_ABOUT = frozenset({"n", "correct", "images"})


def _n(content: Mapping[str, Any]) -> int | None:
    n = content.get("n")
    return n if isinstance(n, int) else None


def _is_pair(ends: Any) -> bool:
    return isinstance(ends, list | tuple) and len(ends) == 2 and all(map(is_number, ends))


def _spoken(key: str) -> str:
    return key.replace("_", " ")
