"""The files in which other programs keep answers: one module for each program, found by its name. No torch here.

A module of this folder has

    SUMMARY          which program and which of its files
    KEYS             the keys that its records have, for messages
    INSIDE           the key of a JSON object under which its records are a list; "" where the file is the list itself
    is_of(values)    whether a record, its values by key, is one of that program
    lines(records)   -> a `Line` for each answer, and sentences about what was left out or chosen

The name on the command line has hyphens where the file's has underscores. What each format means was taken from the
program's own code, which is named in its file; none of it is copied.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from discern_vqa import registry
from discern_vqa.errors import ConfigError, did_you_mean
from discern_vqa.reading.records import Record


@dataclass(frozen=True)
class Line:
    """One answer: the record that it stands in, and its values by field of `scoring.given_files.FIELDS`."""

    record: Record
    fields: Mapping[str, Any]


class Tool(Protocol):
    """A module of this folder."""

    SUMMARY: str
    KEYS: tuple[str, ...]
    INSIDE: str

    def is_of(self, values: Mapping[str, Any]) -> bool: ...

    def lines(self, records: Sequence[Record]) -> tuple[list[Line], list[str]]: ...


def names() -> list[str]:
    """The programs, as they are called on the command line."""
    return [name.replace("_", "-") for name in registry.names("scoring.tools")]


def load(name: str) -> Tool:
    """The program of that name. Raises ConfigError that suggests the nearest one."""
    if name not in names():
        hint = did_you_mean(name, names(), f"there are: {', '.join(names())}; leave --from out for a table of your own")
        raise ConfigError(f"there is no program {name!r} whose files are known", hint=hint)
    return cast(Tool, registry.load("scoring.tools", name.replace("-", "_")))


def every() -> dict[str, Tool]:
    """All of them, by name."""
    return {name: load(name) for name in names()}
