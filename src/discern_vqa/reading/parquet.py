"""Parquet files, read row by row with bounded memory. pyarrow is imported where it is used (extra "data")."""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.reading.placeholders import refuse_placeholder
from discern_vqa.reading.records import Record, near_file, one_line, require_folder

BATCH = 64
"""Rows held at once; with an image in each, that is some ten megabytes."""


def arrow() -> tuple[ModuleType, ModuleType]:
    """(pyarrow, pyarrow.parquet). Raises ConfigError where they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError("Parquet files need pyarrow", hint="pip install 'discern-vqa[data]'") from error
    return pyarrow, pyarrow.parquet


def shards(root: Path, split: str, names: Sequence[str]) -> list[Path]:
    """The Parquet files of a split, as the hub lays them out: `data/train-00000-of-00003-<hash>.parquet`, sorted.

    They lie in `root` or in its `data/`, and begin with one of `names`.

    Raises DataError: there is none, or not all of the "-of-00003" are there.
    """
    require_folder(root)
    files: list[Path] = []
    for folder in (root / "data", root):
        for name in names if folder.is_dir() else ():
            files = files or shards_in(folder, name)
    if not files:
        raise DataError(
            f"{root} has no Parquet file of the split {split!r}", hint=near_file(root / f"{names[0]}.parquet")
        )
    parts = files[0].stem.split("-of-")
    expected = int(parts[1][:5]) if len(parts) == 2 and parts[1][:5].isdecimal() else len(files)
    if len(files) != expected:
        raise DataError(
            f"{files[0].parent} has {len(files)} of the {expected} Parquet files of the split {split!r}",
            hint="fetch the others; a split must be whole",
        )
    return files


def shards_in(folder: Path, name: str) -> list[Path]:
    """The files of a folder that are called `name`.parquet or are parts of it, sorted; no copies ("a (1).parquet")."""
    pattern = re.compile(rf"{re.escape(name)}(?:-[0-9]{{5}}-of-[0-9]{{5}}(?:-[0-9a-f]+)?)?\.parquet")
    return sorted(path for path in folder.glob(f"{name}*.parquet") if pattern.fullmatch(path.name) and path.is_file())


@dataclass(frozen=True)
class Row(Record):
    """A row of a Parquet file; its number counts through all files."""

    file: Path


def rows(files: Sequence[Path], columns: Sequence[str], others: bool = False) -> Iterator[Row]:
    """Each row of the Parquet files, as Python values: the `columns`, and with `others` all that are there.

    Raises DataError: a file is damaged, or lacks one of the `columns`.
    """
    pyarrow, parquet = arrow()
    numbers = itertools.count(1)
    for file in files:
        refuse_placeholder(file)
        try:
            with parquet.ParquetFile(file) as opened:
                names = opened.schema_arrow.names
                if missing := [name for name in columns if name not in names]:
                    raise DataError(
                        f"{file} has no column {missing[0]!r}; there are: {one_line(', '.join(names))}",
                        hint="give the data set's own file",
                    )
                batches = opened.iter_batches(batch_size=BATCH, columns=names if others else columns)
                rows_of_file = (row for batch in batches for row in batch.to_pylist())
                for number, row in enumerate(rows_of_file, start=1):
                    yield Row(row, f"{file.name}:row {number}", next(numbers), file)
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _damaged(file, error) from error


def column_names(file: Path) -> list[str]:
    """The names of a file's columns. Raises DataError as `rows`."""
    refuse_placeholder(file)
    pyarrow, parquet = arrow()
    try:
        with parquet.ParquetFile(file) as opened:
            names: list[str] = opened.schema_arrow.names
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(file, error) from error
    return names


def _damaged(file: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:160]
    return DataError(f"{file}: the Parquet file is damaged: {reason}", hint="fetch it again")


def embedded(value: Any, source: str) -> bytes:
    """The bytes of an image column {"bytes": ..., "path": ...}. Raises DataError when there are none."""
    data = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(data, bytes) or not data:
        raise DataError(f"{source}: the image is not embedded", hint="fetch the copy that carries the images")
    return data
