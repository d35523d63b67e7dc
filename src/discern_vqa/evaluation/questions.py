"""Questions to be answered: a table of the user's own (CSV, Excel, JSON), a folder of images, or a single one.

A table has a column with the names of images and one with questions. Which they are is said (`columns.question=Frage`),
or is known of the data that the run learned from, or is told by the columns' names in several languages. Images are
found as the readers of one's own data find them (`reading/own_images.py`). What `discern data convert` writes is such
a table too: `path` says where an image lies if not at its name, and captions are passed over. What is wrong with a file
as a whole is an error before anything is answered; what is wrong with one row is said in that row. No torch here.
"""

import hashlib
import json
import os
import shlex
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import Sample
from discern_vqa.dicomweb.address import Address
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.evaluation.one_question import question_about
from discern_vqa.evaluation.question_columns import NOTHING, Known, how_understood, places_of
from discern_vqa.imaging.endings import may_be_image
from discern_vqa.reading.options import require_fit
from discern_vqa.reading.own_images import OwnImages
from discern_vqa.reading.records import Record, is_file
from discern_vqa.reading.row import Row, Table
from discern_vqa.reading.shapes import BOOKS
from discern_vqa.reading.table_files import open_rows
from discern_vqa.reading.workbooks import COMPUTE, NO_VALUE


@dataclass(frozen=True)
class Asked:
    """One row of the input: a question, or what is wrong with it.

    number: of the rows, from 0. line: where it stands in its file, from 1. cells: the user's own, by their place in
    `Questions.columns`. values: of JSON, the object as it was read; else None. sample: None where `problem` says why
    nothing can be asked.
    """

    number: int
    source: str
    line: int
    cells: tuple[Any, ...] = ()
    values: Mapping[str, Any] | None = None
    sample: Sample | None = None
    problem: str = ""


@dataclass(frozen=True)
class Questions:
    """An input that was looked through once, row by row; `rows` reads it again from the beginning.

    columns: the names of the user's columns, in order (of JSON all keys that occur). count: of rows. digest: of
    what was read, to know it again. notes: how it was understood and what in it is no question, a sentence each. table:
    None for a folder.
    """

    path: Path
    columns: tuple[str, ...]
    count: int
    digest: str
    notes: tuple[str, ...] = ()
    table: Table | None = None
    _places: Mapping[str, str | int] = field(default_factory=dict)  # field -> its key, or its column's number
    _folders: tuple[OwnImages, ...] = ()  # in which images are looked for, one after the other
    _questions: tuple[str, ...] = ()  # asked about each image of a folder
    _archived: bool = False  # images are addresses in an archive, which are looked for when they are asked about

    def rows(self) -> Iterator[Asked]:
        """Each row, as it was written."""
        if self.table is None:
            yield from _of_folder(self.path, self._questions)
        else:
            yield from _of_table(self.table, self._places, self._folders, archived=self._archived)


def look_through(
    path: Path,
    questions: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    known: Known = NOTHING,
    archive: str = "",
) -> Questions:
    """Opens and checks an input: a table, or with `questions` a folder whose images are each asked all of them.

    options: of a table: `columns`, `images`, `delimiter`, `encoding`, `sheet`. known: what counts where `options` say
    nothing and the table's own names do not tell either. archive: the address of the DICOMweb service whose images the
    table names, by study/series/instance; none: images are files.

    Raises:
        DataError: the file cannot be read to its end, has no column of images or questions, or no row can be asked.
        ConfigError: an option that there is not, or that is of no use for such a file.
    """
    path, options = Path(path), dict(options or {})
    if archive and path.is_dir():
        raise ConfigError(
            f"{path} is a folder, and --dicomweb takes images from an archive",
            hint="name a table whose column of images holds study/series/instance",
        )
    if path.is_dir():
        return _look_through_folder(path, questions, options)
    if questions:
        raise ConfigError(f"--question is for a folder of images, and {path} is none", hint="leave out --question")
    require_fit("predict", _look_through_table, options, "--option ", "name a text: --option KEY=TEXT")
    return _look_through_table(path, known, archive, **options)


