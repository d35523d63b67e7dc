"""Which columns of a table are likely to hold an image, a question and so on: suggestions, for people to confirm.

No reader uses them by itself. They make the command that an error message suggests.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from discern_vqa.imaging.endings import is_image_name
from discern_vqa.reading import spellings
from discern_vqa.reading.columns import reach
from discern_vqa.reading.field_names import NAMES, plain

SUGGESTED = ("image", "question", "answer", "caption", "answer_type", "split", "patient", "organ", "modality")
"""Fields whose columns are suggested."""

NEEDED = ("image", "question", "answer")
_LOOKED_AT = 50
_MOST_TYPES = 3


def likely_columns(names: Sequence[str], rows: Iterable[Mapping[str, Any]], given: Mapping[str, str]) -> dict[str, str]:
    """Field -> the column that is likely to hold it, for the fields that are not `given`; a column is used once.

    Known names come first. Where image or question has none, the column whose values look like names of image files, or
    end in question marks, is taken. `names` may be ways into JSON ("meta.answer").
    """
    looked_at = [row for row, _ in zip(rows, range(_LOOKED_AT), strict=False)]
    free = [name for name in names if name and name not in given.values()]
    likely: dict[str, str] = {}
    for field in SUGGESTED:
        known = NAMES[field]
        if field in given:
            continue
        whole = {plain(name): name for name in reversed(free)}
        last = {plain(name.rpartition(".")[2]): name for name in reversed(free)}
        column = next((named[name] for named in (whole, last) for name in known if name in named), "")
        answer = likely.get("answer", given.get("answer", ""))
        if column and _fits(field, column, looked_at, answer):
            likely[field] = column
            free.remove(column)
    for field, looks_like in (("image", _is_image), ("question", _is_question)):
        if field not in likely and field not in given:
            shares = {name: _share(looks_like, _texts(looked_at, name)) for name in free}
            best = max(shares, key=lambda name: shares[name], default="")
            if best and shares[best] >= 0.5:
                likely[field] = best
                free.remove(best)
    return likely


def _fits(field: str, column: str, rows: Sequence[Mapping[str, Any]], answer: str) -> bool:
    """Whether a column of that name can hold the field, by what it holds: splits are known by their names, types are
    told by theirs or by the answers (`answer` is their column), and what names image files is an image alone."""
    stated = [text for text in _texts(rows, column) if not spellings.is_missing(text)]
    if field == "split":
        return bool(stated) and all(map(spellings.split_name, stated))
    if field == "answer_type":
        return _are_types(set(stated), column, rows, answer)
    return field == "image" or _share(_is_image, stated) < 0.5


def _are_types(words: set[str], column: str, rows: Sequence[Mapping[str, Any]], answer: str) -> bool:
    """Whether two or three words are types of answers: the spelling of one is known, or to one of them all answers are
    yes or no, and to another none is."""
    if not 0 < len(words) <= _MOST_TYPES:
        return False
    shares = {
        word: _share(spellings.is_yes_or_no, _texts([row for row in rows if word in _texts([row], column)], answer))
        for word in words
    }
    return any(map(spellings.answer_type, words)) or {0.0, 1.0} <= {*shares.values()}


def _texts(rows: Sequence[Mapping[str, Any]], column: str) -> list[str]:
    texts = []
    for row in rows:
        try:
            value = reach(row, column)
        except KeyError:
            continue
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, str) and value.strip():
            texts.append(value.strip())
    return texts


def _share(looks_like: Callable[[str], bool], texts: Sequence[str]) -> float:
    return sum(map(looks_like, texts)) / len(texts) if texts else 0.0


def _is_image(text: str) -> bool:
    return is_image_name(PurePosixPath(text.replace("\\", "/")).name)


def _is_question(text: str) -> bool:
    return text.rstrip().endswith(("?", "？", "؟"))
