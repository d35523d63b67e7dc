"""Different answers that a normaliser takes for one, and what is lost by that. No torch here.

Two answers are *different* when the normaliser `plain` tells them apart. Most of what a published normaliser merges is
harmless ("x-ray" and "x ray"). What is not, by kind:

    a sign or a comparison     "HER2+" and "HER2-", "<5 mm" and ">5 mm", "-2" and "2"
    a number                   "1,5" and "15" (a decimal comma), "1/2" and "1 2"
    none for zero              "None" and "0"
    a letter                   "grade A" and "grade": taken for an article
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from discern_vqa.data.normalisers import NORMALISERS, SAFE, commonest, normaliser

SIGN, NUMBER, NONE, LETTER = "a sign or a comparison", "a number", "none or zero", "a letter"
SHOWN = 3
"""So many classes are named in a warning."""

_MINUS = str.maketrans("\u2212\u2013\u2012\u2011\uff0b\uff0d\uff1c\uff1e", "----+-<>")
# A minus is a sign before a word or number ("-2"), behind it ("HER2-"), in brackets or alone; between two of them it
# is a hyphen ("x-ray", "L4-L5"), with a blank on either side a dash.
_SIGNS = re.compile(
    r"[<>\u2264\u2265=+\u00b1~\u2191\u2193]|(?<![^\W_])-+(?=[^\W_])|(?<=[^\W_])-+(?![^\W_])|(?<=[(\[/])-+(?=[)\]/]|$)|^-+$"
)
_NUMBER = re.compile(r"\d+(?:[.,/]\d+)*")
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
# An "a" that is no article: at the end ("grade a"), or a capital letter within words of small ones ("Type A fracture").
_LAST_LETTER = re.compile(r"\S[\s(]+(an?)[\s)]*$", re.IGNORECASE)
_CAPITAL = re.compile(r"[a-z]\w*[\s(]+(A)(?![\w'])")
_NONE = re.compile(r"\bnone\b")


@dataclass(frozen=True)
class Merged:
    """Answers that are one class: each distinct spelling with how often it occurs, the most frequent first."""

    key: str  # what the normaliser makes of them; for comparing only
    spellings: tuple[tuple[str, int], ...]
    loses: tuple[str, ...]  # the kinds of what tells them apart and is lost; empty: nothing that matters

    def in_words(self) -> str:
        """The spellings, as a person reads them."""
        return " = ".join(repr(text) for text, _ in self.spellings[:4]) + (" = ..." if len(self.spellings) > 4 else "")


def merged(answers: Iterable[str], normalise: str) -> list[Merged]:
    """The classes of different answers, those that lose something first, then by how many answers they hold."""
    same, plain = normaliser(normalise), NORMALISERS[SAFE]
    by_key: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for answer in answers:
        by_key[same(answer)][" ".join(answer.split())] += 1
    classes = []
    for key, counts in by_key.items():
        different: dict[str, Counter[str]] = defaultdict(Counter)
        for text, count in counts.items():
            different[plain(text)][text] += count
        if len(different) < 2:
            continue
        spelled = [(commonest(texts), texts.total()) for texts in different.values()]
        spelled.sort(key=lambda item: (-item[1], item[0]))
        classes.append(Merged(key, tuple(spelled), lost([text for text, _ in spelled])))
    return sorted(classes, key=lambda one: (not one.loses, -sum(count for _, count in one.spellings), one.key))


def lost(answers: Iterable[str]) -> tuple[str, ...]:
    """What tells the answers apart and matters, by kind; empty where they differ in spelling alone."""
    signatures = [_signature(text) for text in answers]
    return tuple(
        kind
        for place, kind in enumerate((SIGN, NUMBER, NONE, LETTER))
        if len({signature[place] for signature in signatures}) > 1
    )


def warning(classes: Iterable[Merged], normalise: str) -> str:
    """What a person must know before believing what is learned or counted; "" where nothing that matters is lost."""
    losing = [one for one in classes if one.loses]
    if not losing:
        return ""
    kinds = sorted({kind for one in losing for kind in one.loses})
    named = "; ".join(one.in_words() for one in losing[:SHOWN])
    more = f"; and {len(losing) - SHOWN:,} more" if len(losing) > SHOWN else ""
    classes_are = "1 class holds" if len(losing) == 1 else f"{len(losing):,} classes hold"
    return (
        f"the normaliser {normalise!r} takes different answers for one: {classes_are} answers that differ in "
        f"{' and '.join(kinds)}: {named}{more}"
    )


def _signature(text: str) -> tuple[object, object, object, object]:
    """What must not differ between two answers that are one: signs, numbers, whether it says none, a letter."""
    letter = _LAST_LETTER.search(text) or _CAPITAL.search(text)
    text = NORMALISERS[SAFE](text).translate(_MINUS)
    signs = tuple("-" if sign.startswith("-") else sign for sign in _SIGNS.findall(text))
    numbers = tuple(_digits(number) for number in _NUMBER.findall(text))
    return signs, _compared(numbers), bool(_NONE.search(text)), letter[1].lower() if letter else ""


def _compared(numbers: tuple[str, ...]) -> object:
    """Numbers as they are compared: what holds a comma or a slash as it is written, of others nothing, since no
    normaliser changes a plain number."""
    return tuple(number for number in numbers if "," in number or "/" in number)


def _digits(number: str) -> str:
    return number.replace(",", "") if _THOUSANDS.fullmatch(number) else number
