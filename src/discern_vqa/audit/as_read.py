"""As read: what the reader worked out or left out, and answers that may be missing values written as text."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

from discern_vqa.audit.inputs import AuditInputs
from discern_vqa.data.sample import Sample
from discern_vqa.reading.spellings import is_missing

TITLE = "As read"
_MOST_NAMED = 5


def check(inputs: AuditInputs) -> dict[str, Any]:
    """How many answer types were derived, which answers and fields may be or are missing values with the lines that
    hold them, which conversations end in a question, and how many questions have several answers."""
    rows = [row for part in inputs.samples.values() for row in part]
    doubtful: dict[str, list[Sample]] = defaultdict(list)
    not_stated: dict[str, list[Sample]] = defaultdict(list)
    for row in rows:
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
        "unanswered": _places(row for row in rows if row.extra.get("unanswered")),
        "several_answers": sum(len(set(map(str, _list(row, "answers")))) > 1 for row in rows),
    }


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
    if found["unanswered"]["count"]:
        sentences.append(
            f"{found['unanswered']['count']:,} conversations end in a question without an answer, which is left out: "
            f"{_listed(found['unanswered'])}."
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
        "questions with several answers": found["several_answers"],
    }
    return [f"{what}: {count:,}" for what, count in counts.items() if count] or ["as the files have it"]