@dataclass(frozen=True)
class AsTyped:
    """How a table of questions is opened, and how that is typed (see `reading.row.Opening`)."""

    encoding: str
    delimiter: str
    sheet: str

    def command(self, **changes: str) -> str:
        """The options that are to be added or left out."""
        texts = (f"--option {name}={shlex.quote(value)}" for name, value in changes.items() if value)
        without = (f"leave out --option {name}" for name, value in changes.items() if not value)
        return ", ".join([*texts, *without])


def _look_through_table(
    path: Path,
    known: Known,
    archive: str = "",
    *,
    columns: Mapping[str, str] | None = None,
    images: str = "",
    delimiter: str = "",
    encoding: str = "",
    sheet: str = "",
) -> Questions:
    """A table; what stands behind the star are its options, as `require_fit` reads them off."""
    opening = AsTyped(encoding, delimiter, sheet)
    try:
        table = open_rows(path, opening)
        if known.text("encoding") and not encoding:
            deque(table.rows(), maxlen=0)  # whether it is UTF-8 shows at its end
    except DataError:
        if encoding or not known.text("encoding") or path.suffix.lower() in BOOKS:
            raise
        table = open_rows(path, replace(opening, encoding=known.text("encoding")))
    places = places_of(table, columns or {}, known.columns)
    folders = [OwnImages(path.parent, images), *([OwnImages(known.images)] if known.images is not None else [])]
    digest = hashlib.sha256(repr((sorted(places.items()), images, *([archive] if archive else []))).encode())
    names: dict[str, None] = dict.fromkeys(table.names)
    count = usable = 0
    first, counted = "", Counter[str]()
    for asked in _of_table(table, places, folders, counted, archived=bool(archive)):
        count += 1
        digest.update(repr(asked.cells or asked.values).encode("utf-8", "surrogatepass"))
        names |= dict.fromkeys(asked.values or ())
        usable += not asked.problem
        first = first or f"{asked.source}: {asked.problem}" * bool(asked.problem)
    passed = [f"{counted['captions']:,} captions were passed over"] if counted["captions"] else []
    if not count:
        more = f" ({passed[0]})" if passed else ""
        raise DataError(f"{path} holds no question{more}", hint="expected a row for each image and question")
    if not usable:
        others = f" (and so it is with all {count:,} rows)" if count > 1 else ""
        hint = "correct the rows, or name another table"
        if "the image " in first:
            hint = "images are looked for in the table's folder and below it; others: --option images=FOLDER"
        if archive:
            hint = "the column of images holds study/series/instance, three UIDs"
        raise DataError(f"{first}{others}", hint=hint)
    ordered = table.names if table.names else tuple(names)
    notes = (*how_understood(table, places), *passed)
    return Questions(path, ordered, count, digest.hexdigest(), notes, table, places, tuple(folders), (), bool(archive))


def _of_table(
    table: Table,
    places: Mapping[str, str | int],
    folders: Sequence[OwnImages],
    passed: Counter[str] | None = None,
    archived: bool = False,
) -> Iterator[Asked]:
    """The rows that ask something, or should. `passed` counts what is passed over."""
    number = 0
    for row in table.rows():
        if row.values is not None and not row.problem and _has(row, "caption") and not _has(row, places["question"]):
            if passed is not None:
                passed["captions"] += 1
            continue
        source = f"{table.path}:{row.place}"
        cells = (*row.cells, *[""] * (len(table.names) - len(row.cells)))
        not_writable = _not_writable(row.values)
        values = {} if not_writable else row.values
        try:
            if row.problem or not_writable:
                raise DataError(row.problem or not_writable, hint=row.hint)
            sample = _sample(row, places, folders, source, archived)
            yield Asked(number, source, row.line, cells, values, sample)
        except DataError as error:
            helps = row.problem or error.hint.startswith(("did you mean", "write the ", COMPUTE))
            hint = f" ({error.hint})" if helps and error.hint else ""
            problem = f"{str(error).removeprefix(f'{source}: ')}{hint}"
            yield Asked(number, source, row.line, cells, values, problem=problem)
        number += 1


