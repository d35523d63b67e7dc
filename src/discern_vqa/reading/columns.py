"""Which of a source's names holds which field of a sample.

A column or key is found by the field's name, in any case ("Question", "IMAGE"). Others are given: the option `columns`
maps fields to them, on the command line as `--option columns.question=Frage`. In JSON that may be the way to a value
inside another: "meta.answer", or "images.0" for the first of a list. `choices` may be several, between bars
("option_A | option_B"). What no field takes goes to `Sample.extra`. Nothing is guessed from what a column holds.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from discern_vqa.reading.neutral import KNOWN
from discern_vqa.reading.shapes import TURNS
from discern_vqa.reading.table_options import FIELDS

_ABSENT = object()
"""Where a record has nothing; null is something."""

_BY_NAME = {field.lower(): field for field in FIELDS}


def field_of(name: str) -> str:
    """The field that has this name, in any case; "" for none."""
    return _BY_NAME.get(name.strip().lower(), "")


def reach(values: Any, path: str) -> Any:
    """The value under a key, or at the end of a way through objects and lists ("meta.0.text"). Raises KeyError."""
    value = _reach(values, path)
    if value is _ABSENT:
        raise KeyError(path)
    return value


def _reach(values: Any, path: str) -> Any:
    if isinstance(values, Mapping):
        if path in values:
            return values[path]
        first, dot, rest = path.partition(".")
        while dot:  # a key may hold dots itself
            if first in values and (value := _reach(values[first], rest)) is not _ABSENT:
                return value
            more, dot, rest = rest.partition(".")
            first = f"{first}.{more}"
        return _ABSENT
    if isinstance(values, list):
        first, dot, rest = path.partition(".")
        if first.isdecimal() and len(first) < 9 and int(first) < len(values):
            return _reach(values[int(first)], rest) if dot else values[int(first)]
    return _ABSENT


def parts_of(field: str, column: str) -> list[str]:
    """The names that are given for a field: several, between bars, for the choices alone."""
    return [part.strip() for part in column.split("|")] if field == "choices" and "|" in column else [column]


class Columns:
    """Takes the fields out of records: first those that `columns` gives, then those that have their own name."""

    def __init__(self, columns: Mapping[str, str], is_neutral: bool = False) -> None:
        """`is_neutral`: the records are those that this program writes, in which "path" says where an image lies."""
        self._is_neutral = is_neutral
        self._given = {field: parts_of(field, column) for field, column in columns.items()}
        self._used = {part for parts in self._given.values() for part in parts}
        self._field_of = cache(field_of)

    def taken(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The record's values by field; what is no field under its own name, or as "published_NAME" where that is the
        name of a field that `columns` takes from elsewhere."""
        taken: dict[str, Any] = {}
        for field, parts in self._given.items():
            found = [value for part in parts if (value := _reach(values, part)) is not _ABSENT]
            if found:
                taken[field] = found[0] if len(parts) == 1 else [value for value in found if value not in ("", None)]
        for name, value in values.items():
            if name in self._used:
                continue
            field = name if name in FIELDS else self._field_of(name)
            if field == "path" and not self._is_neutral:
                field = ""
            if field and field not in self._given and (field == name or field not in values) and field not in taken:
                taken[field] = value
            elif name in KNOWN:
                taken[f"published_{name}"] = value
            else:
                taken[name] = value
        return taken


def names_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys of the records in the order in which they come, those inside objects, and inside the first object of a
    list, with the way to them ("meta.type", "qa.0.q")."""
    names: dict[str, None] = {}
    for values in records:
        _add(values, "", names)
    return list(names)


def _add(values: Mapping[str, Any], before: str, names: dict[str, None], depth: int = 0) -> None:
    for key, value in values.items():
        inside, within = value, f"{before}{key}."
        if key not in TURNS and isinstance(value, list) and value and isinstance(value[0], Mapping):
            inside, within = value[0], f"{within}0."
        if isinstance(inside, Mapping) and inside and depth < 3:
            _add(inside, within, names, depth + 1)
        else:
            names.setdefault(f"{before}{key}")
