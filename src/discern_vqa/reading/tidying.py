"""A record of one's own data, its values by field, as a neutral record: meanings, missing values, types, splits.

What was worked out stands in `extra`: `derived` has "answer_type" where the answer is yes or no and no type is given;
`not_stated` has the fields that held what programs write for a missing value ({"organ": "nan"}); `answers` has all
answers where there were several, of which the most frequent is taken; `reasoning_left_out` what a reasoning model wrote
before its answer ("<think>...</think>").
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from discern_vqa.data.sample import CLOSED, SPLITS
from discern_vqa.errors import DataError
from discern_vqa.reading import spellings
from discern_vqa.reading.reasoning import without_reasoning
from discern_vqa.reading.records import Record, number_text, parse_json
from discern_vqa.reading.table_options import FIELDS
from discern_vqa.reading.workbooks import COMPUTE, NO_VALUE

_NEVER_AN_ANSWER = {"nan", "nat", "null", "#n/a", "#na", "<na>", "<null>"}
"""Of what stands for a missing value, that which nobody answers; "none" or "-" may be meant, and the audit names it."""

_NEEDED = ("image", "question", "answer")
_OPTIONAL = FIELDS - {*_NEEDED, "path"}


class Tidier:
    """Tidies the records of one table. `values` is the option of that name, `use_as` the split where none is said."""

    def __init__(self, values: Mapping[str, Mapping[str, str]], use_as: str) -> None:
        self._meanings = {
            field: {plain(written): meant for written, meant in table.items()} for field, table in values.items()
        }
        self._use_as = use_as

    def tidied(self, record: Record) -> Record:
        """The neutral record. Raises DataError: a value is missing, is not what it must be, or is unknown."""
        values = dict(record.values)
        as_meant = set()
        _require_computed(values, record)
        for field, meanings in self._meanings.items():
            written = _text(values.get(field))
            if written is not None and (meant := meanings.get(plain(written))) is not None:
                values[field] = meant
                as_meant.add(field)
        _take_one(values, "image")
        answers = _take_most_frequent(values)
        _take_answer(values, record)
        for field in _NEEDED:
            text = values.get(field)
            if isinstance(text, str) and text and field not in as_meant and spellings.is_missing(text):
                if field != "answer" or text.strip().casefold() in _NEVER_AN_ANSWER:
                    raise record.broken(f"{field!r} is {text!r}, which programs write for a missing value")
        not_stated = {}
        for field in [name for name in values if name in _OPTIONAL or values[name] == NO_VALUE]:
            text = "NaN" if values[field] != values[field] else values[field]  # as JSON of Python and pandas has it
            if text is None or (isinstance(text, str) and (text == NO_VALUE or spellings.is_missing(text))):
                values.pop(field, None)
                if text and text.strip():
                    not_stated[field] = text
        tidy = replace(record, values=values)
        values["split"] = self._split(tidy)
        _choices(values, record)
        self._answer_type(values, tidy)
        values |= {key: found for key, found in (("not_stated", not_stated), ("answers", answers)) if found}
        return tidy

    def _split(self, record: Record) -> str:
        written = record.optional("split") or self._use_as
        if not (split := spellings.split_name(written)):
            raise record.unexpected("split", written, f"one of {', '.join(SPLITS)}")
        return split

    def _answer_type(self, values: dict[str, Any], record: Record) -> None:
        written = record.optional("answer_type")
        kind = spellings.answer_type(written)
        if written and not kind:
            raise record.unexpected("answer_type", written, "open, closed or choice")
        if kind:
            values["answer_type"] = kind
        elif isinstance(answer := values.get("answer"), str) and spellings.is_yes_or_no(answer):
            derived = values.get("derived")
            values["answer_type"] = CLOSED
            values["derived"] = [*(derived if isinstance(derived, list) else []), "answer_type"]


def _require_computed(values: Mapping[str, Any], record: Record) -> None:
    """Raises DataError where a field that is needed is a formula of a workbook without a value."""
    for field in _NEEDED:
        if values.get(field) == NO_VALUE:
            raise DataError(f"{record.source}: {field!r} is a formula without a value", hint=COMPUTE)


def _take_answer(values: dict[str, Any], record: Record) -> None:
    """Reasoning before an answer goes to `reasoning_left_out`. Raises DataError: there is nothing else."""
    if isinstance(text := values.get("answer"), str):
        answer, reasoning = without_reasoning(text)
        if reasoning and not answer:
            raise record.broken("'answer' holds reasoning and no answer behind it")
        values |= {"answer": answer, "reasoning_left_out": reasoning} if reasoning else {}


def plain(written: str) -> str:
    """A value as it is compared with those of the option `values`: without regard to case and white space."""
    return " ".join(written.split()).casefold()


def _text(value: object) -> str | None:
    """A value as text, a number as people write it; None for what is no single value."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return number_text(value) if isinstance(value, int | float) else None


def _take_one(values: dict[str, Any], field: str) -> None:
    """A list of one text becomes that text."""
    value = values.get(field)
    if isinstance(value, list) and len(value) == 1:
        values[field] = value[0]


def _take_most_frequent(values: dict[str, Any]) -> list[str]:
    """Of several answers (texts, or objects with "answer") the most frequent is taken, of equal ones the first; returns
    all of them, or none where there were not several."""
    answers = values.get("answer")
    if not isinstance(answers, list) or not answers:
        return []
    texts = [_text(answer.get("answer") if isinstance(answer, Mapping) else answer) for answer in answers]
    if any(text is None for text in texts):
        return []
    plain = [" ".join(text.split()) for text in texts if text is not None]
    values["answer"] = Counter(plain).most_common(1)[0][0]
    return plain if len(plain) > 1 else []


def _choices(values: dict[str, Any], record: Record) -> None:
    """Choices become a list: a JSON list, texts between bars ("CT | MRI"), or an object of texts by letter."""
    choices = values.get("choices")
    if isinstance(choices, str):
        try:
            is_json = choices.lstrip().startswith("[")
            choices = parse_json(choices, record.source, lines=False) if is_json else choices.split("|")
        except DataError as error:
            raise record.unexpected("choices", choices, "a list") from error
    elif isinstance(choices, Mapping):
        choices = list(choices.values())
    if isinstance(choices, list):
        texts = [_text(choice) for choice in choices]
        values["choices"] = [text for text in texts if text is not None] if None not in texts else choices
