"""The neutral record: a sample as an object of plain values with the field names of `Sample`, and back.

JSON Lines, Parquet and spreadsheets are three ways to write it down; this file is what they share.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from discern_vqa.data.sample import SPLITS, Sample
from discern_vqa.errors import DataError
from discern_vqa.reading.records import CORRECT_IT, answer_type_of, shown, text_of

PLAIN = ("organ", "modality", "language", "phrase_type", "group", "patient", "study", "twin", "mask")
"""Fields that hold one text, verbatim, and may be left out."""

KNOWN = {field.name for field in dataclasses.fields(Sample)} - {"source", "extra"}
"""Every other key of a record goes to `Sample.extra`."""


def split_of(record: Mapping[str, Any], source: str) -> str:
    """The record's split. Raises DataError when it is none of the four."""
    split = text_of(record, "split", source)
    if split not in SPLITS:
        raise DataError(f"{source}: 'split' is {shown(split)}; expected one of {', '.join(SPLITS)}", hint=CORRECT_IT)
    return split


def sample_of(record: Mapping[str, Any], source: str, number: int, path: Path) -> Sample:
    """The sample of a record.

    Args:
        record: the record.
        source: "file:line", for messages.
        number: its id where it has none.
        path: where its image lies.

    Raises:
        DataError: a field is missing, or not what it must be.
    """
    caption = text(record, "caption", source)
    is_question = not caption or text(record, "question", source) != ""
    return Sample(
        id=text_of(record, "id", source, verbatim=True) if "id" in record else str(number),
        split=split_of(record, source),
        image=text_of(record, "image", source, verbatim=True),
        path=path,
        question=text_of(record, "question", source) if is_question else "",
        answer=text_of(record, "answer", source) if is_question else "",
        caption=caption,
        answer_type=answer_type_of(record, "answer_type", source) if record.get("answer_type") else "",
        question_type=_texts(record, "question_type", source),
        choices=_texts(record, "choices", source),
        source=source,
        extra={key: value for key, value in record.items() if key not in KNOWN},
        **{key: text(record, key, source, verbatim=True) for key in PLAIN},
    )


def record_of(sample: Sample) -> dict[str, Any]:
    """The record of a sample, without the place of its image; empty fields are left out.

    Raises ValueError when a key of `extra` has the name of a field: a mistake of the reader's.
    """
    if clash := KNOWN & sample.extra.keys():
        raise ValueError(f"{sample.source}: extra has the name of a field: {', '.join(sorted(clash))}")
    optional = {
        "question": sample.question,
        "answer": sample.answer,
        "caption": sample.caption,
        "answer_type": sample.answer_type,
        "question_type": list(sample.question_type),
        "choices": list(sample.choices),
    } | {key: getattr(sample, key) for key in PLAIN}
    record: dict[str, Any] = {"id": sample.id, "split": sample.split, "image": sample.image}
    return record | {key: value for key, value in optional.items() if value} | dict(sample.extra)


def text(record: Mapping[str, Any], key: str, source: str, verbatim: bool = False) -> str:
    """The text under an optional key; "" where it is absent or empty."""
    return "" if record.get(key, "") == "" else text_of(record, key, source, verbatim)


def root_of(path: Path, image: str) -> Path:
    """The folder from which `image` is named, given where the image lies; the image's folder if they do not agree."""
    parts = PurePosixPath(image).parts
    return path.parents[len(parts) - 1] if path.parts[-len(parts) :] == parts else path.parent


def published(record: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    """What else a published record says, for `extra`: a key with the name of a field gets "published_" before it."""
    rest = {key: value for key, value in record.items() if key not in known and value not in ("", None)}
    return {f"published_{key}" if key in KNOWN else key: value for key, value in rest.items()}


def _texts(record: Mapping[str, Any], key: str, source: str) -> tuple[str, ...]:
    """The texts under an optional key: a list, or (for question types) one text with commas; empty ones left out."""
    value = record.get(key)
    if isinstance(value, str) and key == "question_type":
        value = value.split(",")
    parts = [] if value is None else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        expected = "text or a list of texts" if key == "question_type" else "a list of texts"
        raise DataError(f"{source}: {key!r} is {shown(value)}; expected {expected}", hint=CORRECT_IT)
    return tuple(part.strip() for part in parts if part.strip())
