"""The fingerprints of files that were looked at before: one SQLite file in the user's cache.

A file is known by the digest of its path, its size and its time of change, so the cache holds no name. Each `put` is
one transaction: a process that is killed loses the chunk at hand and nothing else, and two processes may write.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from discern_vqa.errors import DiscernError
from discern_vqa.imaging.image_ref import file_of
from discern_vqa.paths import cache_dir

VERSION = 1
"""Raised when a fingerprint comes to mean something else: what older programs kept is then forgotten."""

Row = tuple[bytes, bytes, int, int, bytes]

_WAIT_S = 60  # for another process that writes
_TABLE = """create table if not exists prints (
    path blob primary key, bytes integer, changed integer,
    content blob, pixels blob, width integer, height integer, thumbs blob)"""


def cache_file() -> Path:
    """Where the cache lies unless the caller says otherwise."""
    return cache_dir() / "fingerprints.sqlite"


class Cache:
    """`with Cache(file) as known:`; with None it knows nothing and keeps nothing.

    Raises DiscernError where the file cannot be written. One that is no cache (damaged, cut off) is begun anew: all
    that is in it can be computed again.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._base: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        if self._file is None:
            return self
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._open(self._file)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError:  # no SQLite file, or a broken one
                self._close()
                self._file.unlink()
                self._open(self._file)
        except (OSError, sqlite3.Error) as error:
            self._close()
            raise self._unwritable(error) from error
        return self

    def _open(self, file: Path) -> None:
        self._base = base = sqlite3.connect(file, timeout=_WAIT_S)
        base.execute("pragma synchronous = off")  # a power cut may spoil the file; it is then begun anew
        os.chmod(file, 0o600)  # small images of patients: nobody else's business
        if base.execute("pragma user_version").fetchone()[0] != VERSION:
            with base:
                base.execute("drop table if exists prints")
                base.execute(_TABLE)
                base.execute(f"pragma user_version = {VERSION}")
        base.execute("select count(*) from (select 1 from prints limit 1)").fetchone()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        if self._base is not None:
            self._base.close()
            self._base = None

    def get(self, path: Path) -> Row | None:
        """What is known of the file as it is now; None for a file that is new, changed or not there."""
        if self._base is None or (state := _state(path)) is None:
            return None
        columns = "bytes, changed, content, pixels, width, height, thumbs"
        try:
            row = self._base.execute(f"select {columns} from prints where path = ?", (_key(path),)).fetchone()
        except sqlite3.Error as error:
            raise self._unwritable(error) from error
        return row[2:] if row is not None and row[:2] == state else None

    def put(self, rows: Iterable[tuple[Path, Row]]) -> None:
        """Keeps what was found, all of it or nothing. Raises DiscernError when the disk is full."""
        if self._base is None:
            return
        content = [(_key(path), *state, *row) for path, row in rows if (state := _state(path)) is not None]
        try:
            with self._base:
                self._base.executemany("insert or replace into prints values (?, ?, ?, ?, ?, ?, ?, ?)", content)
        except sqlite3.Error as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: Exception) -> DiscernError:
        return DiscernError(
            f"the cache {self._file} cannot be used: {error}",
            hint="free some space, or set XDG_CACHE_HOME to a folder that can be written",
        )


def _key(path: Path) -> bytes:
    return hashlib.sha256(os.fsencode(os.path.abspath(path))).digest()


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(file_of(path))
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns
