"""One's own data from a table of any kind: the one way from a file's records to samples, whatever the file is.

The readers `csv`, `xlsx`, `json`, `jsonl`, `parquet` and `dicom_folder` say which files they look for in a folder, and
leave the rest to this file and to what it puts together: `table_files` opens, `columns` finds the fields, `tidying`
makes neutral records of them, `own_images` finds the images, and `table_faults` explains what does not fit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from discern_vqa.data.sample import SPLITS, Sample
from discern_vqa.errors import DataError
from discern_vqa.reading.columns import Columns
from discern_vqa.reading.joining import joined
from discern_vqa.reading.neutral import root_of, sample_of
from discern_vqa.reading.own_images import OwnImages
from discern_vqa.reading.records import (
    Record,
    collect,
    is_file,
    near_file,
    one_line,
    require_folder,
    require_split,
    shown,
)
from discern_vqa.reading.shapes import LINES, READERS, TABLES
from discern_vqa.reading.spellings import split_name
from discern_vqa.reading.table_faults import fault_of, header_fault
from discern_vqa.reading.table_files import Table, open_table
from discern_vqa.reading.table_options import TableOptions
from discern_vqa.reading.tidying import Tidier

Locate = Callable[[Record], tuple[Record, Path]]
"""A neutral record -> the record with the image's identity, and where the image lies."""


def tables_of(options: TableOptions, default: str, endings: Sequence[str]) -> list[tuple[Path, str]]:
    """The tables that `root` means, each with the split that its name says ("" for none): the file itself, or those of
    a folder. There it is the file called `default`, or train.csv, val.csv, test.csv and the like, or the only table.

    Raises DataError: there is no table, or which one is meant cannot be known.
    """
    root = options.root
    if root.is_file() or (root.suffix.lower() in (*TABLES, *endings) and not root.is_dir()):
        return [(root, "")]
    require_folder(root)
    if (root / default).is_file():
        return [(root / default, "")]
    there = sorted(path for path in root.iterdir() if path.suffix.lower() in endings and path.is_file())
    by_split = {path: split for path in there if (split := split_name(path.stem))}
    if {"train", "pretrain"} & {*by_split.values()} and len(set(by_split.values())) == len(by_split):
        return list(by_split.items())
    if len(there) == 1:
        return [(there[0], "")]
    if there:
        names = one_line(", ".join(path.name for path in there[:5]))
        raise DataError(
            f"{root} holds {len(there)} tables: {names}", hint=f"name one: {replace(options, root=there[0]).command()}"
        )
    others = sorted(path for path in root.iterdir() if path.suffix.lower() in READERS)
    if others:
        command = replace(options, root=others[0]).command()
        raise DataError(f"{root} holds no table ({', '.join(endings)})", hint=f"read {others[0].name}: {command}")
    hint = near_file(root / default, f"put the table into {root}, or name it instead of the folder")
    raise DataError(f"{root} holds no table ({', '.join(endings)})", hint=hint)


def present_in(reader: str, root: Path, default: str, endings: Sequence[str]) -> tuple[str, ...]:
    """The splits that may be in `root`: those that have a file of their own, or all. Raises DataError: no table."""
    tables = tables_of(TableOptions(reader, Path(root)), default, endings)
    named = {split for _, split in tables if split}
    return tuple(split for split in SPLITS if split in named) if named else SPLITS


def read(
    options: TableOptions, default: str, endings: Sequence[str], split: str, skipped: list[str] | None = None
) -> list[Sample]:
    """The samples of one split of the tables that `options.root` means (`tables_of`), in the order of the files; none
    when all records belong to other splits.

    Raises:
        DataError: a file or an image is missing, or a record breaks the format (all records are checked first).
        ConfigError: an option names what is not there.
    """
    require_split(split, SPLITS, options.reader)
    samples: list[Sample] = []
    for file, file_split in tables_of(options, default, endings):
        images = OwnImages(file.parent, options.images, options.for_images)
        samples += read_one(file, options, file_split, split, partial(_located, images, file), skipped)
    return samples


