"""A file of questions to be answered: CSV or JSON Lines, one question a line, an image named from the file's folder.

A mistake stops with file and line before anything is answered. No torch here.
"""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import Sample
from discern_vqa.datasets._reading import text_of
from discern_vqa.errors import DataError

_HINT = "a CSV with the columns image and question, or JSONL with those keys"


def read_questions(path: Path) -> Iterator[tuple[Sample, dict[str, Any]]]:
    """Each question of a CSV or JSONL file, with the row as it stood. Images are relative to the file's folder.

    A row without an `id` has its line's number. Raises DataError naming file and line: no such file, a missing column,
    an empty question, broken JSON, an id that stands there twice.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}", hint=_HINT) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8: {error}", hint="save it as UTF-8") from None
    rows = _csv_rows(text) if path.suffix.lower() == ".csv" else _jsonl_rows(path, text)
    first_line: dict[str, int] = {}
    for line, row in rows:
        source = f"{path}:{line}"
        for column in ("image", "question"):
            if _lacks(row, column):
                raise DataError(f"{source}: {column!r} is missing or empty", hint=_HINT)
        name, question = (text_of(row, column, source, verbatim=True).strip() for column in ("image", "question"))
        key = str(line) if _lacks(row, "id") else text_of(row, "id", source, verbatim=True)
        if key in first_line:
            raise DataError(
                f"{source}: the id {key!r} stands already in line {first_line[key]}",
                hint="give every question an id of its own, or none: then it is the line's number",
            )
        first_line[key] = line
        yield asked(key, path.parent / name, question), row


def _lacks(row: dict[str, Any], column: str) -> bool:
    """Whether there is nothing in a row's column. 0 is something."""
    value = row.get(column)
    return value is None or (isinstance(value, str) and not value.strip())


def _csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text))
    for row in reader:
        yield reader.line_num, dict(row)


def _jsonl_rows(path: Path, text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in enumerate(text.splitlines(), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{line}: no JSON: {error.msg}", hint="one object on each line") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{line}: expected an object, found {type(row).__name__}", hint="{...} on each line")
        yield line, row


def asked(key: str, path: Path, question: str) -> Sample:
    """A question somebody asks about an image file of theirs."""
    # The absolute path is the identity: what is kept of one file never answers for another of the same name.
    return Sample(id=key, split="test", image=str(path.resolve()), path=path, question=question)
