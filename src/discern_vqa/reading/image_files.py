"""The image files of a data set: found by their names, and drawn for tiny sets."""

import glob
import io
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_write_bytes
from discern_vqa.paths import what_it_is
from discern_vqa.reading.records import is_file, near_file, one_line


class MissingImage(DataError):
    """A record's image is not there."""

    @classmethod
    def to_leave_out(cls, missing: str) -> tuple[type[DataError], ...]:
        """The problems that a reader leaves out whose option `missing` is "stop" (none) or "leave_out"."""
        if missing not in ("stop", "leave_out"):
            raise ConfigError(f"missing is {missing!r}", hint="choose stop or leave_out")
        return (cls,) if missing == "leave_out" else ()


class Images:
    """The image files under `root`, each looked for once. Only existence is checked; the audit opens them."""

    def __init__(self, root: Path, option: str = "") -> None:
        """`option`: the reader's option that names a folder of images below `root`, for hints; "": it has none."""
        self._root, self._option = root, option
        self._look_once = cache(self._look)
        self._missing = 0

    def find(self, name: str, source: str, at: Path | None = None) -> Path:
        """Where the image `name` (relative to the root, with "/") lies: there, or at `at` when that is given.

        Raises DataError when it is not there or `name` leads out of the root.
        """
        path = self._look_once(name, at)
        if isinstance(path, DataError):
            raise type(path)(f"{source}: {path}", hint=path.hint)
        return path

    def _look(self, name: str, at: Path | None) -> Path | DataError:
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts:
            return DataError(
                f"the image {name!r} leads out of the data set's folder", hint="name it relative to that folder"
            )
        path = at or self._root / relative
        if is_file(path):
            return path
        self._missing += 1
        hint = self._hint(path, name) if self._missing <= 3 else "see the first of these errors"
        return MissingImage(f"the image {name!r} {what_it_is(path)}; expected a file at {one_line(path)}", hint=hint)

    def _hint(self, path: Path, name: str) -> str:
        below = next(self._root.glob(f"*/{glob.escape(name)}"), None) if self._option else None
        if below is not None:
            return f"did you mean --option {self._option}={below.relative_to(self._root).parts[0]}?"
        return near_file(path, f"put the image into {one_line(path.parent)}, or take its records out of the file")


def tiny_images(folder: Path, names: Iterable[str]) -> None:
    """Writes a different image under each of these names."""
    for number, name in enumerate(names):
        tiny_image(folder / name, number)


def tiny_image(path: Path, number: int) -> None:
    """Writes a grey image of 48 x 40 pixels: a shaded field with one disc, different for each `number`."""
    atomic_write_bytes(path, tiny_bytes(number, "PNG" if path.suffix == ".png" else "JPEG"))


def tiny_bytes(number: int, format: str) -> bytes:
    """Such an image as the content of a file."""
    rows, columns = np.mgrid[:40, :48]
    random = np.random.default_rng(number)
    field = 40 + 40 * np.sin(columns / (4 + number % 5)) + rows + random.normal(0, 4, rows.shape)
    disc = (rows - random.integers(10, 30)) ** 2 + (columns - random.integers(10, 38)) ** 2 < random.integers(20, 80)
    image = Image.fromarray(np.clip(np.where(disc, 230, field), 0, 255).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format)
    return buffer.getvalue()
