"""A file that lies in the place of a table: a pointer of git-lfs or git-annex, or a web page. It is named for what it
is, whatever its ending says, before anything else is said of its content."""

from pathlib import Path

from discern_vqa.errors import DataError
from discern_vqa.imaging.unread import placeholder
from discern_vqa.paths import is_regular_file

_LOOKED_AT = 4096


class Placeholder(DataError):
    """Something else lies in the place of a file."""


def refuse_placeholder(file: Path) -> None:
    """Raises Placeholder where something else lies in the place of `file`. A file that is not there, or that cannot be
    opened, is left to whoever reads it."""
    try:
        if not is_regular_file(file):
            return
        with open(file, "rb") as opened:
            start = opened.read(_LOOKED_AT)
    except (OSError, ValueError):
        return
    if (what := placeholder(file, start)) is not None:
        raise Placeholder(f"{file} is {what[0]}", hint=what[1])
