"""Two tables that are one set together: questions about images, and another table with a row for each image.

    questions.csv    image,question,answer      a.png,Is there a mass?,yes
    images.csv       image,patient,modality     a.png,p1,CT                      --option join=images.csv

The columns of the other table are added to each question about that image. Their column of images has the name that it
has in the table of questions, or is the only one that is called like one. Nothing is guessed: an image with two rows,
and a column that both tables have, are refused.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from discern_vqa.errors import DataError
from discern_vqa.reading.columns import field_of, reach
from discern_vqa.reading.encodings import DEFAULT
from discern_vqa.reading.field_names import rank
from discern_vqa.reading.own_images import key_of
from discern_vqa.reading.records import Record, one_line
from discern_vqa.reading.table_files import Table, open_table
from discern_vqa.reading.table_options import TableOptions


def joined(file: Path, options: TableOptions, opened: Callable[[], Table]) -> Table:
    """The table that `opened` gives, with the columns of the table `options.join` (none where that is ""). Raises
    DataError: that one is not there, has no column of images, holds an image twice, or has a column that both have."""
    table = opened()
    if not options.join:
        return table
    other_file = file.parent / options.join
    other = _open(other_file, options)
    records = list(_whole(other.records))
    names = list(other.names or dict.fromkeys(name for record in records for name in record.values))
    column = options.columns.get("image", "") or _image_name(table.names or ())
    key = image_column(names, column)
    if not key:
        raise DataError(
            f"{other_file} has no column of images; its columns are: {one_line(', '.join(names))}",
            hint=f"name the one that holds them {column or 'image'}, as in {file.name}",
        )
    rows: dict[str, Record] = {}
    for record in records:
        if (image := record.values.get(key)) in (None, ""):
            continue
        first = rows.setdefault(_plain(image), record)
        if first is not record:
            raise DataError(
                f"{record.source}: the image {image!r} has a row already ({first.source}): which one belongs to its "
                "questions is not known",
                hint=f"leave one row for each image in {other_file.name}",
            )
    both = [name for name in names if name in (table.names or ()) and name not in ("", key)]
    if both:
        raise DataError(
            f"{file.name} and {other_file.name} both have a column {both[0]!r}", hint="take it out of one of them"
        )
    more = tuple(name for name in names if name and name != key)
    named = (*table.names, *more) if table.names is not None else None
    return Table(named, _with(table.records, column or "image", key, rows))


def image_column(names: Iterable[str], column: str) -> str:
    """The name of a table's column of images: `column`, else the only one that is called like one; "" for none."""
    same = [name for name in names if key_of(name.strip()) == key_of(column.strip())]
    like = [name for name in names if rank("image", name) is not None]
    return same[0] if same else like[0] if len(like) == 1 else ""


def _plain(image: object) -> str:
    """An image's name for comparison."""
    return key_of(str(image).strip().replace("\\", "/"))


def _open(file: Path, options: TableOptions) -> Table:
    """The other table; its encoding is the file's own, or the one that is named for the table of questions."""
    own = replace(options, root=file, columns={}, values={}, encoding=DEFAULT, delimiter="", sheet="", join="")
    try:
        return open_table(file, own)
    except DataError:
        if options.encoding == DEFAULT:
            raise
        return open_table(file, replace(own, encoding=options.encoding))


def _whole(records: Iterable[Record | DataError]) -> Iterator[Record]:
    for record in records:
        if isinstance(record, DataError):
            raise record
        yield record


def _image_name(names: Iterable[str]) -> str:
    return next((name for name in names if field_of(name) == "image"), "")


def _with(
    records: Iterable[Record | DataError], column: str, key: str, rows: Mapping[str, Record]
) -> Iterator[Record | DataError]:
    for record in records:
        if isinstance(record, Record) and (row := rows.get(_plain(_value(record.values, column)))) is not None:
            more = {name: value for name, value in row.values.items() if name != key}
            yield replace(record, values={**more, **record.values})
        else:
            yield record


def _value(values: Mapping[str, Any], column: str) -> object:
    try:
        return reach(values, column)
    except KeyError:
        return ""
