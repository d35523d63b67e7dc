"""The columns of a table of one's own that holds predictions: found by name, checked, and mapped. No torch here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import CLOSED, OPEN
from discern_vqa.errors import ConfigError, DataError, did_you_mean
from discern_vqa.reading import spellings
from discern_vqa.reading.columns import reach
from discern_vqa.reading.field_names import plain
from discern_vqa.reading.records import Record, one_line, shown
from discern_vqa.scoring.how_given import HowGiven
from discern_vqa.scoring.prediction_columns import FIELDS, by_name, suggestion
from discern_vqa.scoring.predictions import REQUIRED
from discern_vqa.scoring.row_values import is_number

_FEW = 4
"""A column of more values than these holds no answer types."""


def columns_of(
    path: Path, how: HowGiven, names: Sequence[str], records: Sequence[Record], is_joined: bool
) -> tuple[dict[str, str], list[str]]:
    """Field -> column of a table of one's own, and what is to be told of it. Raises DataError: predictions or true
    answers are in none."""
    columns = {**how.columns, **by_name(names, how.columns, set(REQUIRED) <= set(names), is_joined)}
    notes = _drop_other_types(columns, how, records) if "answer_type" not in how.columns else []
    notes += _drop_words(columns, records) if "score" not in how.columns else []
    needed = {"prediction": "the answers that were given (prediction)", "gold": "the true answers (gold)"}
    missing = [name for name in needed if name not in columns and not (name == "gold" and is_joined)]
    if missing:
        guess = suggestion(names, [record.values for record in records[:1000]], columns)
        guess = {name: column for name, column in guess.items() if name in missing}
        what = " nor ".join(needed[name] for name in missing)
        hint = how.command(columns={**how.columns, **guess})
        if "prediction" in {*missing} - guess.keys():
            hint = "score the file that a model wrote: this one has no further column of text"
            if answer := guess.get("gold"):
                joined = how.command(columns={**how.columns, "prediction": answer}, data=("vqa_rad", "FOLDER"))
                hint = f"if {answer!r} is what the model answered, add the data set that was asked, as in {joined}"
        elif not guess:
            hint = f"take them from the data set that was asked, as in {how.command(data=('vqa_rad', 'FOLDER'))}"
        raise DataError(
            f"{path} has no column that is known to hold {what}; its columns are: {one_line(', '.join(names))[:500]}",
            hint=hint,
        )
    return columns, notes


def require_columns(path: Path, given: Mapping[str, str], names: Sequence[str]) -> None:
    for name, column in given.items():
        if name not in FIELDS:
            raise ConfigError(
                f"--columns: there is no field {name!r}",
                hint=did_you_mean(name, FIELDS, f"there are: {', '.join(FIELDS)}"),
            )
        known = {*names, *(known.partition(".")[0] for known in names)}
        if column not in known and column.partition(".")[0] not in known:
            listed = f"there are: {one_line(', '.join(names))[:500]}"
            raise ConfigError(f"{path} has no column {column!r}", hint=did_you_mean(column, names, listed))


def mapped(record: Record, columns: Mapping[str, str], is_table: bool) -> dict[str, Any]:
    """The values by field. Raises DataError where a record has no answer at all; in a table that is an empty cell."""
    values: dict[str, Any] = {}
    for name, column in columns.items():
        try:
            values[name] = reach(record.values, column)
        except KeyError:
            if name in ("prediction", "gold") and not is_table:
                raise record.broken(
                    f"missing {column}; there are: {one_line(', '.join(record.values))[:200]}"
                ) from None
    return values


def _drop_other_types(columns: dict[str, str], how: HowGiven, records: Sequence[Record]) -> list[str]:
    """Takes a column like "type" out where it holds other things than answer types; returns what is to be told."""
    column = columns.get("answer_type", "")
    if not column or plain(column) == "answertype":
        return []
    golds: dict[str, list[str]] = {}
    for record in records:
        golds.setdefault(str(_value(record, column) or "").strip(), []).append(
            str(_value(record, columns.get("gold", "")))
        )
    unknown = [text for text in golds if text and text not in how.values and not spellings.answer_type(text)]
    if not unknown:
        return []
    del columns["answer_type"]
    if len(unknown) > _FEW:
        return []
    meant = {text: CLOSED if all(map(spellings.is_yes_or_no, golds[text])) else OPEN for text in unknown}
    command = how.command(values={**how.values, **meant})
    return [f"{column!r} holds {', '.join(unknown)}, which is no known answer type; if it is meant as one: {command}"]


def _drop_words(columns: dict[str, str], records: Sequence[Record]) -> list[str]:
    """Takes a column of confidences out that are words, unless it is called "score", which has to be right."""
    column = columns.get("score", "")
    words = [value for record in records if isinstance(value := _value(record, column), str) and not is_number(value)]
    if not column or column == "score" or not words:
        return []
    del columns["score"]
    return [f"{column!r} holds {shown(words[0])}, which is no number, and is not taken"]


def _value(record: Record, column: str) -> Any:
    """The value under a column; None where there is none."""
    try:
        return reach(record.values, column)
    except KeyError:
        return None
