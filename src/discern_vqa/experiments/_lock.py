"""One command at a time in a folder: a lock that the system itself takes back when its holder dies."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from discern_vqa.errors import RunError

NAME = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder` for one process. Raises RunError when another one is at work in it, or nothing can be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        opened = open(folder / NAME, "a+", encoding="utf-8")  # noqa: SIM115  (the block below closes it)
    except OSError as error:
        raise RunError(
            f"nothing can be written into {folder}: {error.strerror}",
            hint="choose another --out, a folder that can be made and written into",
        ) from error
    with opened as file:
        try:
            _take(file.fileno())
        except OSError:
            file.seek(0)
            raise RunError(
                f"another command is at work in {folder} (process {file.read().strip() or 'unknown'})",
                hint="wait for it, or choose another --out",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _take(descriptor: int) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        import msvcrt

        lock = getattr(msvcrt, "locking")  # noqa: B009  (unknown to type checkers elsewhere)
        lock(descriptor, getattr(msvcrt, "LK_NBLCK"), 1)  # noqa: B009
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
