"""What a folder or a file of one's own data is, and how it is to be read: a proposal, for a person to confirm.

Readers guess nothing; `discern start` does, once, and writes down what it understood. A table is opened by the readers'
own means (`table_files`), `guess_columns` finds its columns, and `guess_images` where its images lie.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discern_vqa.errors import DataError, DiscernError
from discern_vqa.reading import guess_columns, guess_images, guess_join
from discern_vqa.reading.guess_columns import Found
from discern_vqa.reading.guess_tables import LIKELY_TABLES, Peek, peeks
from discern_vqa.reading.placeholders import Placeholder
from discern_vqa.reading.records import near_file, one_line
from discern_vqa.reading.shapes import UNREAD_SPREADSHEETS
from discern_vqa.reading.spellings import split_name

MOST_TABLES = 200
"""Files that may be tables and are looked into; a folder of more is no data set's."""
_NAMED = 6
_PSEUDONYMS = (
    "  the images are DICOM files: nothing that identifies a patient is taken from them, patients and studies become "
    "pseudonyms"
)


@dataclass(frozen=True)
class Doubt:
    """What has to be asked: a question and its possible answers, the likeliest first."""

    question: str
    choices: tuple[str, ...]


Choose = Callable[[Doubt], int]
"""Which of a doubt's choices is right, counted from 0."""


@dataclass(frozen=True)
class Guess:
    """A reader, what it reads, its options, and a line for each thing that was understood."""

    reader: str
    root: Path
    options: dict[str, Any]
    lines: tuple[str, ...]


def guess(source: Path, choose: Choose) -> Guess:
    """How `source` is to be read.

    Args:
        source: a table, or a folder that holds one and the images.
        choose: asked where several readings are equally likely.

    Raises DataError: it is not there, holds no table of questions, or a column that is needed is not recognised.
    """
    if not source.exists():
        raise DataError(f"there is no {source}", hint=near_file(source, "name a table, or a folder that holds one"))
    tables, others = _tables(source)
    if len(tables) > 1 and (parts := _by_split(tables)) is not None:
        table, root = parts[0], parts[0].file.parent
    else:
        table = tables[0]
        if len(tables) > 1:
            names = tuple(table.title for table in tables)
            table = tables[choose(Doubt("Several files may be the table of questions.", names))]
        root = table.root
    _require_names(table, folder := source if source.is_dir() else table.file.parent)
    lines = [f"{table.file}: {table.kind}, {len(table.records):,}{'+' if table.is_cut else ''} records"]
    lines += [f"  read as {name} {value!r}" for name, value in table.options.items()]
    if table.reader in ("llava", "coco_vqa"):
        place = guess_images.place(table.file.parent, folder, guess_images.cells_of(table))
        return Guess(table.reader, root, _options(table, images=place.images), tuple([*lines, *place.lines]))
    found = guess_columns.find(table, lambda cells: guess_images.place(table.file.parent, folder, cells))
    chosen = _settled(found, choose, table)
    lines += [f"  {field}: column {column!r}" for field, column in chosen.columns.items()]
    lines += [f"  {line}" for line in chosen.lines]
    place = guess_images.place(table.file.parent, folder, table.texts(chosen.columns["image"]))
    if place.dicom is not None:
        questions = Path(os.path.relpath(table.file, place.dicom)).as_posix()
        options = _options(table, columns=_needed(chosen.columns), questions=questions)
        return Guess("dicom_folder", place.dicom, options, (*lines, _PSEUDONYMS))
    join = guess_join.find(table, chosen.columns, others)
    columns = _needed({**chosen.columns, **join.columns})
    options = _options(table, columns=columns, images=place.images, join=join.path)
    return Guess(table.reader, root, options, (*lines, *place.lines, *join.lines))


