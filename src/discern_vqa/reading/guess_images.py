"""Where the images of a table lie, for `guess`: a folder in which the reader finds what the table names."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from discern_vqa.errors import DataError
from discern_vqa.imaging.endings import is_image_name, may_be_image
from discern_vqa.reading.guess_tables import Peek
from discern_vqa.reading.own_images import OwnImages

_ASKED = 200
"""Different cells of a column that are looked for."""
_FOLDERS = 50
"""Folders that are tried."""


@dataclass(frozen=True)
class Place:
    """`share` of the cells that name an image found with the option `images` (which needs none where it is ""); dicom:
    where these are DICOM files, the folder from which the cells name them; lines: what is to be said."""

    images: str
    share: float
    dicom: Path | None = None
    lines: tuple[str, ...] = ()


def place(base: Path, folder: Path, cells: Sequence[str]) -> Place:
    """Where the images that these cells name are found best.

    Args:
        base: the table's folder, from which the option `images` is written.
        folder: what the user gave; images anywhere below it are looked for.
        cells: what the table's column holds.
    """
    return _place(base, folder, tuple(dict.fromkeys(cells))[:_ASKED])


@lru_cache(maxsize=256)
def _place(base: Path, folder: Path, cells: tuple[str, ...]) -> Place:
    if not cells or not any(map(_may_be_a_name, cells)):
        return Place("", 0.0)
    best = Place("", 0.0)
    for images in ("", *_folders(base, folder)):
        found = _found(base, images, cells)
        share = len(found) / len(cells)
        # The folder of the table itself comes first: naming another one has to be worth it.
        if share > best.share + (0.02 if not best.images else 0.0):
            lines = (f"  the images lie in {images}",) if images else ()
            best = Place(images, share, _dicom_root(found), lines)
        if best.share > 0.98:
            break
    if best.share == 0.0 and _may_be_uids(cells) and any(map(_is_dicom, _some_files(folder))):
        return Place("", 1.0, folder)
    return best


def cells_of(table: Peek) -> list[str]:
    """The names of images in records of conversations or pairs of files."""
    for name in ("image", "images.0", "images", "image.0", "image_path", "file_name", "image_id"):
        if texts := table.texts(name):
            return texts
    return []


def _dicom_root(found: dict[str, Path]) -> Path | None:
    """The folder from which most cells name their DICOM files; None where they name ordinary images."""
    if sum(map(_is_dicom, found.values())) * 2 <= len(found):
        return None
    roots = Counter(
        Path(str(path)[: -len(cell)]) for cell, path in found.items() if path.as_posix().endswith(f"/{cell}")
    )
    return roots.most_common(1)[0][0] if roots else next(iter(found.values())).parent


def _found(base: Path, images: str, cells: Sequence[str]) -> dict[str, Path]:
    try:
        index = _index(base, images)
    except DataError:
        return {}
    found = {}
    for cell in cells:
        try:
            _, path = index.find(cell, "")
        except DataError:
            continue
        if may_be_image(path.name) or path.name.lower().endswith(".gz") or "#" in path.name:
            found[cell] = path
    return found


@lru_cache(maxsize=256)
def _index(base: Path, images: str) -> OwnImages:
    return OwnImages(base, images, lambda name: name)


def _folders(base: Path, folder: Path) -> list[str]:
    """The folders below `folder` that hold images, as the option `images` would name them."""
    holding: list[str] = []
    for current, inner, names in os.walk(folder):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        if any(map(is_image_name, names)) and Path(current) != base:
            holding.append(Path(os.path.relpath(current, base)).as_posix())
        if len(holding) >= _FOLDERS:
            break
    return holding


def _may_be_a_name(cell: str) -> bool:
    """Whether a file can have that name: a sentence is none."""
    return 0 < len(cell) < 400 and "\n" not in cell and not cell.endswith("?") and cell.count(" ") < 8


def _may_be_uids(cells: Sequence[str]) -> bool:
    return all(cell.replace(".", "").isdecimal() and cell.count(".") > 4 for cell in cells)


def _some_files(folder: Path) -> list[Path]:
    files = (Path(current) / name for current, _, names in os.walk(folder) for name in names)
    return [file for file, _ in zip(files, range(20), strict=False)]


def _is_dicom(path: Path) -> bool:
    if path.suffix.lower() in (".dcm", ".dicom", ".ima"):
        return True
    if is_image_name(path.name):
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False
