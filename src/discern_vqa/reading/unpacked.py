"""Images that a data set carries inside its own files (Parquet): written out once, into the user's cache.

A model reads files, so each embedded image becomes one, below `cache_dir()/images/`. It is written when it is not
there yet, whole or not at all. The cache may be deleted at any time: the next reading fills it again.
"""

import hashlib
from pathlib import Path, PurePosixPath

from discern_vqa.errors import DataError
from discern_vqa.files import atomic_write_bytes
from discern_vqa.paths import cache_dir
from discern_vqa.reading.records import one_line, shown

_STARTS = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\x00": "tif",
    b"MM\x00*": "tif",
}


class Unpacked:
    """The files of one data set (or of one file of it) below the cache: `folder` is a name such as "pathvqa"."""

    def __init__(self, folder: str) -> None:
        self.root = cache_dir() / "images" / folder
        self._there: dict[str, bytes] = {}

    def by_content(self, data: bytes, source: str) -> tuple[str, Path]:
        """(image, path) named after the content: equal images are one. Raises DataError when `data` is no image."""
        name = f"images/{hashlib.sha256(data).hexdigest()[:20]}.{extension(data, source)}"
        return name, self.by_name(name, data, source)

    def by_name(self, name: str, data: bytes, source: str) -> Path:
        """Where `data` lies under its own name (relative, with "/"). Raises DataError for a name that leads out."""
        relative = PurePosixPath(name)
        if not name or relative.is_absolute() or ".." in relative.parts or "\0" in name or "\\" in name:
            raise DataError(f"{source}: {shown(name)} is not a valid file name", hint="name it like 'images/a.png'")
        path = self.root / relative
        digest = _digest(data)
        if self._there.get(name) != digest:
            if not self._holds(path, data):
                atomic_write_bytes(path, data)
            self._there[name] = digest
        return path

    def is_another(self, name: str, data: bytes) -> bool:
        """Whether another image was written under this name since the reading began."""
        return self._there.get(name, digest := _digest(data)) != digest

    def _holds(self, path: Path, data: bytes) -> bool:
        try:
            return path.is_file() and path.stat().st_size == len(data)
        except OSError as error:
            raise DataError(
                f"cannot write {one_line(path)}: {error.strerror}", hint="give the image a shorter name"
            ) from error


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def extension(data: bytes, source: str) -> str:
    """The file extension that fits the image `data`. Raises DataError for a format that this program does not open."""
    for start, name in _STARTS.items():
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    raise DataError(
        f"{source}: the embedded image ({len(data)} bytes) is not a PNG, JPEG, TIFF, BMP, GIF or WebP",
        hint="download the file again, or leave the record out (--skip-broken)",
    )
