"""In which language a text is, by its script and its commonest words. No torch here.

It is asked where a wrong guess would be a wrong answer: an image is mirrored only where every word about it is
understood (`data.laterality`). So a text is given a language only where its words point to one, and languages that are
not covered are known too, so that none is taken for a covered one. Short texts ("Left lung?") take the language of
their data set, where that has but one.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from discern_vqa.data.sample import Sample

OTHER = "?"
"""A language that is told from the covered ones, and is none of them."""

_WORDS = {
    "en": (
        "the is are was there what which where how does do any this that of with from and in on a an seen shown it "
        "has have been can be visible evidence image present located"
    ),
    "de": (
        "der die das dem den ist sind war ein eine einen einer welche welcher welches wo wie was es gibt im auf zu "
        "sehen und von mit liegt zeigt bild sich eines zur vom ist's erkennbar sichtbar rechts links rechte linke"
    ),
    "fr": (
        "le la les un une des du est sont quel quelle quels quelles où y il ce cette dans de au aux et avec sur que "
        "qu se trouve voit montre l'image visible à gauche droite droit l d est-ce t"
    ),
    "es": (
        "el la los las un una unos es son está están hay qué cuál cuáles dónde cómo en de del y con se ve muestra "
        "esta imagen al por izquierdo izquierda derecho derecha"
    ),
    "it": (
        "il lo la i gli le un una è sono c'è quale quali dove come che nel nella di del della dell e con si vede "
        "mostra questa immagine al alla in destra sinistra destro sinistro c"
    ),
    "pt": (
        "o a os as um uma é são há qual quais onde como que no na nos nas de do da dos e com se vê mostra esta imagem "
        "ao em está esquerdo esquerda direito direita"
    ),
    "nl": (
        "de het een is zijn er welke waar wat hoe in op van met en te zien dit deze bevindt zich toont beeld ligt bij "
        "rechts links rechter linker"
    ),
    OTHER: (
        "är det finns vilken vilket och på bilden var höger vänster syns en ett er der hvor hvilken hvilket og "
        "billedet bildet højre høyre venstre i et czy jest gdzie jaka jaki jakie widoczna widoczny na w obrazie lewa "
        "lewy prawa prawy lewej prawej je kde jaký jaká jaké pravá levá vpravo vlevo este unde care dreapta stânga în "
        "hol van bal jobb hangi nerede mi mı sağ sol bu bir onko missä mikä oikea vasen apakah di mana kanan kiri ada "
        "có không bên phải trái"
    ),
}
_VOCABULARIES = {code: frozenset(words.split()) for code, words in _WORDS.items()}
_WORD = re.compile(r"[^\W\d_]+(?:'s)?")
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_LETTER = re.compile(r"[^\W\d_]")
_SURE = 2
"""So many of a language's words make a text that language's, if no other has as many."""
_UNIFORM = 0.95
"""A data set has one language where so many of the texts that are sure are in it."""


def language_of(text: str) -> str:
    """The two-letter code of a covered language, `OTHER` for one that is told from these, or "": not known."""
    letters = _LETTER.findall(text)
    han = len(_HAN.findall(text))
    if han and not any("\u3040" <= letter <= "\u30ff" for letter in letters):  # Japanese has its own letters between
        return "zh"
    if any(not _LATIN.match(letter) for letter in letters if not _is_greek(letter)):  # beta, gamma: in any language
        return OTHER
    words = _WORD.findall(text.lower())
    counts = Counter({code: sum(word in known for word in words) for code, known in _VOCABULARIES.items()})
    (best, most), (_, second) = counts.most_common(2)
    return best if most >= _SURE and most > second else ""


def with_languages(samples: Sequence[Sample]) -> list[Sample]:
    """The samples, each with its language: as the data set says, else by its words; where these say nothing, that of
    the data set if it has but one; else "", or `OTHER`."""
    said = [sample.language or language_of(sample.text) for sample in samples]
    counts = Counter(code for code in said if code)
    common, most = counts.most_common(1)[0] if counts else ("", 0)
    whole = common if most >= _UNIFORM * counts.total() and most >= _UNIFORM * len(said) / 2 else ""
    return [
        sample if sample.language else replace(sample, language=code or whole)
        for sample, code in zip(samples, said, strict=True)
    ]


def _is_greek(letter: str) -> bool:
    return "\u0370" <= letter <= "\u03ff"
