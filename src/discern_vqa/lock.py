"""One command at a time in a folder, by a lock that the operating system releases when its holder dies."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from discern_vqa.errors import RunError

NAME = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder` for one command. Raises RunError when another command works in it, or nothing can be written. A
    folder that was made for this and stayed empty is removed."""
    is_new = not folder.exists()
    lock = FileLock(folder / NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        while not (folder / NAME).exists():  # its last holder removed it after this lock had opened it
            lock.release()
            lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"another command is at work in {folder}", hint="wait for it, or choose another --out") from None
    except OSError as error:
        raise RunError(
            f"nothing can be written into {folder}: {error.strerror}",
            hint="choose another --out, a folder that can be made and written into",
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no open file; an old one keeps nobody out
            (folder / NAME).unlink(missing_ok=True)
        lock.release()
        if is_new:
            with suppress(OSError):  # it holds files now
                folder.rmdir()
