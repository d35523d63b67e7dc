"""The neutral record: a sample as an object of plain values with the field names of `Sample`, and back.

JSON Lines, Parquet and spreadsheets are three ways to write it down; this file is what they share.
"""

import dataclasses
from pathlib import Path, PurePosixPath
from typing import Any

from discern_vqa.data.sample import SPLITS, Sample
from discern_vqa.reading.records import Record

PLAIN = ("organ", "modality", "language", "phrase_type", "group", "patient", "study", "twin", "mask")
"""Fields that hold one text, verbatim, and may be left out."""

KNOWN = {field.name for field in dataclasses.fields(Sample)} - {"source", "extra"}
"""Every other key of a record goes to `Sample.extra`."""


def split_of(record: Record) -> str:
    """The record's split. Raises DataError when it is none of the four."""
    split = record.text("split")
    if split not in SPLITS:
        raise record.unexpected("split", split, f"one of {', '.join(SPLITS)}")
    return split


def sample_of(record: Record, path: Path) -> Sample:
    """The sample of a record, whose image lies at `path`. Where it has no id, its number is the id.

    Raises DataError: a field is missing, or not what it must be.
    """
    values, caption = record.values, record.optional("caption")
    is_question = not caption or record.optional("question") != ""
    return Sample(
        id=record.text("id", verbatim=True) if "id" in values else str(record.number),
        split=split_of(record),
        image=record.text("image", verbatim=True),
        path=path,
        question=record.text("question") if is_question else "",
        answer=record.text("answer") if is_question else "",
        caption=caption,
        answer_type=record.answer_type() if values.get("answer_type") else "",
        question_type=_texts(record, "question_type"),
        choices=_texts(record, "choices"),
        source=record.source,
        extra={key: value for key, value in values.items() if key not in KNOWN},
        **{key: record.optional(key, verbatim=True) for key in PLAIN},
    )


def record_of(sample: Sample) -> dict[str, Any]:
    """The record of a sample, without the place of its image; empty fields are left out.

    Raises ValueError when a key of `extra` has the name of a field: a mistake of the reader's.
    """
    if clash := KNOWN & sample.extra.keys():
        raise ValueError(f"{sample.source}: extra has the name of a field: {', '.join(sorted(clash))}")
    names = ("question", "answer", "caption", "answer_type", "question_type", "choices", *PLAIN)
    values = {name: getattr(sample, name) for name in names}
    texts = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items() if value}
    return {"id": sample.id, "split": sample.split, "image": sample.image} | texts | dict(sample.extra)


def root_of(path: Path, image: str) -> Path:
    """The folder from which `image` is named, given where the image lies; the image's folder if they do not agree."""
    parts = PurePosixPath(image).parts
    return path.parents[len(parts) - 1] if path.parts[-len(parts) :] == parts else path.parent


def _texts(record: Record, key: str) -> tuple[str, ...]:
    """The texts under an optional key: a list, or (for question types) one text with commas; empty ones left out."""
    value = record.values.get(key)
    if isinstance(value, str) and key == "question_type":
        value = value.split(",")
    parts = [] if value is None else value
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise record.unexpected(key, value, "text or a list of texts" if key == "question_type" else "a list of texts")
    return tuple(part.strip() for part in parts if part.strip())
