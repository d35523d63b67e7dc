"""Archives from the network, unpacked without trusting them: nothing leaves the folder, nothing fills the disk."""

import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from discern_vqa.errors import DataError
from discern_vqa.files import atomic_path
from discern_vqa.reading.download import require_room

MOST_TIMES_LARGER = 300
"""An archive that grows by more than this is refused: images grow by 1 to 2, JSON by 10 to 20."""

_HINT = "do not use this file; download it from its owners by hand and inspect it"


def unpack(archive: Path, folder: Path) -> int:
    """Unpacks a zip file into `folder`, each file whole or not at all; returns how many files there were.

    Raises DataError when it is no archive, damaged, holds a name that leads out or a link, or is too large unpacked.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return _unzip(opened, archive, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}", hint="it may be cut off: fetch it again") from error


def _unzip(opened: zipfile.ZipFile, archive: Path, folder: Path) -> int:
    members = [member for member in opened.infolist() if not member.is_dir() and not _is_clutter(member.filename)]
    size = sum(member.file_size for member in members)
    if size > MOST_TIMES_LARGER * archive.stat().st_size + 1_000_000:
        raise DataError(
            f"{archive} would grow to {size / 1e9:.1f} GB: which is too large for an archive of images", hint=_HINT
        )
    require_room(archive.name, size, folder)
    for member in members:
        if (member.external_attr >> 16) & 0o170000 == 0o120000:
            raise DataError(f"{archive} holds a link, {member.filename!r}", hint=_HINT)
        target = _target(member.filename, archive, folder)
        with opened.open(member) as source:
            _copy(source, target, member.file_size, archive)
    return len(members)


def _is_clutter(name: str) -> bool:
    """What other systems leave in archives."""
    return name.startswith("__MACOSX/") or name.rsplit("/", 1)[-1] in (".DS_Store", "Thumbs.db")


def _target(name: str, archive: Path, folder: Path) -> Path:
    plain = PurePosixPath(name.replace("\\", "/"))
    if plain.is_absolute() or ".." in plain.parts or ":" in plain.parts[0] or "\0" in name:
        raise DataError(f"{archive} holds a name that leads out of its folder, {name!r}", hint=_HINT)
    return folder / plain


def _copy(source: IO[bytes], target: Path, size: int, archive: Path) -> None:
    with atomic_path(target) as partial:
        written = 0
        with open(partial, "wb") as file:
            while chunk := source.read(1 << 20):
                written += len(chunk)
                if written > size:
                    raise DataError(f"{archive} holds more bytes than it states, in {target.name!r}", hint=_HINT)
                file.write(chunk)
