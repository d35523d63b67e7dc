"""The values of a predictions file as `Prediction` rows: numbers as text, per cent as shares, empty answers counted."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import CLOSED, OPEN
from discern_vqa.errors import DataError
from discern_vqa.reading import spellings
from discern_vqa.reading.records import Record, number_text, parse_json, shown
from discern_vqa.scoring.how_given import HowGiven
from discern_vqa.scoring.predictions import ANSWER_TYPES, Prediction
from discern_vqa.scoring.tools import Line
from discern_vqa.scoring.tools._parts import options_of

_PER_CENT = re.compile(r"(\d+(?:[.,]\d+)?)\s*%")
_NEVER_AN_ANSWER = re.compile(r"nan|nat|null|#n/?a|<na>", re.IGNORECASE)
_TEXTS = ("question", "question_type", "organ", "phrase_type", "twin", "mask", "mode")
NO_IMAGE = "question "
"""Before the id of a question whose image the file does not name: it is clustered by itself."""


class RowReader:
    """Reads the lines of one file. `notes` and `has_ids` are known when `rows` has been called."""

    def __init__(self, path: Path, how: HowGiven, lines: Sequence[Line]) -> None:
        self.notes: list[str] = []
        self.has_ids = any(line.fields.get("id") not in (None, "") for line in lines)
        self._path, self._how, self._lines = path, how, lines
        self._types = {" ".join(text.split()).casefold(): kind for text, kind in how.values.items()}
        scores = [_number(line.fields.get("score")) for line in lines]
        self._in_per_cent = any(score is not None and score > 1 + 1e-6 for score in scores)

    def rows(self) -> list[Prediction]:
        """A row for each line, in their order. Raises DataError with the line where a value does not fit."""
        self._require_types()
        rows = [self._row(line.record, line.fields) for line in self._lines]
        first: dict[str, str] = {}
        for row, line in zip(rows, self._lines, strict=True):
            if row.id in first:
                raise DataError(
                    f"{line.record.source}: the id {shown(row.id)} stands already in {first[row.id]}",
                    hint="every question is answered once: remove one of the two, or give it an id of its own",
                )
            first[row.id] = line.record.source
        self._take_notes(rows)
        return rows

    def _row(self, record: Record, fields: Mapping[str, Any]) -> Prediction:
        truths = _several(fields.get("gold"), record, "gold")
        accepted = _several(fields.get("accepted"), record, "accepted")
        number = _text(fields.get("id"), record, "id")
        number = number if number.strip() else str(record.number)
        image = _text(fields.get("image"), record, "image")
        return Prediction(
            id=number,
            image=image if image.strip() else f"{NO_IMAGE}{number}",
            gold=truths[0] if truths else "",
            answer_type=self._type(_text(fields.get("answer_type"), record, "answer_type")),
            prediction=_text(fields.get("prediction"), record, "prediction"),
            score=self._score(fields.get("score"), record),
            alternatives=_alternatives(fields.get("alternatives"), record),
            others=fields.get("others") if isinstance(fields.get("others"), int) else None,
            accepted=tuple([*truths[1:], *accepted]),
            options=tuple(_options(fields.get("options"), record)),
            **{name: _first_text(fields.get(name), record, name) for name in _TEXTS},
        )

    def _type(self, written: str) -> str:
        plainly = " ".join(written.split())
        kind = self._types.get(plainly.casefold(), plainly.lower())
        return kind if kind in ANSWER_TYPES else spellings.answer_type(kind)

    def _require_types(self) -> None:
        """Raises DataError where answer types are written in words that are not known; the hint maps them, as closed
        where all their true answers are yes or no."""
        for name, kind in self._how.values.items():
            if kind not in ANSWER_TYPES:
                raise DataError(
                    f"--values {name}={kind}: there is no answer type {kind!r}", hint="open, closed or choice"
                )
        if self._how.values and all(line.fields.get("answer_type") in (None, "") for line in self._lines):
            raise DataError(
                f"{self._path}: --values maps answer types, and no column is known to hold them",
                hint="name it: --columns answer_type=COLUMN",
            )
        unknown: dict[str, list[str]] = {}
        first = ""
        for line in self._lines:
            written = _text(line.fields.get("answer_type"), line.record, "answer_type").strip()
            if written and not spellings.is_missing(written) and not self._type(written):
                first = first or line.record.source
                unknown.setdefault(written, []).append(_first_text(line.fields.get("gold"), line.record, "gold"))
        if unknown:
            meant = {
                text: CLOSED if all(map(spellings.is_yes_or_no, golds)) else OPEN for text, golds in unknown.items()
            }
            listed = ", ".join(repr(text) for text in list(unknown)[:5])
            raise DataError(
                f"{first}: answer_type is {listed}; expected open, closed or choice",
                hint=f"say what is meant, for example {self._how.command(values={**self._how.values, **meant})}",
            )

    def _score(self, value: object, record: Record) -> float | None:
        if value is None or (isinstance(value, str) and spellings.is_missing(value)):
            return None
        score, most = _number(value), 100 if self._in_per_cent else 1
        if score is None or not 0 <= score <= most + 1e-6:
            raise DataError(
                f"{record.source}: score must be a number in [0, 1], or in per cent, found {shown(value)}",
                hint="leave it out if there is none",
            )
        return min(1.0, score / most)

    def _take_notes(self, rows: Sequence[Prediction]) -> None:
        empty = sum(not row.prediction.strip() for row in rows)
        invalid = sum(bool(_NEVER_AN_ANSWER.fullmatch(row.gold.strip())) for row in rows)
        counts = (
            (empty, "empty answers, which count as wrong"),
            (invalid, "true answers that are what programs write for a missing value (nan, null)"),
        )
        self.notes += ["the scores are taken as per cent"] if self._in_per_cent else []
        self.notes += [] if self.has_ids else ["there are no ids; the numbers of the lines are taken"]
        self.notes += [f"{what}: {count:,}" for count, what in counts if count]


def _number(value: object) -> float | None:
    """A share, or a percentage as it is written (93.0 for "93 %"); None for what is no number."""
    if isinstance(value, str):
        match = _PER_CENT.fullmatch(value.strip())
        text = match[1] if match else value.strip()
        try:
            value = float(text.replace(",", ".", 1))
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: object, record: Record, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        try:
            return number_text(value)
        except (ValueError, OverflowError):
            raise record.unexpected(name, shown(value), "text") from None
    if isinstance(value, list) and len(value) == 1:
        return _text(value[0], record, name)
    if not isinstance(value, str):
        raise record.unexpected(name, value, "text")
    return value


def _first_text(value: object, record: Record, name: str) -> str:
    return _text(value[0] if isinstance(value, list) and value else value, record, name) if value != [] else ""


def _several(value: object, record: Record, name: str) -> list[str]:
    """The texts of a list, or one text; empty ones are left out."""
    values = value if isinstance(value, list) else [value]
    return [text for item in values if (text := _text(item, record, name)).strip()]


def _options(value: object, record: Record) -> list[str]:
    """A list, an object by letters, a text that is such a JSON, or texts between bars."""
    if isinstance(value, str) and value.strip():
        is_json = value.lstrip().startswith(("[", "{"))
        value = parse_json(value, record.source, lines=False) if is_json else value.split("|")
    return options_of({"options": value}) if value else []


def _alternatives(value: object, record: Record) -> tuple[tuple[str, float], ...]:
    if isinstance(value, str) and value.strip():
        value = parse_json(value, record.source, lines=False)
    if not value:
        return ()
    pairs = []
    for pair in value if isinstance(value, list) else [None]:
        answer, score = pair if isinstance(pair, list) and len(pair) == 2 else (None, None)
        share = _number(score)
        if isinstance(answer, str) and share is not None and 0 <= share <= 1 + 1e-6:
            pairs.append((answer, min(1.0, share)))
        else:
            raise DataError(
                f"{record.source}: alternatives must be a list of [answer, score], found {json.dumps(value)[:60]}",
                hint='for example [["no", 0.93], ["yes", 0.06]]; leave it out if there are none',
            )
    return tuple(pairs)
