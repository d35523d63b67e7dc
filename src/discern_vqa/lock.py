"""One command at a time in a folder: a lock that the system itself takes back when its holder dies."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from discern_vqa.errors import RunError

NAME = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder` for one command. Raises RunError when another one is at work in it, or nothing can be written. A
    folder that was made for this and stayed empty is removed."""
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _held(folder / NAME)
    except BlockingIOError as error:
        raise RunError(
            f"another command is at work in {folder} (process {error.strerror or 'unknown'})",
            hint="wait for it, or choose another --out",
        ) from None
    except OSError as error:
        raise RunError(
            f"nothing can be written into {folder}: {error.strerror}",
            hint="choose another --out, a folder that can be made and written into",
        ) from error
    with file:
        with suppress(OSError):  # a full disk: the lock holds without its number
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file; an old one keeps nobody out
                (folder / NAME).unlink(missing_ok=True)
                if is_new:
                    folder.rmdir()


def _held(path: Path) -> TextIO:
    """The lock's file, open and held. Raises BlockingIOError with its holder's number."""
    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115  (whoever asked closes it)
        try:
            _take(file.fileno())
            if path.exists() and os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return file
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip()
            file.close()
            raise BlockingIOError(error.errno, holder) from None
        except OSError:  # a file system without locks: one has to do without
            return file
        file.close()  # its last holder removed it between the opening and the taking


def _take(descriptor: int) -> None:
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        import msvcrt

        lock = getattr(msvcrt, "locking")  # noqa: B009  (unknown to type checkers elsewhere)
        lock(descriptor, getattr(msvcrt, "LK_NBLCK"), 1)  # noqa: B009
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
