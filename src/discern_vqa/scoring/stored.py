"""JSON of a run folder, read once so that whoever shows it may rely on its shape. No torch here.

Run folders are passed on, cut off by full disks and edited by hand. What is read here is of the shape that its reader
names, no deeper than a walk through it can go, and of numbers and texts that can be written again.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from discern_vqa.errors import RunError
from discern_vqa.files import from_json

DEEPEST = 100
"""Levels of lists and objects; what this program writes has about ten, and Python itself ends near a thousand."""
GREATEST = 10**18
"""Whole numbers beyond it are no counts, and beyond 1e308 they cannot be compared with fractions."""
_WIDEST = 60


class Stored(BaseModel):
    """What a file must be as far as this version shows it; what another version adds is let through as it is."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)


def read_object(path: Path, hint: str, shape: type[Stored] = Stored) -> dict[str, Any]:
    """The object that a JSON file holds. Raises RunError, with key and what was expected, where it is none such;
    FileNotFoundError is the caller's."""
    try:
        content = parsed(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is broken: {error}", hint=hint) from error
    return as_shape(content, shape, str(path), hint)


def read_lines(path: Path, hint: str, shape: type[Stored] = Stored) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file; a torn last line of a run that was killed is left out."""
    found = []
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}", hint="check the file and its permissions") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            content = parsed(line.decode("utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            if number == len(lines):
                break
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise RunError(f"{path}:{number}: not JSON: {reason}", hint=hint) from None
        except ValueError as error:
            raise RunError(f"{path}:{number}: {error}", hint=hint) from None
        found.append(as_shape(content, shape, f"{path}:{number}", hint))
    return found


def parsed(text: str) -> Any:
    """The JSON value of a text. Raises ValueError that says what is wrong with it."""
    content = from_json(text)
    _walk(content)
    return content


def is_number(value: Any) -> bool:
    """Whether a value, of JSON or TOML, is a finite number that fits a float; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _walk(content: Any) -> None:
    """Level by level, so that depth costs nothing. Raises ValueError for what could not be worked with later on."""
    level, depth = [content], 0
    while level:
        if depth > DEEPEST:
            raise ValueError(f"it is nested too deep, more than {DEEPEST} levels")
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += [*one, *one.values()]
            elif isinstance(one, list):
                inner += one
            elif isinstance(one, int) and abs(one) > GREATEST:
                raise ValueError("a number is too long")
            elif isinstance(one, str) and any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in one):
                raise ValueError("a text holds half a character (\\ud800 to \\udfff) or a zero")
        level, depth = inner, depth + 1


def as_shape(content: Any, shape: type[Stored], where: str, hint: str) -> dict[str, Any]:
    """`content` itself, as it was written, once it is known to be of this shape. Raises RunError for the first key
    that is not: its name, what it is and what was expected."""
    if not isinstance(content, dict):
        raise RunError(f"{where} is broken: expected an object, found {_short(content)}", hint=hint)
    try:
        shape.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        if first["type"] == "missing":
            raise RunError(f"{where} has no {key!r}", hint=hint) from None
        said = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        expected = {"model_type": "an object", "dict_type": "an object", "list_type": "a list"}.get(first["type"], said)
        given = f"{key!r} is {_short(first['input'])}" if key else "it is of another shape"
        raise RunError(f"{where} is broken: {given}; expected {expected}", hint=hint) from None
    return content


def _short(value: Any) -> str:
    """As JSON has it, in a few letters."""
    text = str(value) if isinstance(value, float) and not math.isfinite(value) else json.dumps(value)
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}..."
