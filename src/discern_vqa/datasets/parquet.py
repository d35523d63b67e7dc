"""Neutral Parquet: the records of neutral JSON Lines in a table that carries its images. For the hub, to convert to.

    data/train-00000-of-00001.parquet, ...   or one file with all splits
    id, split, question, answer, caption, answer_type, organ, modality, language, phrase_type, group, patient, study,
    twin, mask: text ("" where there is none); question_type, choices: lists of text
    image: {"path": "images/a.png", "bytes": b"..."}       path is the image's identity, as in JSON Lines
    files: [{"path": "masks/a.png", "bytes": b"..."}]      masks and label maps, named like images
    extra: JSON text of an object

`datasets.load_dataset("parquet", data_files=...)`, or `load_dataset(FOLDER)`, reads it with `image` decoded. Written by
`discern data convert NAME ROOT OUT.parquet`, or into a folder by `... OUT` without an ending, a file for each split
there. With `embed=False` the bytes are left out and `location` says where the image lies.

On reading, images and other files are unpacked once into the user's cache, under their own names, so that the samples
are those that were written (`path` and `source` aside). Further columns go to `extra`, if JSON can hold their values.

Tables of other programs are read too: columns of other names are mapped, with the options and repairs of the reader
`csv`; `image` may be bytes, a {"bytes", "path"} of which either is null, or the name of a file below the table's
folder. An image without a name, or with one that another image has, is called after its content. Rows that say no split
are of the split that their file is named after ("train-00000-of-00002.parquet") where all files are, or of `use_as`.

Traps: an image that many questions are about is stored once in a row group (of some 64 MB), by a dictionary; programs
that rewrite the table without one make it much larger. Licence: that of the data.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import SPLITS as ALL_SPLITS
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError
from discern_vqa.reading import own_table, parquet
from discern_vqa.reading.image_files import tiny_images
from discern_vqa.reading.neutral import KNOWN
from discern_vqa.reading.own_images import OwnImages
from discern_vqa.reading.parquet_write import write as write
from discern_vqa.reading.records import (
    Record,
    is_file,
    near_file,
    parse_json,
    require_folder,
    require_record,
    require_split,
)
from discern_vqa.reading.shapes import READERS
from discern_vqa.reading.spellings import split_name
from discern_vqa.reading.table_files import Table
from discern_vqa.reading.table_options import TableOptions
from discern_vqa.reading.unpacked import Unpacked

SUMMARY = "your own data as Parquet with its images (what `discern data convert` writes; loadable with `datasets`)"
LICENCE = "that of your data"
SPLITS = ALL_SPLITS
PUBLISHED: dict[str, int] = {}

_NOT_KEPT = {"image", "files", "location"}


def read(
    root: Path,
    split: str,
    *,
    columns: Mapping[str, str] | None = None,
    values: Mapping[str, Mapping[str, str]] | None = None,
    images: str = "",
    use_as: str = "train",
    join: str = "",
    skipped: list[str] | None = None,
) -> list[Sample]:
    """The samples of one split, in the order of files and rows; none when all rows belong to other splits.

    Args:
        root: a Parquet file, or a folder that holds some (or `data/` with some).
        columns: field -> column, or the way to a value inside a column ("image.path").
        values, use_as, join: as in the reader `csv`.
        images: the folder of images that the rows name and do not hold, relative to the table's folder.

    Raises:
        DataError: a file is missing or damaged, or a row breaks the format (all rows are checked first).
        ConfigError: an option names a field, column or split that does not exist, or pyarrow is not installed.
    """
    require_split(split, SPLITS, "parquet")
    options = TableOptions(
        reader="parquet",
        root=Path(root),
        columns=columns or {},
        values=values or {},
        images=images,
        use_as=use_as,
        join=join,
    )
    files = _files(Path(root))
    unpacked, by_split = Unpacked(_folder_of(files)), _by_split(files)
    samples: list[Sample] = []
    for file_split, parts in by_split.items():
        own_images = OwnImages(parts[0].parent, images, options.for_images)
        samples += own_table.read_one(
            parts[0],
            options,
            file_split,
            split,
            partial(_located, own_images, unpacked),
            skipped,
            partial(_opened, parts),
        )
    return samples


def present(root: Path) -> tuple[str, ...]:
    """The splits that files are named after, or all four. Raises DataError: there is no file."""
    named = _by_split(_files(Path(root)))
    return tuple(split for split in SPLITS if split in named) if "" not in named else SPLITS


def _files(root: Path) -> list[Path]:
    if root.suffix == ".parquet" and not root.is_dir():
        return [root]
    require_folder(root)
    files = sorted(path for pattern in ("*.parquet", "data/*.parquet") for path in root.glob(pattern))
    if not files:
        tables = sorted(path for path in root.iterdir() if path.suffix.lower() in READERS)
        hint = "name a .parquet file or the folder of such files"
        if tables:
            hint = f"read {tables[0].name}: {TableOptions(reader='parquet', root=tables[0]).command()}"
        raise DataError(f"{root} holds no Parquet file", hint=hint)
    return files


def _by_split(files: Sequence[Path]) -> dict[str, list[Path]]:
    """Split -> its files, where every file is named after one ("train-00000-of-00002.parquet"); else all under ""."""
    by_split: dict[str, list[Path]] = {}
    for file in files:
        by_split.setdefault(split_name(re.split(r"-[0-9]{5}-of-", file.stem)[0]), []).append(file)
    return by_split if "" not in by_split and len(files) > 1 else {"": list(files)}


def _folder_of(files: Sequence[Path]) -> str:
    """The folder in the cache: of these very files, as they are now."""
    named = hashlib.sha256()
    for file in files:
        if not is_file(file):
            raise DataError(f"the file {file} is not there", hint=near_file(file))
        about = file.stat()
        named.update(f"{file.resolve()}:{about.st_size}:{about.st_mtime_ns}\n".encode())
    return f"parquet/{named.hexdigest()[:20]}"


def _opened(files: Sequence[Path]) -> Table:
    return Table(tuple(parquet.column_names(files[0])), map(_record, parquet.rows(files, (), others=True)))


def _record(row: parquet.Row) -> Record | DataError:
    """A row with its `extra` taken apart; what is null or empty is left out, and what JSON cannot hold."""
    try:
        extra = parse_json(row.values.get("extra") or "{}", f"{row.source}: 'extra'", lines=False)
        if not isinstance(extra, dict):
            raise row.unexpected("extra", extra, "a JSON object")
        if clash := KNOWN & extra.keys():
            raise row.broken(f"'extra' has the name of a field, {min(clash)!r}")
    except DataError as error:
        return error
    values = {key: value for key, value in row.values.items() if key != "extra" and value not in (None, "", [])}
    return parquet.Row({**extra, **values}, row.source, row.number, row.file)


def _located(images: OwnImages, unpacked: Unpacked, record: Record) -> tuple[Record, Path]:
    """The record with its image's identity, and where the image lies: unpacked with the row's other files, or where
    `location` says, or below the table's folder."""
    for values in record.values.get("files") or ():
        name = require_record(values, record.source).text("path", verbatim=True)
        unpacked.by_name(name, parquet.embedded(values, record.source), record.source)
    held = record.values.get("image")
    named: Any = held if isinstance(held, str) else held.get("path") if isinstance(held, Mapping) else ""
    name = named if isinstance(named, str) else ""
    is_held = not isinstance(held, str) and (not isinstance(held, Mapping) or held.get("bytes") is not None)
    location = record.optional("location", verbatim=True)
    values = {key: value for key, value in record.values.items() if key not in _NOT_KEPT and _is_json(value)}
    if name and not is_held:
        file = images.folder / location
        if location and not is_file(file):
            raise DataError(f"{record.source}: the image {name!r} is not at {file}", hint=near_file(file))
        image, path = (name, file) if location else images.find(name, record.source)
    else:
        data = parquet.embedded(held, record.source)
        if name and not unpacked.is_another(name, data):
            image, path = name, unpacked.by_name(name, data, record.source)
        else:
            image, path = unpacked.by_content(data, record.source)
    return replace(record, values={**values, "image": image}), path


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


