"""The fingerprints of files that were looked at before: one SQLite file in the user's cache.

A file is known by the digest of its path, its size and its time of change, so the cache holds no name. Each `put` is
one transaction: a process that is killed loses the chunk at hand and nothing else, and two processes may write.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from discern_vqa.errors import DiscernError
from discern_vqa.imaging.image_ref import file_of
from discern_vqa.imaging.nifti_pair import partner
from discern_vqa.paths import cache_dir

VERSION = 3  # raised when a fingerprint comes to mean something else: what older programs kept is then forgotten

_WAIT_S = 60  # for another process that writes
_TABLE = """create table if not exists prints (
    path blob primary key, bytes integer, changed integer,
    content blob, pixels blob, width integer, height integer, thumbs blob, warnings text)"""


@dataclass(frozen=True)
class Print:
    """The fingerprint of one file; see `fingerprints.Fingerprints` for the fields."""

    content: bytes
    pixels: bytes
    size: tuple[int, int]
    thumbs: bytes
    reason: str = ""
    warnings: tuple[str, ...] = ()


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
        if self._file is not None:
            with self._explained():
                self._file.parent.mkdir(parents=True, exist_ok=True)
                try:
                    self._base = _opened(self._file)
                except sqlite3.OperationalError:
                    raise
                except sqlite3.DatabaseError:  # no SQLite file, or a broken one
                    self._file.unlink()
                    self._base = _opened(self._file)
        return self

    def __exit__(self, *error: object) -> None:
        if self._base is not None:
            self._base.close()

    def get(self, path: Path) -> Print | None:
        """What is known of the file as it is now; None for a file that is new, changed or not there."""
        if self._base is None or (state := _state(path)) is None:
            return None
        columns = "bytes, changed, content, pixels, width, height, thumbs, warnings"
        with self._explained():
            row = self._base.execute(f"select {columns} from prints where path = ?", (_key(path),)).fetchone()
        if row is None or row[:2] != state:
            return None
        content, pixels, width, height, thumbs, warnings = row[2:]
        return Print(content, pixels, (width, height), thumbs, warnings=tuple(warnings.splitlines()))

    def put(self, prints: Mapping[Path, Print]) -> None:
        """Keeps what was found, all of it or nothing. Raises DiscernError when the disk is full."""
        if self._base is None:
            return
        rows = [
            (_key(path), *state, entry.content, entry.pixels, *entry.size, entry.thumbs, "\n".join(entry.warnings))
            for path, entry in prints.items()
            if (state := _state(path)) is not None
        ]
        with self._explained(), self._base:
            self._base.executemany("insert or replace into prints values (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise DiscernError(
                f"the cache {self._file} cannot be used: {error}",
                hint="free some space, or set XDG_CACHE_HOME to a folder that can be written",
            ) from error


def _opened(file: Path) -> sqlite3.Connection:
    base = sqlite3.connect(file, timeout=_WAIT_S)
    try:
        base.execute("pragma synchronous = off")  # a power cut may spoil the file; it is then begun anew
        os.chmod(file, 0o600)  # small images of patients: nobody else's business
        if base.execute("pragma user_version").fetchone()[0] != VERSION:
            with base:
                base.execute("drop table if exists prints")
                base.execute(_TABLE)
                base.execute(f"pragma user_version = {VERSION}")
        base.execute("select count(*) from (select 1 from prints limit 1)").fetchone()  # a spoilt page shows here
    except (OSError, sqlite3.Error):
        base.close()
        raise
    return base


def _key(path: Path) -> bytes:
    return hashlib.sha256(os.fsencode(os.path.abspath(path))).digest()


def _state(path: Path) -> tuple[int, int] | None:
    """Bytes and time of change; of a pair of header and values, those of both."""
    try:
        file = file_of(path)
        states = [os.stat(part) for part in (file, partner(file)) if part is not None]
    except (OSError, ValueError):
        return None
    return sum(state.st_size for state in states), max(state.st_mtime_ns for state in states)
