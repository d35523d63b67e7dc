"""As read: what the reader worked out or left out, and answers that may be missing values written as text."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from discern_vqa.audit.inputs import AuditInputs
from discern_vqa.data.normalisers import NORMALISERS
from discern_vqa.data.sample import Sample
from discern_vqa.reading.records import number_text
from discern_vqa.reading.spellings import is_missing

TITLE = "As read"
_MOST_NAMED = 5
_NUMBER = re.compile(r"(?<![\w.,])[0-9]{1,12}(?:\.[0-9]{1,6})?(?!\w|[.,][0-9])")


def check(inputs: AuditInputs) -> dict[str, Any]:
    """How many answer types were derived, which answers and fields may be or are missing values with the lines that
    hold them, which conversations end in a question, and how many questions have several answers."""
    rows = [row for part in inputs.samples.values() for row in part]
    doubtful: dict[str, list[Sample]] = defaultdict(list)
    not_stated: dict[str, list[Sample]] = defaultdict(list)
    compared = NORMALISERS[inputs.normalise]
    same_number: dict[str, list[Sample]] = defaultdict(list)
    for row in rows:
        if _NUMBER.search(row.answer):
            same_number[_with_plain_numbers(row.answer)].append(row)
        if row.answer and is_missing(row.answer):
            doubtful[row.answer].append(row)
        for field in _table(row, "not_stated"):
            not_stated[field].append(row)
    return {
        "derived_types": dict(
            Counter(row.split for row in rows if "answer_type" in _list(row, "derived")).most_common()
        ),
        "doubtful_answers": {answer: _places(found) for answer, found in doubtful.items()},
        "not_stated": {
            field: {**_places(found), "written": sorted({str(_table(row, "not_stated")[field]) for row in found})}
            for field, found in not_stated.items()
        },
        "same_number": [
            {**_places(found), "written": written}
            for found in same_number.values()
            if len(written := sorted({row.answer for row in found})) > 1 and len(set(map(compared, written))) > 1
        ],
        "unanswered": _places(row for row in rows if row.extra.get("unanswered")),
        "reasoning": _places(row for row in rows if row.extra.get("reasoning_left_out")),
        "joined": _places(row for row in rows if row.extra.get("turns_joined")),
        "several_answers": sum(len(set(map(str, _list(row, "answers")))) > 1 for row in rows),
    }


def _with_plain_numbers(answer: str) -> str:
    """An answer with its numbers as people write them: "2.0 cm" is "2 cm", "5.10" is "5.1"."""
    return _NUMBER.sub(lambda number: number_text(float(number[0])), answer)


def _places(rows: Iterable[Sample]) -> dict[str, Any]:
    sources = [row.source for row in rows]
    return {"count": len(sources), "sources": sources[:_MOST_NAMED]}


def _list(row: Sample, key: str) -> list[Any]:
    value = row.extra.get(key)
    return value if isinstance(value, list) else []


def _table(row: Sample, key: str) -> dict[str, Any]:
    value = row.extra.get(key)
    return value if isinstance(value, dict) else {}


def notes(found: dict[str, Any]) -> list[str]:
    """What a user should look at before anything is trained."""
    sentences = []
    for split, count in found["derived_types"].items():
        sentences.append(
            f"{count:,} questions of {split} have a derived answer type (closed, for yes or no): none was stated."
        )
    for answer, about in found["doubtful_answers"].items():
        sentences.append(
            f"{about['count']:,} answers are {answer!r}, which may be a missing value written as text: "
            f"{_listed(about)}."
        )
    for field, about in found["not_stated"].items():
        written = " or ".join(map(repr, about["written"][:3]))
        sentences.append(
            f"{field} was {written} in {about['count']:,} records and counts as not stated: {_listed(about)}."
        )
    for about in found["same_number"]:
        sentences.append(
            f"{' and '.join(map(repr, about['written'][:3]))} are one number written in several ways, in "
            f"{about['count']:,} answers, and count as different answers: {_listed(about)}. Write it in one way."
        )
    if found["unanswered"]["count"]:
        sentences.append(
            f"{found['unanswered']['count']:,} conversations end in a question without an answer, which is left out: "
            f"{_listed(found['unanswered'])}."
        )
    if found["reasoning"]["count"]:
        sentences.append(
            f"{found['reasoning']['count']:,} answers held reasoning (<think>...</think>), which is left out: "
            f"{_listed(found['reasoning'])}."
        )
    if found["joined"]["count"]:
        sentences.append(
            f"{found['joined']['count']:,} questions were several turns in a row, and are read as one: "
            f"{_listed(found['joined'])}."
        )
    if found["several_answers"]:
        sentences.append(
            f"{found['several_answers']:,} questions have several different answers: the most frequent is taken."
        )
    return sentences


def _listed(about: dict[str, Any]) -> str:
    more = about["count"] - len(about["sources"])
    return ", ".join(about["sources"]) + (f" and {more:,} more" if more else "")


def lines(found: dict[str, Any]) -> list[str]:
    counts = {
        "derived answer types": sum(found["derived_types"].values()),
        "answers that may be missing values": sum(about["count"] for about in found["doubtful_answers"].values()),
        "other missing values written as text": sum(about["count"] for about in found["not_stated"].values()),
        "questions without an answer left out": found["unanswered"]["count"],
        "answers with reasoning, which is left out": found["reasoning"]["count"],
        "questions put together from several turns": found["joined"]["count"],
        "answers that are one number written in several ways": sum(one["count"] for one in found["same_number"]),
        "questions with several answers": found["several_answers"],
    }
    return [f"{what}: {count:,}" for what, count in counts.items() if count] or ["as the files have it"]
