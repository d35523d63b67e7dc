"""JSON of one's own as rows: a list of records, or one object on each line.

A file may hold one list; an object that holds a list under a key, or lists under several keys that are called like
splits; an object of records by id, or by the name of their image; or one record. A record about an image that holds a
list of its questions is a row for each of them:

    {"image": "a.png", "qa": [{"q": "Is there a mass?", "a": "yes"}, ...]}
        -> {"image": "a.png", "q": "Is there a mass?", "a": "yes"}, ...
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from discern_vqa.errors import ConfigError, DataError, did_you_mean
from discern_vqa.imaging.endings import is_image_name
from discern_vqa.reading import spellings
from discern_vqa.reading.encodings import encoding_of, opened_text, whole_text
from discern_vqa.reading.field_names import rank
from discern_vqa.reading.records import CORRECT_IT, one_line, parse_json, require_record, shown
from discern_vqa.reading.row import Opening, Row
from discern_vqa.reading.shapes import TURNS

_WHOLE_LINES = (
    "each line must be one whole JSON object, no list around them and no commas between them; a file that holds one "
    "list is to end in .json"
)


class Lines:
    """JSON Lines: one object on each line."""

    names: tuple[str, ...] = ()

    def __init__(self, path: Path, opening: Opening) -> None:
        """Raises DataError, ConfigError as `encoding_of`."""
        self.path, self._opening = path, opening
        self._encoding = encoding_of(path, opening)

    def rows(self) -> Iterator[Row]:
        """See Table. A line that is no object has its problem."""
        # Lines end at line feeds alone: others would cut inside a text at U+2028 and its like.
        with opened_text(self.path, self._encoding, self._opening, newline="\n") as file:
            for line, text in enumerate(file, start=1):
                if text.strip():
                    yield from _each_question(_of_line(line, text))


def _of_line(line: int, text: str) -> Row:
    try:
        return _row(line, str(line), parse_json(text, "", lines=False), _WHOLE_LINES)
    except DataError as error:
        return Row(line, str(line), values={}, problem=str(error).removeprefix(": "), hint=_WHOLE_LINES)


class ListOfRecords:
    """A JSON file that is read whole."""

    names: tuple[str, ...] = ()

    def __init__(self, path: Path, opening: Opening) -> None:
        self.path, self._opening = path, opening

    def rows(self) -> Iterator[Row]:
        """See Table. Raises DataError: the file is in another encoding, the JSON is broken or holds no records, or it
        holds several lists; ConfigError: it has no list under the key `sheet`."""
        text = whole_text(self.path, self._opening)
        if not text.strip():
            raise DataError(f"{self.path} is empty", hint="download it again, or name another file")
        try:
            content = parse_json(text, str(self.path))
        except DataError:
            first, _, others = text.lstrip().partition("\n")
            if not others or _of_line(1, first).problem:
                raise
            yield from Lines(self.path, self._opening).rows()  # in a file that is called .json
            return
        for row in self._of_content(content):
            yield from _each_question(row)

    def _of_content(self, content: object) -> Iterator[Row]:
        sheet = self._opening.sheet
        if isinstance(content, list):
            if sheet:
                hint = self._opening.command(sheet="")
                raise ConfigError(f"{self.path} holds a list, which has no key {sheet!r}", hint=hint)
            yield from _listed(content, "item ")
            return
        if not isinstance(content, Mapping):
            hint = 'for example [{"image": "a.png"}]'
            raise DataError(f"{self.path} holds {shown(content)}; expected records", hint=hint)
        if content and all(map(is_image_name, content)):
            for number, (image, inside) in enumerate(content.items(), start=1):
                values = inside if isinstance(inside, Mapping) else {"questions": inside}
                yield _row(number, f"item {number}", {"image": image, **values})
            return
        lists = {key: value for key, value in content.items() if _is_records(value)}
        if sheet and sheet not in lists:
            listed = f"there are: {one_line(', '.join(lists)) or 'none'}"
            hint = did_you_mean(sheet, lists, listed)
            raise ConfigError(f"{self.path} has no list of records under {sheet!r}", hint=hint)
        if len(lists) > 1 and not sheet and all(map(spellings.split_name, lists)):
            before = 0
            for key, records in lists.items():
                yield from _listed(records, f"{key} item ", {"split": key}, before)
                before += len(records)
        elif len(lists) > 1 and not sheet:
            raise DataError(
                f"{self.path} holds lists of records under several keys: {one_line(', '.join(lists))}",
                hint=self._opening.command(sheet=next(iter(lists))),
            )
        elif lists and not _is_of_an_image(content):
            key = sheet or next(iter(lists))
            more = {"split": key} if not sheet and spellings.split_name(key) else {}
            yield from _listed(lists[key], f"{key} item ", more)
        elif content and all(isinstance(value, Mapping) for value in content.values()):
            for number, (key, values) in enumerate(content.items(), start=1):
                yield _row(number, f"item {number}", {"id": key, **values})
        else:
            yield _row(1, "item 1", content)


def _is_records(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(entry, Mapping) for entry in value)


def _listed(records: list[object], place: str, more: Mapping[str, Any] | None = None, before: int = 0) -> Iterator[Row]:
    for number, values in enumerate(records, start=1):
        row = _row(before + number, f"{place}{number}", values)
        yield replace(row, values={**more, **row.values}) if more and row.values else row


def _row(line: int, place: str, values: object, hint: str = CORRECT_IT) -> Row:
    """The row of a record; that it is none is a problem, which `hint` helps with."""
    try:
        return Row(line, place, values=require_record(values, "").values)
    except DataError as error:
        return Row(line, place, values={}, problem=str(error).removeprefix(": "), hint=hint)


def _each_question(row: Row) -> Iterator[Row]:
    """A row for each question of a record that holds a list of them, with what the record says beside it; else the row
    itself. A question without an id has the record's, or its line, with its own number behind it. A key of both is the
    question's, and the record's is called "outer_KEY"."""
    values = row.values or {}
    key = _key_of_questions(values)
    if not key:
        yield row
        return
    outer = {name: value for name, value in values.items() if name != key}
    for number, inner in enumerate(values[key], start=1):
        beside = {f"outer_{name}" if name in inner else name: value for name, value in outer.items()}
        beside["id"] = f"{beside.get('id', row.line)}-{number}"
        yield replace(row, place=f"{row.place}, {key} {number}", values={**beside, **inner})


def _key_of_questions(values: Mapping[str, Any]) -> str:
    """The one key under which a record about an image lists its questions; "" where it does not."""
    if any(name in TURNS or rank("question", name) is not None and not _is_records(values[name]) for name in values):
        return ""
    keys = [name for name, value in values.items() if _is_records(value) and all(map(_asks, value))]
    return keys[0] if len(keys) == 1 and len(values) > 1 else ""


def _is_of_an_image(values: Mapping[str, Any]) -> bool:
    """Whether an object is one record with its questions, no file with a list of records under a key."""
    named = any(rank("image", name) is not None and isinstance(value, str) for name, value in values.items())
    return named and bool(_key_of_questions(values))


def _asks(values: Mapping[str, Any]) -> bool:
    """Whether an object is a question with something beside it, but no image: by a key's name, or a text that asks."""
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    if len(values) < 2 or any(rank("image", name) is not None for name in texts):
        return False
    return any(rank("question", name) is not None or text.endswith("?") for name, text in texts.items())