def read_one(
    file: Path,
    options: TableOptions,
    file_split: str,
    split: str,
    locate: Locate,
    skipped: list[str] | None,
    opened: Callable[[], Table] | None = None,
) -> list[Sample]:
    """The samples of one split of one file, whose records are of `file_split` where they say none ("" is `use_as`).
    `opened` opens the file, where that is not done by its ending. Raises as `read`."""

    def samples_of(record: Record) -> Iterator[Sample]:
        path = file
        if record.values["split"] == split:
            record, path = locate(record)
        elif not isinstance(record.values.get("image"), str) and record.values.get("image"):
            record = replace(record, values={**record.values, "image": "held in the table"})
        yield sample_of(record, path)

    opened = partial(joined, file, options, opened or partial(open_table, file, options))
    return _collected(file, options, opened, file_split, None, samples_of, split, skipped)


def _collected(
    file: Path,
    options: TableOptions,
    opened: Callable[[], Table],
    file_split: str,
    keep: set[str] | None,
    samples_of: Callable[[Record], Iterable[Sample]],
    split: str,
    skipped: list[str] | None,
) -> list[Sample]:
    """The samples that `samples_of` makes of the tidied records. A fault of the whole table is said before those of its
    records, even where broken records are left out."""
    table = opened()
    if table.names is not None and (fault := header_fault(file, options, table.names, opened)):
        raise fault
    columns = Columns(options.columns, is_neutral=file.suffix.lower() in LINES)
    tidier = Tidier(options.values, file_split or options.use_as)

    def neutral_samples(record: Record) -> Iterable[Sample]:
        values = columns.taken(record.values)
        if keep is not None:
            values = {key: value for key, value in values.items() if key in keep}
        tidy = tidier.tidied(replace(record, values=values))
        if file_split and not values.get("split"):  # the numbers start again in each file
            number = tidy.text("id", verbatim=True) if "id" in tidy.values else str(tidy.number)
            tidy = replace(tidy, values={**tidy.values, "id": f"{file_split}-{number}"})
        return samples_of(tidy)

    nothing = DataError(f"{file} has no usable record", hint="expected a record for each question")
    problems: list[str] = []
    try:
        left_out = None if skipped is None else problems
        samples = collect(table.records, neutral_samples, split, left_out, nothing)
    except DataError as error:
        raise fault_of(file, options, opened, error) or error from error
    if skipped is not None and problems:
        if fault := fault_of(file, options, opened, None):
            raise fault
        skipped += problems
    return samples


def _located(images: OwnImages, file: Path, record: Record) -> tuple[Record, Path]:
    """The record with the identity of its image and mask, and where the image lies."""
    name, elsewhere = record.text("image", verbatim=True), record.optional("path", verbatim=True)
    if elsewhere:
        image, path = name, file.parent / elsewhere
        if not is_file(path):
            try:
                _, path = images.find(elsewhere, record.source)
            except DataError as error:
                message = f"{record.source}: the image {shown(name)} is not there; expected a file at {one_line(path)}"
                raise type(error)(message, hint=error.hint) from error
    else:
        image, path = images.find(name, record.source)
    values = {**record.values, "image": image}
    if mask := record.optional("mask", verbatim=True):
        values["mask"] = _mask(mask, record, root_of(path, image), images)
    return replace(record, values=values), path


def _mask(mask: str, record: Record, root: Path, images: OwnImages) -> str:
    """The mask's name relative to the folder from which the image is named. Raises DataError when it is not there."""
    if is_file(root / mask):
        return mask
    try:
        name, path = images.find(mask, record.source)
    except DataError as error:
        message = f"{record.source}: the mask {mask!r} is not there; expected {one_line(root / mask)}"
        raise DataError(message, hint=error.hint) from error
    if root / name != path:
        raise DataError(f"{record.source}: the mask {mask!r} is not below {one_line(root)}", hint="put it there")
    return name


def read_records(
    file: Path,
    options: TableOptions,
    keep: Iterable[str],
    samples_of: Callable[[Record], Iterable[Sample]],
    split: str,
    skipped: list[str] | None,
) -> list[Sample]:
    """The samples that `samples_of` makes of the neutral records of a table, whose images are found in another way.
    Columns that are not in `keep` are dropped. Raises as `read`."""
    return _collected(file, options, lambda: open_table(file, options), "", set(keep), samples_of, split, skipped)