def write_tiny(root: Path) -> None:
    """Eight rows of four splits about four images, one with a mask, in a file for each split."""
    images = root.parent / f".{root.name}.pictures"
    tiny_images(images, ("images/a.png", "images/b.png", "images/c.png", "images/d.png", "masks/a.png"))
    rows: list[tuple[str, str, str, str, str, dict[str, Any]]] = [
        ("pretrain", "a", "", "", "", {}),
        ("train", "a", "Is there a mass?", "yes", "closed", {"mask": "masks/a.png", "twin": "t1"}),
        ("train", "a", "Where is the mass?", "left", "open", {"question_type": ("POS",), "extra": {"ward": 3}}),
        ("train", "b", "CT or MRI?", "CT", "closed", {"choices": ("CT", "MRI"), "twin": "t1"}),
        ("validation", "c", "这是什么?", "肿块", "open", {"language": "zh"}),
        ("validation", "c", "Which plane?", "axial", "", {"patient": "p3", "study": "s4", "group": "p3"}),
        ("test", "d", "Is there a mass?", "no", "closed", {"organ": "head", "modality": "ct"}),
        ("test", "d", "How large is it?", "5.1 cm", "open", {"phrase_type": "para"}),
    ]
    samples = [
        Sample(
            id=str(number),
            split=split,
            image=f"images/{name}.png",
            path=images / "images" / f"{name}.png",
            question=question,
            answer=answer,
            caption="" if question else "Axial CT with a mass on the left.",
            answer_type=kind,
            **more,
        )
        for number, (split, name, question, answer, kind, more) in enumerate(rows)
    ]
    write(samples, root)
    shutil.rmtree(images)
