"""The rules that `data.normalisers` names, which docs/metrics.md describes.

It imports the standard library alone: the tasks that `discern export-tasks` writes carry a copy of it, and run where
this package is not installed.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_THOUSANDS = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")  # a decimal point stays: 5.1 is not 51
_X_RAY = re.compile(r"\bx ray")
_ARTICLES = frozenset({"a", "an", "the"})
_NUMBERS = {
    word: str(number) for number, word in enumerate("zero one two three four five six seven eight nine ten".split())
} | {"none": "0"}


def _contractions() -> dict[str, str]:
    """Words typed without their apostrophe; those that are words by themselves (ill, well, wed, its) are left out."""
    negated = "ai are ca could did does do had has have is must need should was were wo would".split()
    table = {f"{stem}nt": f"{stem}n't" for stem in negated}
    persons = {
        "ve": "could i might must should they we what who would you".split(),
        "d": "he how it that there they what where who why you".split(),
        "ll": "how it that there they what who you".split(),
        "re": "they what who you".split(),
        "s": "he how let she somebody someone that there what when where who why".split(),
    }
    table |= {f"{stem}{end}": f"{stem}'{end}" for end, stems in persons.items() for stem in stems}
    return table | {"oclock": "o'clock", "maam": "ma'am", "yall": "y'all"}


_CONTRACTIONS = _contractions()


def _lower(answer: str) -> str:
    return " ".join(answer.lower().split())


def _plain(answer: str) -> str:
    text = _lower(unicodedata.normalize("NFC", answer))
    return text.rstrip(" .\u3002") or text  # the Chinese full stop too


def _m3ae(answer: str) -> str:
    """Known oddities of the published rule are kept: signs and "<" are lost; "none" is 0; a mark next to a space is
    removed."""
    text = plain = _lower(answer)
    has_thousands = bool(_THOUSANDS.search(plain))
    for mark in _MARKS:
        vanishes = has_thousands or f"{mark} " in plain or f" {mark}" in plain
        text = text.replace(mark, "" if vanishes else " ")
    words = (_NUMBERS.get(word, word) for word in _FULL_STOP.sub("", text).split())
    content = [_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES]
    return " ".join(content) or plain  # the answers "A" and "?" stay what they are


def _mevf(answer: str) -> str:
    return _X_RAY.sub("xray", _m3ae(answer))


NORMALISERS: Mapping[str, Callable[[str], str]] = {
    "none": str,
    "plain": _plain,
    "lower": _lower,
    "m3ae": _m3ae,
    "mevf": _mevf,
}
