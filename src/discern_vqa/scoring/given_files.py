"""Anybody's predictions as rows: the files of other programs (`tools`), tables and lists of one's own. No torch here.

A text table (CSV and its relatives), an Excel workbook, a JSON list or JSON Lines; or the archive of Inspect. The
program that wrote it is known by the keys of its records; what columns hold, by their names (`prediction_columns`) or
by `--columns`. What was decided on the way is told in `Given.notes`, a sentence each: nothing is left out in silence.
"""

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from discern_vqa.errors import DataError
from discern_vqa.reading.columns import names_of
from discern_vqa.reading.encodings import whole_text
from discern_vqa.reading.json_lists import Lines
from discern_vqa.reading.records import (
    Record,
    near_file,
    one_line,
    parse_json,
    require_record,
    shown,
)
from discern_vqa.reading.shapes import BOOKS, LINES, LISTS, TEXTS
from discern_vqa.reading.table_files import open_table
from discern_vqa.scoring import tools
from discern_vqa.scoring.given_columns import columns_of, mapped, require_columns
from discern_vqa.scoring.how_given import HowGiven
from discern_vqa.scoring.prediction_columns import by_name
from discern_vqa.scoring.predictions import REQUIRED, Prediction, inside
from discern_vqa.scoring.row_values import NO_IMAGE, RowReader
from discern_vqa.scoring.tools import Line
from discern_vqa.scoring.tools.inspect import SAMPLES

_ENDINGS = (*LINES, *LISTS, *TEXTS, *BOOKS, ".eval")
_LOOKED_AT = 50


@dataclass(frozen=True)
class Given:
    """What a file holds."""

    path: Path
    rows: list[Prediction]  # a true answer is "" where the file says none
    tool: str = ""  # the program that wrote it, as --from names it; "" for a table of one's own
    columns: Mapping[str, str] = field(default_factory=dict)  # field -> column, of a table of one's own
    notes: tuple[str, ...] = ()
    places: Mapping[str, int] = field(
        default_factory=dict
    )  # id -> place in the data set's split, where the file has it
    has_ids: bool = True  # whether the ids are the file's own
    is_ours: bool = False  # written by this program, or just as it writes


def read(path: Path, how: HowGiven, is_joined: bool = False) -> Given:
    """The predictions in a file.

    Args:
        is_joined: whether the true answers may come from a data set.

    Raises:
        DataError: the file is missing or broken, or a line of it is (with its number); it has no predictions or no
            true answers, and the hint is a command that says which columns hold them.
        ConfigError: an option names what is not there.
    """
    path = Path(path)
    if path.is_dir():
        known = sorted(file for file in path.iterdir() if file.suffix.lower() in _ENDINGS and file.is_file())
        hint = f"name a file of it: discern score {known[0]}" if known else inside(path)
        raise DataError(f"{path} is a folder; a predictions file is expected", hint=hint)
    if how.tool:
        tools.load(how.tool)
    names, records = _records(path, how)
    if not records:
        raise DataError(f"{path} holds no predictions", hint="write one JSON object per question, one per line")
    keys = _keys(names, records)
    names = names or names_of(record.values for record in records)
    require_columns(path, how.columns, names)
    tool = how.tool or next((name for name, module in tools.every().items() if module.is_of(keys)), "")
    if tool:
        module = tools.load(tool)
        if not module.is_of(keys):
            raise DataError(
                f"{path} is no file of {tool} ({module.SUMMARY}), whose records have {', '.join(module.KEYS)}; there "
                f"are: {one_line(', '.join(keys))[:300]}",
                hint=f"leave it to the keys: {how.command(tool='')}",
            )
        lines, notes = module.lines(records)
        columns = dict(how.columns)
    else:
        columns, notes = columns_of(path, how, names, records, is_joined)
        lines = [Line(record, {}) for record in records]
    is_table = path.suffix.lower() not in (*LISTS, *LINES)
    lines = [Line(line.record, {**line.fields, **mapped(line.record, columns, is_table)}) for line in lines]
    reader = RowReader(path, how, lines)
    rows = reader.rows()
    is_ours = not tool and not how.columns and set(REQUIRED) <= keys.keys()
    places = {row.id: line.fields["place"] for row, line in zip(rows, lines, strict=True) if "place" in line.fields}
    places = {number: place for number, place in places.items() if isinstance(place, int)}
    return Given(path, rows, tool, columns, tuple([*notes, *reader.notes]), places, reader.has_ids, is_ours)


