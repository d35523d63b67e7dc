"""Which columns of a table of questions hold the image, the question and the id, and what is known beforehand of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.column_names import likely_columns
from discern_vqa.reading.records import one_line
from discern_vqa.reading.row import Table

FIELDS = ("image", "question", "id")


@dataclass(frozen=True)
class Known:
    """What is known of tables like this one: the options of the reader of a data set, and the folder of its images."""

    options: Mapping[str, Any] = field(default_factory=dict)
    images: Path | None = None

    def text(self, name: str) -> str:
        """The option of that name; "" where there is none."""
        value = self.options.get(name, "")
        return value if isinstance(value, str) else ""

    @property
    def columns(self) -> Mapping[str, Any]:
        """Field -> the column that holds it."""
        columns = self.options.get("columns", {})
        return columns if isinstance(columns, Mapping) else {}


NOTHING = Known()


def places_of(table: Table, columns: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, str | int]:
    """Where each field stands: a column's number, or a key of JSON. What is given counts first, then a column
    with the field's name, then the `known` one, then one whose name or content says it. Raises DataError, ConfigError.
    """
    if unknown := sorted(columns.keys() - {*FIELDS}):
        raise ConfigError(f"columns: there is no field {unknown[0]!r}", hint=f"there are: {', '.join(FIELDS)}")
    if not table.names:
        return _keys(table, columns, known)
    names = [" ".join(name.split()) for name in table.names]
    lowered = [name.lower() for name in names]
    places: dict[str, str | int] = {}
    for name in FIELDS:
        wanted = columns.get(name)
        if wanted is not None and wanted not in names:
            near = get_close_matches(wanted, names, n=1)
            raise ConfigError(
                f"{table.path} has no column {wanted!r}; its columns are: {one_line(', '.join(names))}",
                hint=f"did you mean {near[0]!r}?" if near else "name one of these columns",
            )
        if wanted is not None or name in lowered:
            places[name] = names.index(wanted) if wanted is not None else lowered.index(name)
        elif known.get(name) in names:
            places[name] = names.index(str(known[name]))
    if missing := [name for name in ("image", "question") if name not in places]:
        taken = {name: names[place] for name, place in places.items() if isinstance(place, int)}
        rows = (
            {column: str(cell or "") for column, cell in zip(names, row.cells, strict=False)} for row in table.rows()
        )
        likely = likely_columns(names, rows, taken)
        places |= {name: names.index(likely[name]) for name in missing if name in likely}
    if missing := [name for name in ("image", "question") if name not in places]:
        options = " ".join(f"--option columns.{name}=NAME" for name in missing)
        raise DataError(
            f"{table.path} has no column {' and no column '.join(map(repr, missing))}; its columns are: "
            f"{one_line(', '.join(names))}",
            hint=f"name the columns that hold them: {options}",
        )
    return places


def _keys(table: Table, columns: Mapping[str, str], known: Mapping[str, Any]) -> dict[str, str | int]:
    """The key of each field in JSON Lines, by the first rows."""
    first = [row.values or {} for row, _ in zip(table.rows(), range(50), strict=False)]
    there = list(dict.fromkeys(key for values in first for key in values))
    own = {name: str(known[name]) for name in FIELDS if known.get(name) in there and name not in there}
    keys = {name: columns.get(name) or own.get(name, name) for name in FIELDS}
    missing = [name for name in ("image", "question") if name not in columns and keys[name] not in there]
    if missing and "caption" not in there:
        likely = likely_columns(there, first, {name: key for name, key in keys.items() if key in there})
        keys |= {name: likely[name] for name in missing if name in likely}
    return dict(keys)


def how_understood(table: Table, places: Mapping[str, str | int]) -> list[str]:
    """Which columns are taken, where their names are others than the fields'."""
    named = {name: table.names[place].strip() for name, place in places.items() if isinstance(place, int)}
    told = [f"{name} is column {column!r}" for name, column in named.items() if column.lower() != name]
    return [f"{table.path.name}: {', '.join(told)}"] if told else []
