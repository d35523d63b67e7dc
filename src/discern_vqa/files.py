"""Writes that are whole or not there at all: a temporary file beside the target, flushed, then renamed over it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from discern_vqa.errors import DiscernError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path to write to; it becomes `path` when the block ends well, and is removed when it does not.

    A full disk or a folder without permission becomes a DiscernError that names the folder; the old file stays.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with open(partial, "rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
    except OSError as error:
        raise _explained(error, path) from error
    finally:
        partial.unlink(missing_ok=True)


def atomic_write_bytes(path: Path, content: bytes) -> None:
    """Writes `content` to `path`, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def atomic_write_text(path: Path, content: str) -> None:
    """Writes `content` as UTF-8 to `path`, whole or not at all."""
    atomic_write_bytes(path, content.encode("utf-8"))


def _explained(error: OSError, path: Path) -> DiscernError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiscernError(
            f"no space left on the device while writing {path}; what was there before is untouched",
            hint="free some space and run the same command again (a training goes on with --resume)",
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return DiscernError(f"cannot write {path}: {reason}", hint="choose another folder, or make this one writable")