def _not_writable(values: Mapping[str, Any] | None) -> str:
    """Why an object could not be written into the answers, which other programs read; "" where it could."""
    try:
        json.dumps(values, allow_nan=False)
    except ValueError:
        return "a number is NaN or infinite, which JSON does not have"
    except RecursionError:
        return "the row is nested too deep"
    return ""


def _sample(
    row: Row, places: Mapping[str, str | int], folders: Sequence[OwnImages], source: str, archived: bool
) -> Sample:
    values = {name: _value(row, place) for name, place in places.items()}
    for name in ("image", "question"):
        if _is_empty(values[name]):
            raise DataError(f"{name!r} is missing or empty")
        if values[name] == NO_VALUE:
            raise DataError(f"{name!r} is a formula without a value", hint=COMPUTE)
    record = Record(values, source, row.line)
    name, question = (record.text(field, verbatim=True).strip() for field in ("image", "question"))
    key = str(row.line) if _is_empty(values.get("id")) else record.text("id", verbatim=True)
    if archived:
        address = str(Address.parse(name))
        return Sample(id=key, split="test", image=address, path=Path(address), question=question, source=source)
    elsewhere = ""
    if row.values is not None and not _is_empty(row.values.get("path")):
        elsewhere = Record(row.values, source, row.line).text("path", verbatim=True)
    first = folders[0]
    path = first.folder / elsewhere if elsewhere else first.plain(name)
    if not is_file(path):
        path = _found(name, folders, source)
    return question_about(key, path, question, source)


def _found(name: str, folders: Sequence[OwnImages], source: str) -> Path:
    """The image where people keep it. Raises DataError, of the first folder, where none of them has it."""
    errors = []
    for folder in folders:
        try:
            return folder.find(name, source)[1]
        except DataError as error:
            errors.append(error)
    raise errors[0]


def _has(row: Row, place: str | int) -> bool:
    return not _is_empty(_value(row, place))


def _value(row: Row, place: str | int) -> Any:
    if row.values is not None:
        return row.values.get(str(place))
    return row.cells[place] if isinstance(place, int) and place < len(row.cells) else None


def _is_empty(value: object) -> bool:
    """Whether there is nothing in a cell. 0 is something."""
    return value is None or (isinstance(value, str) and not value.strip())


# -- a folder of images ------------------------------------------------------------------------------------------------


def _look_through_folder(path: Path, questions: Sequence[str], options: Mapping[str, Any]) -> Questions:
    texts = tuple(text.strip() for text in questions if text.strip())
    if not texts:
        raise DataError(
            f"{path} is a folder of images: expected a question about each",
            hint='add --question "Is there a mass?", or name a table of questions',
        )
    if options:
        raise ConfigError(f"--option {next(iter(options))} is for a table of questions", hint="leave out --option")
    count, digest = 0, hashlib.sha256(repr(texts).encode())
    for row in _of_folder(path, texts):
        count += 1
        digest.update(repr(row.cells).encode("utf-8", "surrogatepass"))
    others = Counter(file.suffix.lower() for file in _files(path) if not may_be_image(file.name))
    kinds = ", ".join(f"{count:,} {ending}" for ending, count in sorted(others.items()))
    left_out = (f"files that are no images by their endings were passed over: {kinds}",) if others else ()
    if not count:
        raise DataError(f"{path} holds no image{': ' * bool(left_out)}{''.join(left_out)}", hint="name another folder")
    return Questions(path, ("image", "question"), count, digest.hexdigest(), left_out, _questions=texts)


def _of_folder(path: Path, questions: Sequence[str]) -> Iterator[Asked]:
    number = 0
    for file in _files(path):
        if not may_be_image(file.name):
            continue
        name = file.relative_to(path).as_posix()
        for question in questions:
            sample = question_about(str(number + 1), file, question, str(file))
            yield Asked(number, str(file), number + 1, (name, question), sample=sample)
            number += 1


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder but for hidden ones, in the order of their names; one folder's names at a time."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here) / name for name in sorted(names) if not name.startswith("."))
