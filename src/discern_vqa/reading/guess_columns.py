"""Which column of a table holds what, for `guess`: by its name in several languages, and by what stands in it.

What stands in a column decides where names do not: cells that are image files that exist, sentences that end in a
question mark, few repeated values that are neither. Types and splits have few values, all of which are known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from discern_vqa.reading import spellings
from discern_vqa.reading.columns import field_of
from discern_vqa.reading.field_names import PERSONS, is_person, plain, rank
from discern_vqa.reading.guess_images import Place
from discern_vqa.reading.guess_tables import Peek

OTHERS = ("patient", "study", "modality", "organ", "language", "question_type", "caption", "choices")
"""Fields that are known by their column's name alone."""
_ENOUGH = 0.5


@dataclass(frozen=True)
class Found:
    """Field -> column; of fields in doubt the columns that may be meant, the likeliest first; and lines to be said."""

    columns: dict[str, str]
    doubts: dict[str, list[str]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


def looks_like_questions(table: Peek) -> bool:
    """Whether a table may hold questions about images: two of image, question and answer can be recognised."""
    if table.reader in ("llava", "coco_vqa"):
        return table.reader == "llava" or "question" in table.names
    named = {
        wanted for wanted in ("image", "question", "answer", "caption") for name in table.names if _is(wanted, name)
    }
    asking = any(_asking(table.texts(name)) >= _ENOUGH for name in table.names)
    return len(named | ({"question"} if asking else set())) >= 2 or (asking and len(table.names) >= 3)


def find(table: Peek, place: Callable[[Sequence[str]], Place]) -> Found:
    """The columns of a table; `place` says where the images lie that some cells name."""
    found = Found({})
    free = list(table.names)

    def take(wanted: str, columns: Sequence[str]) -> None:
        """The first of the columns, or a doubt between those that are equally likely."""
        if len(columns) == 1:
            found.columns[wanted] = columns[0]
        elif columns:
            found.doubts[wanted] = list(columns)
        for column in columns[:1]:
            free.remove(column)

    for wanted, known in (("answer_type", spellings.answer_type), ("split", spellings.split_name)):
        take(wanted, _named_first(wanted, [name for name in free if _all_known(table.texts(name), known)])[:1])
    shares = {name: place(table.texts(name)).share for name in free}
    take("image", _best(shares, "image", free))
    asking = {name: _asking(table.texts(name)) for name in free}
    named = _named_first("question", [name for name in free if _is("question", name)])
    sentences = [name for name in named if _words(table.texts(name)) >= 2] or named
    take("question", sentences[:1] if sentences else _best(asking, "question", free))
    named = _named_first("answer", [name for name in free if _is("answer", name)])
    take("answer", named[:1] if named else _like_answers(table, free))
    for wanted in OTHERS:
        named = [name for name in free if _is(wanted, name) and table.texts(name) and shares.get(name, 0.0) < _ENOUGH]
        take(wanted, _named_first(wanted, named)[:1])
    ids = [name for name in free if _is("id", name) and _is_unique(table, name)]
    take("id", _named_first("id", ids)[:1])
    _take_repeated_ids(table, found, free)
    if "question" in found.columns or "question" in found.doubts:
        found.columns.pop("caption", None)
    _tell_of_persons(table, found)
    return found


def _take_repeated_ids(table: Peek, found: Found, free: Sequence[str]) -> None:
    """A column that is called id and repeats is none of a question, as which a reader would refuse it: rows that share
    it belong together, as those of a patient or a case do."""
    for name in free:
        if field_of(name) == "id" and table.texts(name) and "id" not in found.columns:
            taken = "group" if "patient" in found.columns else "patient"
            found.columns[taken] = name
            found.lines.append(f"column {name!r} repeats, so it is taken as a case, whose images are kept together")
            return


def _tell_of_persons(table: Peek, found: Found) -> None:
    column = found.columns.get("patient")
    if column is None:
        return
    texts = table.texts(column)
    if plain(column) in PERSONS or sum(map(is_person, texts)) * 2 > len(texts):
        found.lines.append(
            f"column {column!r} seems to hold the names of persons. It is used only to keep a patient's images "
            "together, for which a pseudonym is enough: replace the names before you pass anything on."
        )


def _is(wanted: str, name: str) -> bool:
    return rank(wanted, name) is not None


def _named_first(wanted: str, names: Sequence[str]) -> list[str]:
    """Those whose name tells most first; others behind them in their order."""
    ranks = {name: rank(wanted, name) for name in names}
    return sorted(names, key=lambda name: 1000 if (place := ranks[name]) is None else place)


def _best(shares: dict[str, float], wanted: str, free: Sequence[str]) -> list[str]:
    """The columns with the highest share, if that is enough: one, unless several are equal and no name decides."""
    best = max(shares.values(), default=0.0)
    if best < _ENOUGH:
        return _named_first(wanted, [name for name in free if _is(wanted, name)])[:1]
    equal = _named_first(wanted, [name for name in shares if shares[name] > best - 0.02])
    return equal[:1] if _is(wanted, equal[0]) else equal


def _all_known(texts: Sequence[str], known: Callable[[str], str]) -> bool:
    """Whether all that is stated has a known meaning, with at least two different spellings or a name that says so."""
    stated = [text for text in texts if not spellings.is_missing(text)]
    return bool(stated) and all(map(known, set(stated)))


def _asking(texts: Sequence[str]) -> float:
    """The share of texts that ask."""
    return sum(text.endswith(("?", "？", "؟")) for text in texts) / len(texts) if texts else 0.0


def _words(texts: Sequence[str]) -> float:
    return sum(len(text.split()) for text in texts) / len(texts) if texts else 0.0


def _is_unique(table: Peek, name: str) -> bool:
    texts = table.texts(name)
    return len(texts) == len(table.records) == len(set(texts))


def _like_answers(table: Peek, free: Sequence[str]) -> list[str]:
    """Columns of short texts that repeat and that have no other meaning: those with yes or no alone, else all."""
    likely = []
    for name in free:
        texts = table.texts(name)
        other = any(_is(wanted, name) for wanted in (*OTHERS, "id", "answer_type", "split", "image"))
        if len(texts) * 2 > len(table.records) and not other and len(set(texts)) < len(texts) and _words(texts) < 8:
            likely.append(name)
    decided = [name for name in likely if any(map(spellings.is_yes_or_no, table.texts(name)))]
    return decided or likely