def _records(path: Path, how: HowGiven) -> tuple[list[str], list[Record]]:
    """The names of the columns of a table (none of others), and the records."""
    ending = path.suffix.lower()
    if ending == ".eval":
        return [], _of_archive(path)
    if ending not in BOOKS:
        text = whole_text(path, how.table(path))
        if not text.strip():
            return [], []
        if ending in (*LISTS, *LINES) or text.lstrip()[0] in "[{":
            return [], _of_json(path, text, how)
    table = open_table(path, how.table(path))
    return [name for name in table.names or () if name], _whole(table.records)


def _of_json(path: Path, text: str, how: HowGiven) -> list[Record]:
    """The records of a JSON list, of JSON Lines, or of an object that holds a list."""
    try:
        content = None if path.suffix.lower() in LINES and text.lstrip()[0] != "[" else parse_json(text, str(path))
    except DataError:
        if not text.lstrip().startswith("{"):
            raise
        content = None
    if content is None:
        return _whole(_of_lines(path, how))
    place = "item "
    if isinstance(content, Mapping):
        texts = [value for value in content.values() if value is None or isinstance(value, str | int | float)]
        if len(texts) == len(content) and "prediction" not in by_name(list(content), {}):  # {id: answer}
            content = [{"id": number, "prediction": text} for number, text in content.items()]
            return _listed(path, content, "item ")
        listed = next((tool.INSIDE for tool in tools.every().values() if content.get(tool.INSIDE)), "")
        if not listed or how.options.get("sheet"):
            return _whole(open_table(path, how.table(path)).records)
        content, place = content[listed], f"{listed} item "
    if not isinstance(content, list):
        raise DataError(f"{path} holds {shown(content)}; expected a list of objects", hint='[{"question": "..."}, ...]')
    return _listed(path, content, place)


def _of_lines(path: Path, how: HowGiven) -> Iterator[Record | DataError]:
    for row in Lines(path, how.table(path)).rows():
        source = f"{path.name}:{row.place}"
        if row.problem or row.values is None:
            yield DataError(f"{source}: {row.problem}", hint="each line is one object, or the whole file is one list")
        else:
            yield Record(row.values, source, row.line)


def _listed(path: Path, values: Sequence[Any], place: str) -> list[Record]:
    return [require_record(one, f"{path.name}:{place}{number}", number) for number, one in enumerate(values, start=1)]


def _whole(records: Iterable[Record | DataError]) -> list[Record]:
    """All records. Raises the first problem: a score of a part of the answers would be no score."""
    whole = []
    for record in records:
        if isinstance(record, DataError):
            raise record
        whole.append(record)
    return whole


def _of_archive(path: Path) -> list[Record]:
    """The samples of an Inspect log. Raises DataError: it is missing, or no archive of that kind."""
    as_json = f"inspect log convert {path.name} --to json --output-dir OUT, and score the file that it writes"
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.startswith(SAMPLES) and name.endswith(".json"))
            texts = [(name, archive.read(name).decode("utf-8")) for name in names]
    except FileNotFoundError as error:
        raise DataError(f"there is no file {path}", hint=near_file(path)) from error
    except (zipfile.BadZipFile, NotImplementedError, OSError, UnicodeError, RuntimeError) as error:
        raise DataError(f"{path} is no log of Inspect that can be opened here: {error}", hint=as_json) from error
    return [
        require_record(parse_json(text, f"{path.name}:{name}", lines=False), f"{path.name}:{name}", number)
        for number, (name, text) in enumerate(texts, start=1)
    ]


def _keys(names: Sequence[str], records: Sequence[Record]) -> dict[str, Any]:
    """Every key of the first records, with a value that it has there."""
    keys: dict[str, Any] = dict.fromkeys(names)
    for record in records[:_LOOKED_AT]:
        for key, value in record.values.items():
            if keys.get(key) is None:
                keys[key] = value
    return keys


def require_truths(path: Path, rows: Sequence[Prediction]) -> None:
    """Raises DataError where a row has no true answer: it cannot be scored."""
    silent = [row.id for row in rows if not row.gold.strip()]
    if silent:
        raise DataError(
            f"{path}: {len(silent):,} of {len(rows):,} questions have no true answer, the first is {shown(silent[0])}",
            hint=f"add the data set that was asked, as in {HowGiven(path, data=('vqa_rad', 'FOLDER')).command()}",
        )


def image_note(rows: Sequence[Prediction]) -> str:
    """What the intervals suffer from where the file does not show which questions share an image; "" where it does."""
    unnamed = sum(row.image.startswith(NO_IMAGE) for row in rows)
    if not unnamed and (len(rows) < 2 or len({row.image for row in rows}) < len(rows)):
        return ""
    what = f"lines without an image: {unnamed:,}" if unnamed else "every line has an image of its own"
    return f"{what}; where questions share images, the intervals are too narrow (--data NAME FOLDER adds the images)"
