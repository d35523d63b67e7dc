"""Left and right in the languages that `data.laterality` covers beside English and Chinese. No torch here.

In German, Spanish, Italian, Portuguese and Dutch both sides take the same endings, so that the word alone says its
other. In French "gauche" is the other side of "droit" and of "droite", so the noun before it has to be known.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

_ROMANCE = "(o|a|os|as)"


@dataclass(frozen=True)
class Sides:
    """sides: what names a side; other: what to write for a match of it, None where that is not certain; refused: what
    makes a text unsafe although its words are known; asked: what asks for a side without naming it."""

    sides: re.Pattern[str]
    other: Callable[[str, str], str | None]  # (the text before the word, the word in small letters)
    refused: re.Pattern[str]
    asked: re.Pattern[str]


def _swapper(*pairs: tuple[str, str]) -> Callable[[str, str], str | None]:
    """A word begins with one of a pair of stems, and goes on as it is."""
    both = [*pairs, *(pair[::-1] for pair in pairs)]

    def other(before: str, word: str) -> str | None:
        return next((new + word[len(old) :] for old, new in both if word.startswith(old)), None)

    return other


_FRENCH_MASCULINE = (
    "poumon lobe rein sein hémisphère hémithorax côté bras avant-bras genou fémur tibia humérus radius pied "
    "coude poignet "
    "œil sinus hile cul-de-sac diaphragme champ flanc uretère ovaire testicule muscle nerf angle hémidiaphragme "
    "segment "
    "quadrant cervelet thalamus"
).split()
_FRENCH_FEMININE = (
    "main jambe cuisse hanche épaule clavicule base coupole partie région fosse zone oreille joue côte apophyse glande "
    "surrénale plèvre aisselle cheville rotule omoplate scapula moitié face"
).split()


def _french(before: str, word: str) -> str | None:
    if word.startswith("droit"):
        return "gauches" if word.endswith("s") else "gauche"
    plural = "s" if word.endswith("s") else ""
    words = re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", before.lower())[-3:]
    if words and words[-1] in ("à", "la", "de"):  # on the left, the left
        return "droite"
    for noun in reversed(words):  # "lobe supérieur gauche"
        if {noun, noun.removesuffix("s")} & set(_FRENCH_MASCULINE):
            return "droit" + plural
        if {noun, noun.removesuffix("s")} & set(_FRENCH_FEMININE):
            return "droite" + plural
    return None


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{words})", re.IGNORECASE)


# In all of them: chambers and vessels of the heart, the middle lobe, organs on the other side, hours of a clock, and
# letters that may stand for a side.
_HANDED = (
    r"ventr[ií]|ventrik|\batri|vorhof|oreillette|aur[ií]cul|boezem|hartkamer|\w*herz|corona|koronar|schenkelblock|dextro|"
    r"d[eé]xtro|situs|s[ií]tus|l[aä]vo|syndrom|síndrome|sindrome|mittellappen|lobe moyen|l[oó]bulo medio|lobo medio|"
    r"lobo m[eé]dio|middenkwab|\d\s*(?:uhr|heures?|horas?|ore|uur)\b"
)
_LETTERS = r"(?<![\w'/.-])(?-i:[LRDGIS]|li\.|re\.|Li\.|Re\.|dx|sx|dcha|izda|dta|esq|dir)(?![\w'/])"
_BOTH = r"unilateral|ipsilateral|contralateral|controlat[eé]ral|kontralateral|unilat[eé]ral|homolat[eé]ral|monolaterale"


def _refused(more: str) -> re.Pattern[str]:
    return re.compile(rf"{_HANDED}|{_LETTERS}|{more}", re.IGNORECASE)


def _asked(more: str) -> re.Pattern[str]:
    return re.compile(rf"{more}|{_BOTH}", re.IGNORECASE)


OF: dict[str, Sides] = {
    "de": Sides(
        _pattern(r"(?:links|rechts)\w*|(?:linke|rechte)[rsmn]?(?!\w)"),
        _swapper(("links", "rechts"), ("link", "recht")),
        _refused(r"\brecht\b|rechts(?:medizin|anwalt)|(?:nach|von) (?:links|rechts) (?:nach|zu)|auf der anderen seite"),
        _asked(r"welche[rsmn]? (?:körper)?(?:seite|hälfte)|wechselseitig|einseitig|gegenseite|seitenlokal"),
    ),
    "fr": Sides(
        _pattern(r"(?:gauches?|droite?s?)(?!\w)"),
        _french,
        _refused(r"tout droit|\bdroit (?:de|à|au)\b|angle droit|de (?:gauche|droite) à"),
        _asked(r"quel(?:le)? côté|côté opposé|même côté"),
    ),
    "es": Sides(
        _pattern(rf"(?:izquierd|derech){_ROMANCE}(?!\w)"),
        _swapper(("izquierd", "derech")),
        _refused(r"todo derecho|derecho a\b|de (?:izquierda|derecha) a"),
        _asked(r"(?:qu[eé]|cu[aá]l|mismo|otro) lado|lado (?:opuesto|contrario)"),
    ),
    "it": Sides(
        _pattern(r"(?:sinistr|destr)(?:o|a|i|e)(?!\w)"),
        _swapper(("sinistr", "destr")),
        _refused(r"da (?:sinistra|destra) a"),
        _asked(r"(?:quale|che|stesso|altro) lato|lato opposto"),
    ),
    "pt": Sides(
        _pattern(rf"(?:esquerd|direit){_ROMANCE}(?!\w)"),
        _swapper(("esquerd", "direit")),
        _refused(r"direito a\b|de? (?:esquerda|direita) para"),
        _asked(r"(?:qual|que|mesmo|outro) (?:o )?lado|lado oposto"),
    ),
    "nl": Sides(
        _pattern(r"(?:links|rechts|linker|rechter)\w*"),
        _swapper(("links", "rechts"), ("linker", "rechter")),
        _refused(r"van (?:links|rechts) naar"),
        _asked(r"(?:welke|dezelfde|andere) (?:kant|zijde)|eenzijdig"),
    ),
}
"""By the language's two-letter code."""


def named_elsewhere(text: str, language: str) -> bool:
    """Whether the text names a side in another of these languages than its own."""
    own = {match.span() for match in OF[language].sides.finditer(text)} if language in OF else set()
    return any(match.span() not in own for sides in OF.values() for match in sides.sides.finditer(text))


def swapped(text: str, language: str) -> str | None:
    """The text with every side replaced by the other; None where no safe text is known."""
    sides = OF[language]
    if sides.refused.search(text):
        return None
    parts, end = [], 0
    for match in sides.sides.finditer(text):
        other = sides.other(text[: match.start()], match[0].lower())
        if other is None:
            return None
        parts += [text[end : match.start()], _cased(other, match[0])]
        end = match.end()
    return "".join([*parts, text[end:]])


def _cased(word: str, like: str) -> str:
    return word.upper() if like.isupper() else word.capitalize() if like[0].isupper() else word
