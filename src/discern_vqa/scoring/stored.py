"""The JSON files of a run folder. This program alone writes them, so their keys are not checked one by one: whatever
has become of a file since is one kind of error. No torch here.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from discern_vqa.errors import RunError
from discern_vqa.files import from_json, read_json

_OF_FILES = (OSError, SafetensorError, ValueError)
_OF_CONTENT = (LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
"""What is raised by a file that was cut off, edited by hand or written by another version."""


@contextmanager
def own_file(file: Path | str, hint: str) -> Iterator[None]:
    """For reading a file that this program has written, and for working with its content. Raises RunError that names
    the file, for whatever does not fit; errors of this program, which name their file already, pass."""
    try:
        yield
    except FileNotFoundError as error:
        raise RunError(f"there is no {file}", hint=hint) from error
    except (*_OF_FILES, *_OF_CONTENT) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise RunError(f"{file} is broken: {reason}", hint=hint) from error


def read_object(path: Path, hint: str) -> dict[str, Any]:
    """The object that a JSON file of a run holds. Raises RunError where it is none."""
    return read_json(path, hint)


def read_lines(path: Path, hint: str) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file; a torn last line of a run that was killed is left out."""
    with own_file(path, hint):
        lines = path.read_bytes().split(b"\n")
    objects = []
    for number, line in enumerate(lines, start=1):
        try:
            if line.strip():
                objects.append(from_json(line.decode("utf-8")))
                if not isinstance(objects[-1], dict):
                    raise ValueError(f"expected an object, found {line.decode()[:40]}")
        except ValueError as error:
            if number < len(lines) or not isinstance(error, JSONDecodeError | UnicodeDecodeError):
                raise RunError(f"{path}:{number} is broken: {error}", hint=hint) from error
    return objects


def is_number(value: Any) -> bool:
    """Whether a value, of JSON or TOML, is a finite number that fits a float; True and False are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
