"""`discern data get`: downloads a public data set from its reader's sources into one folder; a second call resumes."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from types import ModuleType

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_write_text, from_json
from discern_vqa.reading.archives import unpack
from discern_vqa.reading.download import Progress, download
from discern_vqa.reading.sources import File, Source

RECORD = ".discern-get.json"
"""What was fetched, from where, under which licence: name -> {"url", "checksum"}."""


def sources_of(reader: ModuleType, name: str, part: str = "") -> tuple[str, tuple[Source, ...]]:
    """(part, its sources); the first part if none is named.

    Raises ConfigError: the set cannot be downloaded (the hint names its source), or there is no such part.
    """
    parts: dict[str, tuple[Source, ...]] = getattr(reader, "GET", {})
    if not parts:
        source = getattr(reader, "SOURCE", "")
        where = f"download it by hand: it is {source}" if source else f"{name} reads your own data: nothing to download"
        if hasattr(reader, "draw"):
            where = f"draw it: discern data draw {name} DIR"
        raise ConfigError(f"{name} cannot be downloaded by a program", hint=where)
    part = part or next(iter(parts))
    if part not in parts:
        raise ConfigError(f"{name} has no part {part!r}", hint=f"there are: {', '.join(parts)}")
    return part, parts[part]


def get(
    files: Sequence[File],
    root: Path,
    licence: str,
    tell: Callable[[str], None] = lambda line: None,
    progress: Callable[[File], Progress] = lambda file: lambda done, whole: None,
    wait_s: float = 2.0,
) -> None:
    """Fetches `files` into `root`, and unpacks the archives among them. What a former call has fetched is passed over.

    Raises DataError when a file cannot be fetched or is not what its owner states; what is there stays.
    """
    fetched = _fetched(root)
    for file in files:
        former = fetched.get(file.name)
        if former and former["checksum"] == file.checksum and (file.unpack or (root / file.name).is_file()):
            tell(f"{file.name}: there already")
            continue
        target = _inside(root, file.name)
        url = download(file.urls, target, file.size, file.checksum, progress(file), wait_s)
        tell(f"{file.name}: {'checked' if file.checksum else 'fetched, its owner states no checksum'}")
        if file.unpack:
            folder = root / file.into
            try:
                tell(f"{file.name}: unpacked {unpack(target, folder):,} files")
            finally:
                target.unlink()
            for inner in file.inner:
                for archive in sorted(folder.rglob(inner)):
                    tell(f"{archive.name}: unpacked {unpack(archive, archive.parent):,} files")
                    archive.unlink()
        fetched[file.name] = {"url": url, "checksum": file.checksum}
        atomic_write_text(root / RECORD, json.dumps({"files": fetched, "licence": licence}, indent=2) + "\n")


def _inside(root: Path, name: str) -> Path:
    relative = PurePosixPath(name)
    if relative.is_absolute() or ".." in relative.parts or not relative.parts:
        raise DataError(f"the service lists a file {name!r}, which leads out of {root}", hint="do not use this service")
    return root / relative


def _fetched(root: Path) -> dict[str, dict[str, str]]:
    file = root / RECORD
    if not file.exists():
        return {}
    try:
        return dict(from_json(file.read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} cannot be read: {error}", hint="remove it: everything is downloaded again") from error
