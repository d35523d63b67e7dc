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

Traps: an image that many questions are about is stored once in a row group (of some 64 MB), by a dictionary; programs
that rewrite the table without one make it much larger. Licence: that of the data.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import SPLITS as ALL_SPLITS
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError
from discern_vqa.reading import parquet
from discern_vqa.reading.image_files import tiny_images
from discern_vqa.reading.neutral import KNOWN, sample_of, split_of
from discern_vqa.reading.parquet_write import LISTS, TEXTS
from discern_vqa.reading.parquet_write import write as write
from discern_vqa.reading.records import (
    Record,
    collect,
    is_file,
    near_file,
    parse_json,
    require_folder,
    require_record,
    require_split,
)
from discern_vqa.reading.unpacked import Unpacked

SUMMARY = "your own data as Parquet with its images (what `discern data convert` writes; loadable with `datasets`)"
LICENCE = "that of your data"
SPLITS = ALL_SPLITS
PUBLISHED: dict[str, int] = {}

_OWN = {*TEXTS, *LISTS, "image", "files", "extra", "location"}


def read(root: Path, split: str, *, skipped: list[str] | None = None) -> list[Sample]:
    """The samples of one split, in the order of files and rows; none when all rows belong to other splits.

    `root`: a Parquet file, or a folder that holds some (or `data/` with some).

    Raises:
        DataError: a file is missing or damaged, or a row breaks the format (all rows are checked first).
        ConfigError: pyarrow is not installed.
    """
    require_split(split, SPLITS, "parquet")
    files = _files(Path(root))
    unpacked = Unpacked(_folder_of(files))

    def samples(row: parquet.Row) -> Iterator[Sample]:
        record = _record(row)
        is_wanted = split_of(record) == split
        yield sample_of(record, _locate(row, record.values["image"], unpacked) if is_wanted else row.file)

    nothing = DataError(f"{root} has no usable row", hint="give a file that `discern data convert` wrote")
    return collect(parquet.rows(files, ("image", "split"), others=True), samples, split, skipped, nothing)


def _files(root: Path) -> list[Path]:
    if root.suffix == ".parquet":
        return [root]
    require_folder(root)
    found = sorted([*root.glob("*.parquet"), *root.glob("data/*.parquet")])
    if not found:
        raise DataError(f"{root} holds no Parquet file", hint="name a .parquet file or the folder of such files")
    return found


def _folder_of(files: Sequence[Path]) -> str:
    """The folder in the cache: of these very files, as they are now."""
    named = hashlib.sha256()
    for file in files:
        if not is_file(file):
            raise DataError(f"the file {file} is not there", hint=near_file(file))
        about = file.stat()
        named.update(f"{file.resolve()}:{about.st_size}:{about.st_mtime_ns}\n".encode())
    return f"parquet/{named.hexdigest()[:20]}"


def _record(row: parquet.Row) -> Record:
    """The neutral record of a row: what is null or empty is left out, `extra` is taken apart."""
    image, source = row.values["image"], row.source
    if not isinstance(image, Mapping) or not image.get("path"):
        raise row.broken("'image' has no path, which is the image's name")
    record = {key: row.values[key] for key in (*TEXTS, *LISTS) if row.values.get(key) not in (None, "", [])}
    extra = parse_json(row.values.get("extra") or "{}", f"{source}: 'extra'", lines=False)
    if not isinstance(extra, dict):
        raise row.unexpected("extra", extra, "a JSON object")
    others = {key: value for key, value in row.values.items() if key not in _OWN and _is_json(value)}
    if clash := KNOWN & {*extra, *others}:
        raise row.broken(f"'extra' has the name of a field, {min(clash)!r}")
    name = require_record(image, source).text("path", verbatim=True)
    return Record({**others, **extra, **record, "image": name}, source, row.number)


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return value is not None


def _locate(row: parquet.Row, image: str, unpacked: Unpacked) -> Path:
    """Where the row's image lies: unpacked with the row's other files, or where `location` says."""
    for values in row.values.get("files") or ():
        name = require_record(values, row.source).text("path", verbatim=True)
        unpacked.by_name(name, parquet.embedded(values, row.source), row.source)
    if row.values["image"].get("bytes") is None:
        location = row.file.parent / str(row.values.get("location") or image)
        if not is_file(location):
            raise DataError(f"{row.source}: the image {image!r} is not at {location}", hint=near_file(location))
        return location
    return unpacked.by_name(image, parquet.embedded(row.values["image"], row.source), row.source)


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
