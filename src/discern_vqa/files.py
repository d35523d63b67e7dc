"""Atomic writes: into a temporary file in the target's folder, which is flushed and then renamed. And JSON, read so
that one kind of error covers everything that can be wrong with it."""

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from discern_vqa.errors import DiscernError, RunError
from discern_vqa.timers import timed

_NUMBER = re.compile(r"\(os error (\d+)\)")
"""The error number of the system in a message of safetensors, which writes its files itself."""


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns errors while `path` is written into a DiscernError: a full disk, no permission, a file where a folder
    should be.

    Of safetensors' errors only those that the system caused; the others pass unchanged.
    """
    try:
        yield
    except SafetensorError as error:
        number = _NUMBER.search(str(error))
        if number is None:
            raise
        raise _explained(OSError(int(number[1]), str(error)), path) from error
    except OSError as error:
        raise _explained(error, path) from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path to write to; it becomes `path` when the block ends well, and is removed when it does not.

    A full disk or a folder without permission becomes a DiscernError that names the folder; the old file stays.
    """
    path = Path(path)
    if not path.name:
        raise DiscernError(f"{str(path)!r} is a folder; expected a file to write to", hint="name a file")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with timed("saving"), explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield partial
            with open(partial, "rb") as written:
                os.fsync(written.fileno())
            os.replace(partial, path)
    finally:
        with suppress(OSError):  # a read-only disk, or a file where a folder should be: reported above
            partial.unlink(missing_ok=True)


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to `path`, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def atomic_write_text(path: Path, content: str) -> None:
    """Writes `content` as UTF-8 to `path`, whole or not at all."""
    atomic_write_bytes(path, content.encode("utf-8"))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def from_json(text: str | bytes) -> Any:
    """As `json.loads`, but every problem is a ValueError: JSON that is nested too deep, or a number that is too
    long."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except (ValueError, RecursionError) as error:
        deep = isinstance(error, RecursionError)
        raise ValueError("it is nested too deep" if deep else "a number is too long") from error


def read_json(
    path: Path, hint: str = "restore the file, or train again: discern train RECIPE --out RUN"
) -> dict[str, Any]:
    """The object in a JSON file that this program wrote. Raises RunError when the file is missing or damaged; `hint`:
    what helps then."""
    try:
        content = from_json(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("expected an object")
    except (OSError, ValueError) as error:
        problem = f"there is no {path}" if isinstance(error, FileNotFoundError) else f"{path} is broken: {error}"
        raise RunError(problem, hint=hint) from error
    return content


def _explained(error: OSError, path: Path) -> DiscernError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiscernError(
            f"no space left on the device while writing {path}; the old file is unchanged",
            hint="free some space and run the same command again (a training continues with --resume)",
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return DiscernError(f"cannot write {path}: {reason}", hint="choose another folder, or make this one writable")