def _tables(source: Path) -> tuple[list[Peek], list[Peek]]:
    """(the tables of questions in a folder, the likeliest first, and its other tables); of a file that it is one.
    Raises DataError."""
    if source.is_file():
        there = peeks(source)
        return [table for table in there if guess_columns.looks_like_questions(table)] or there[:1], []
    files = [file for file in _files(source) if file.suffix.lower() in LIKELY_TABLES][:MOST_TABLES]
    tables: list[Peek] = []
    others: list[Peek] = []
    placeholders: list[Placeholder] = []
    problems = [
        f"{file.name} is a spreadsheet of a kind that is not read (save it as .xlsx or as CSV UTF-8)"
        for file in _files(source)
        if file.suffix.lower() in UNREAD_SPREADSHEETS
    ]
    for file in files:
        try:
            looked_at = peeks(file)
        except Placeholder as error:
            placeholders.append(error)
            continue
        except DiscernError as error:
            problems.append(f"{file.name}: {error}")
            continue
        likely = [table for table in looked_at if guess_columns.looks_like_questions(table)]
        tables += likely
        others += [table for table in looked_at if table not in likely]
        if not likely:
            problems.append(f"{file.name} has the columns {one_line(', '.join(looked_at[0].names))[:100]}")
    if not tables and placeholders:
        raise placeholders[0]
    if not tables:
        about = f": {'; '.join(problems[:_NAMED])}" if problems else ""
        raise DataError(
            f"{source} holds no table of questions about images{about}",
            hint="put a table (CSV, Excel, JSON) with a row for each question there, with columns such as image, "
            "question and answer; docs/own_data.md shows one",
        )
    # Annotations go with the questions of the same folder: the reader of pairs finds them by itself.
    return sorted(tables, key=lambda table: (-len(table.records), str(table.file))), others


def _files(folder: Path) -> list[Path]:
    """Files of the folder and of those in it, two levels deep; hidden ones are left out, and what `discern start` made
    in a folder of its own, which has a data.toml."""
    levels = ("*", "*/*", "*/*/*")
    files = [file for level in levels for file in sorted(folder.glob(level)) if file.is_file()]
    made = {file.parent for file in files if file.name == "data.toml" and file.parent != folder}
    return [
        file
        for file in files
        if not any(part.startswith(".") for part in file.relative_to(folder).parts) and not made & set(file.parents)
    ]


def _require_names(table: Peek, folder: Path) -> None:
    """Raises DataError where the first line of a table names no columns but is a question itself: it would be lost."""
    is_file = guess_images.place(table.file.parent, folder, table.names).share > 0
    if table.reader in ("csv", "xlsx") and (is_file or any(name.endswith("?") for name in table.names)):
        raise DataError(
            f"{table.file}: the first line holds values where the names of the columns are expected: "
            f"{one_line(', '.join(table.names))[:200]}",
            hint="put a line above it, for example: image,question,answer",
        )


def _by_split(tables: Sequence[Peek]) -> list[Peek] | None:
    """The tables where they are the splits of one set (train.csv, val.csv, test.csv in one folder); else None."""
    splits = [split_name(table.file.stem) for table in tables]
    same = {(table.file.parent, table.reader, table.file.suffix.lower()) for table in tables}
    if not all(splits) or len(set(splits)) < len(splits) or len(same) > 1:
        return None
    return sorted(tables, key=lambda table: split_name(table.file.stem) != "train")


def _settled(found: Found, choose: Choose, table: Peek) -> Found:
    """With the user's choice wherever several columns may be meant. Raises DataError where one is missing."""
    columns = dict(found.columns)
    for field, candidates in found.doubts.items():
        shown = tuple(f"{name} ({one_line(', '.join(table.texts(name)[:3]))[:60]})" for name in candidates)
        columns[field] = candidates[choose(Doubt(f"Which column holds the {field.replace('_', ' ')}?", shown))]
    needed = ("image",) if "caption" in columns and "question" not in columns else ("image", "question", "answer")
    if missing := [field for field in needed if field not in columns]:
        listed = one_line(", ".join(table.names))
        raise DataError(
            f"{table.file}: no column is recognised as {' or '.join(missing)}; there are: {listed}",
            hint=f'rename the columns, or write a data.toml with columns = {{ {missing[0]} = "NAME" }} '
            "(docs/own_data.md) and give it in place of the folder",
        )
    return replace(found, columns=columns)


def _needed(columns: Mapping[str, str]) -> dict[str, str]:
    """The columns that a reader would not find by the field's own name."""
    return {field: column for field, column in columns.items() if field != column}


def _options(table: Peek, **more: Any) -> dict[str, Any]:
    return table.options | {name: value for name, value in more.items() if value}
