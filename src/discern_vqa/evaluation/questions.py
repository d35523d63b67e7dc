"""A file of questions to be answered: CSV or JSON Lines, one question a line, an image named from the file's folder.

What `discern data convert` writes is such a file too: `path` says where an image lies if not at its name, and captions
are passed over. A mistake stops with file and line before anything is answered. No torch here.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError, ImageError
from discern_vqa.imaging.images import open_image
from discern_vqa.reading.records import (
    CORRECT_IT,
    Record,
    is_file,
    numbered_lines,
    one_line,
    parse_json,
    require_record,
    shown,
)
from discern_vqa.reading.tables import named_rows

_HINT = "a CSV with the columns image and question, or JSONL with those keys"


def read_questions(path: Path) -> Iterator[tuple[Sample, dict[str, Any]]]:
    """Each question of a CSV or JSONL file, with the row as it stood. Images are relative to the file's folder.

    A row without an `id` has its line's number. Raises DataError naming file and line: no such file, a missing column,
    an empty question, broken JSON, an id that stands there twice; or that the file holds no question.
    """
    first_line: dict[str, int] = {}
    captions = 0
    for line, row in _csv_rows(path) if path.suffix.lower() == ".csv" else _jsonl_rows(path):
        source = f"{path}:{line}"
        if _lacks(row, "question") and not _lacks(row, "caption"):
            captions += 1
            continue
        for column in ("image", "question"):
            if _lacks(row, column):
                raise DataError(f"{source}: {column!r} is missing or empty", hint=_HINT)
        record = Record(row, source, line)
        name, question = (record.text(column, verbatim=True).strip() for column in ("image", "question"))
        elsewhere = "" if path.suffix.lower() == ".csv" else record.optional("path", verbatim=True)
        key = str(line) if _lacks(row, "id") else record.text("id", verbatim=True)
        if key in first_line:
            raise DataError(
                f"{source}: the id {shown(key)} stands already in line {first_line[key]}",
                hint="give every question an id of its own, or none: then it is the line's number",
            )
        first_line[key] = line
        yield asked(key, path.parent / (elsewhere or name), question, source), row
    if not first_line:
        passed = f" ({captions} captions were passed over)" if captions else ""
        raise DataError(f"{path} holds no question{passed}", hint=_HINT)


def _lacks(row: Mapping[str, Any], column: str) -> bool:
    """Whether there is nothing in a row's column. 0 is something."""
    value = row.get(column)
    return value is None or (isinstance(value, str) and not value.strip())


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for row in named_rows(path, needed=()):
        if isinstance(row, DataError):
            raise row
        yield row.number, dict(row.values)


def _jsonl_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for line, content in numbered_lines(path):
        source = f"{path}:{line}"
        row = parse_json(content, source, lines=False, hint="one object on each line")
        row = dict(require_record(row, source).values)
        try:
            json.dumps(row, allow_nan=False)  # the row is written into the predictions, which other programs read
        except ValueError as error:
            raise DataError(
                f"{source}: a number is NaN or infinite, which JSON does not have", hint="write null instead of it"
            ) from error
        except RecursionError as error:
            raise DataError(f"{source}: the row is nested too deep", hint=CORRECT_IT) from error
        yield line, row


def require_images(samples: Sequence[Sample]) -> None:
    """Raises ImageError, with the line that asks about it, for the first image that is not there. Nothing is opened."""
    for sample in samples:
        if not is_file(sample.path):
            _open(sample)


@contextmanager
def lines_named(samples: Sequence[Sample]) -> Iterator[None]:
    """An image of the samples that cannot be opened inside is said with the line that asks about it."""
    try:
        yield
    except ImageError:
        for sample in samples:
            _open(sample)
        raise


def _open(sample: Sample) -> None:
    try:
        open_image(sample.path)
    except ImageError as error:
        raise ImageError(f"{sample.source}: {error}", hint=error.hint) from error


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
