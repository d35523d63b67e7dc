"""Writing neutral Parquet: the table that `parquet` reads, each image stored once in its row group."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_path
from discern_vqa.imaging.images import open_image
from discern_vqa.reading import parquet as parquet_files
from discern_vqa.reading.neutral import PLAIN, record_of, root_of
from discern_vqa.reading.unpacked import extension

TEXTS = ("id", "split", "question", "answer", "caption", "answer_type", *PLAIN)
LISTS = ("question_type", "choices")
_BYTES_IN_GROUP = 64_000_000
"""Images of one row group, each once: what writing and reading hold at a time."""


def write(samples: Sequence[Sample], path: Path, embed: bool = True) -> list[Path]:
    """Writes `samples` to Parquet; `read` gives the same samples back. Returns the files, each whole or not there.

    `path` ends in .parquet, or is a folder, in which `data/` gets a file for each split. With `embed=False` the
    table says where the images lie instead of holding them.

    Raises:
        ConfigError: pyarrow is not installed.
        DataError: an image cannot be read, or is none.
        ValueError: a key of `extra` has the name of a field.
    """
    path = Path(path)
    if path.suffix == ".parquet":
        _write(samples, path, embed)
        return [path]
    if path.suffix:
        raise ConfigError(f"{path} ends in {path.suffix}", hint="name a file .parquet, or a folder without an ending")
    files = []
    for split in dict.fromkeys(sample.split for sample in samples):
        files.append(path / "data" / f"{split}-00000-of-00001.parquet")
        _write([sample for sample in samples if sample.split == split], files[-1], embed)
    return files


def _write(samples: Sequence[Sample], path: Path, embed: bool) -> None:
    pyarrow, parquet = parquet_files.arrow()
    held = [("bytes", pyarrow.binary()), ("path", pyarrow.string())]
    schema = pyarrow.schema(
        [
            *((name, pyarrow.string()) for name in TEXTS),
            *((name, pyarrow.list_(pyarrow.string())) for name in LISTS),
            ("image", pyarrow.struct([("bytes", pyarrow.dictionary(pyarrow.int32(), pyarrow.binary())), held[1]])),
            ("files", pyarrow.list_(pyarrow.struct(held))),
            ("location", pyarrow.string()),
            ("extra", pyarrow.string()),
        ]
    )
    with (
        atomic_path(path) as partial,
        parquet.ParquetWriter(
            partial, schema, compression="zstd", dictionary_pagesize_limit=1 << 31, store_schema=False
        ) as writer,
    ):
        writer.add_key_value_metadata({"huggingface": json.dumps({"info": {"features": _features()}})})
        for group in _groups(samples, embed):
            writer.write_table(group.table(pyarrow, schema), row_group_size=len(group.rows))


class _Group:
    """The rows of one row group; `bytes` of the column `image` are kept once and pointed at."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.pictures: dict[Path, int] = {}
        self.held: list[bytes] = []

    def table(self, pyarrow: ModuleType, schema: Any) -> Any:
        """As a table of `schema`, the images as a dictionary: Parquet stores each once."""
        plain = [name for name in schema.names if name != "image"]
        columns = {name: pyarrow.array([row[name] for row in self.rows], schema.field(name).type) for name in plain}
        places = pyarrow.array([row["image"] for row in self.rows], pyarrow.int32())
        images = pyarrow.DictionaryArray.from_arrays(places, pyarrow.array(self.held, pyarrow.binary()))
        names = pyarrow.array([row["path"] for row in self.rows], pyarrow.string())
        columns["image"] = pyarrow.StructArray.from_arrays([images, names], names=["bytes", "path"])
        return pyarrow.table([columns[name] for name in schema.names], schema=schema)


def _features() -> dict[str, Any]:
    """What the hub's library needs to know: that the column `image` holds images."""
    text = {"dtype": "string", "_type": "Value"}
    held = {"bytes": {"dtype": "binary", "_type": "Value"}, "path": text}
    return {
        **{name: text for name in TEXTS},
        **{name: {"feature": text, "_type": "List"} for name in LISTS},
        "image": {"_type": "Image"},
        "files": {"feature": held, "_type": "List"},
        "location": text,
        "extra": text,
    }


def _groups(samples: Iterable[Sample], embed: bool) -> Iterator[_Group]:
    group, size = _Group(), 0
    for sample in samples:
        if size > _BYTES_IN_GROUP:
            yield group
            group, size = _Group(), 0
        record = record_of(sample)
        row: dict[str, Any] = {name: record.get(name, "") for name in TEXTS}
        row |= {name: record.get(name, []) for name in LISTS}
        names = [name for name in (sample.mask, sample.extra.get("label_map")) if isinstance(name, str) and name]
        root = root_of(sample.path, sample.image)
        row["files"] = [{"bytes": _bytes(root / name, sample), "path": name} for name in names]
        row["location"] = "" if embed else sample.path.resolve().as_posix()
        row["extra"] = json.dumps(dict(sample.extra), ensure_ascii=False) if sample.extra else ""
        row["path"], row["image"] = sample.image, None
        if embed:
            if sample.path not in group.pictures:
                group.pictures[sample.path] = len(group.held)
                group.held.append(_bytes(sample.path, sample))
                size += len(group.held[-1])
            row["image"] = group.pictures[sample.path]
        size += sum(len(file["bytes"]) for file in row["files"])
        group.rows.append(row)
    if group.rows:
        yield group


def _bytes(path: Path, sample: Sample) -> bytes:
    """The file as it is where every program opens it; what DICOM and NIfTI show as PNG (their tags stay behind)."""
    try:
        content = path.read_bytes() if path.is_file() else b""
        extension(content, sample.source)
    except OSError as error:
        raise DataError(
            f"{sample.source}: cannot read {path}: {error.strerror}", hint="check the file and its permissions"
        ) from error
    except DataError:
        buffer = io.BytesIO()
        open_image(path).save(buffer, format="PNG")
        content = buffer.getvalue()
    return content
