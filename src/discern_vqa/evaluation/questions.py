"""Questions to be answered: a table of the user's own (CSV, Excel, JSON Lines), a folder of images, or a single one.

A table has a column with the names of images and one with questions. Which they are is said (`columns.question=Frage`),
or is known of the data that the run learned from, or is told by the columns' names in several languages. Images are
found as the readers of one's own data find them (`reading/own_images.py`). What `discern data convert` writes is such
a table too: `path` says where an image lies if not at its name, and captions are passed over. What is wrong with a file
as a whole is an error before anything is answered; what is wrong with one row is said in that row. No torch here.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import Sample
from discern_vqa.dicomweb.address import Address
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.evaluation.question_columns import NOTHING, Known, how_understood, places_of
from discern_vqa.reading.options import require_fit
from discern_vqa.reading.own_images import OwnImages
from discern_vqa.reading.records import Record, is_file, one_line
from discern_vqa.reading.streamed_tables import Row, Table, open_table
from discern_vqa.reading.table_files import TEXTS

IMAGE_ENDINGS = frozenset(".png .jpg .jpeg .jfif .tif .tiff .bmp .gif .webp .dcm .dicom .ima .nii .gz".split())
"""Of the files in a folder that are asked about; so are files whose name has no ending, as DICOM's often have none."""


@dataclass(frozen=True)
class Asked:
    """One row of the input: a question, or what is wrong with it.

    number: of the rows, from 0. cells: the user's own, by their place in `Questions.columns`. values: of JSON Lines,
    the object as it was read; else None. sample: None where `problem` says why nothing can be asked.
    """

    number: int
    source: str
    cells: tuple[Any, ...] = ()
    values: Mapping[str, Any] | None = None
    sample: Sample | None = None
    problem: str = ""


@dataclass(frozen=True)
class Questions:
    """An input that was looked through once, row by row; `rows` reads it again from the beginning.

    columns: the names of the user's columns, in order (of JSON Lines all keys that occur). count: of rows. digest: of
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
    try:
        table = open_table(path, delimiter=delimiter, encoding=encoding, sheet=sheet)
    except DataError:
        if encoding or not known.text("encoding") or path.suffix.lower() not in TEXTS:
            raise
        table = open_table(path, delimiter=delimiter, encoding=known.text("encoding"), sheet=sheet)
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
        hint = "images are looked for in the table's folder and below it; others: --option images=FOLDER"
        hint = "the column of images holds study/series/instance, three UIDs" if archive else hint
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
        source = f"{table.path}:{row.line}"
        try:
            if row.problem:
                raise DataError(row.problem)
            sample = _sample(row, places, folders, source, archived)
            yield Asked(number, source, row.cells, row.values, sample)
        except DataError as error:
            hint = f" ({error.hint})" if error.hint.startswith("did you mean") else ""
            problem = f"{str(error).removeprefix(f'{source}: ')}{hint}"
            yield Asked(number, source, row.cells, row.values, problem=problem)
        number += 1


def _sample(
    row: Row, places: Mapping[str, str | int], folders: Sequence[OwnImages], source: str, archived: bool
) -> Sample:
    values = {name: _value(row, place) for name, place in places.items()}
    for name in ("image", "question"):
        if _is_empty(values[name]):
            raise DataError(f"{name!r} is missing or empty")
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
    return asked(key, path, question, source)


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
    return row.cells[place] if isinstance(place, int) else None


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
    others = Counter(file.suffix.lower() for file in _files(path) if not _may_be_image(file))
    kinds = ", ".join(f"{count:,} {ending}" for ending, count in sorted(others.items()))
    left_out = (f"files that are no images by their endings were passed over: {kinds}",) if others else ()
    if not count:
        raise DataError(f"{path} holds no image{': ' * bool(left_out)}{''.join(left_out)}", hint="name another folder")
    return Questions(path, ("image", "question"), count, digest.hexdigest(), left_out, _questions=texts)


def _of_folder(path: Path, questions: Sequence[str]) -> Iterator[Asked]:
    number = 0
    for file in _files(path):
        if not _may_be_image(file):
            continue
        name = file.relative_to(path).as_posix()
        for question in questions:
            sample = asked(str(number + 1), file, question, str(file))
            yield Asked(number, str(file), (name, question), sample=sample)
            number += 1


def _files(folder: Path) -> Iterator[Path]:
    """The files below a folder but for hidden ones, in the order of their names; one folder's names at a time."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here) / name for name in sorted(names) if not name.startswith("."))


def _may_be_image(file: Path) -> bool:
    """By its ending; none, and numbers alone (a DICOM identifier's), may be a DICOM file's."""
    ending = file.suffix.lower()
    return ending in IMAGE_ENDINGS or not ending or ending[1:].isdigit()


# -- one question ------------------------------------------------------------------------------------------------------


def single_question(image: Path, question: object) -> Sample:
    """One question about one image file. Raises DataError: the question is empty, or no file can have that name."""
    if not isinstance(question, str):
        told = f"the question is given as {type(question).__name__}; expected text"
        raise DataError(told, hint='for example: model.ask("chest.png", "Is there a mass?")')
    if not question.strip():
        raise DataError("the question is empty", hint='for example: discern ask RUN IMAGE "Is there a mass?"')
    return asked("1", Path(image), question.strip())


def asked(key: str, path: Path, question: str, source: str = "") -> Sample:
    """A question somebody asks about an image file of theirs. Raises DataError: no file can have that name."""
    # The absolute path is the identity: what is kept of one file never answers for another of the same name.
    try:
        image = os.path.realpath(path)  # says nothing of links in a circle: opening them does, in words
    except ValueError as error:  # a name that no file can have
        raise DataError(
            f"{source or 'the image'}: {one_line(repr(str(path)))} is no name of a file", hint="name an image file"
        ) from error
    return Sample(id=key, split="test", image=image, path=path, question=question, source=source)
