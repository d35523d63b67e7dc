"""How people write what has few values: answer types, splits, yes and no, and a value that is missing.

The words are those of English, German, French, Spanish and Italian forms and of the programs that write tables. A word
that is not here is never guessed: it is mapped by the reader's option `values`, or refused.
"""

import re
import unicodedata

from discern_vqa.data.sample import CHOICE, CLOSED, OPEN, SPLITS

SPLITS_AS_WRITTEN = {
    "training": "train",
    "trainset": "train",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "valset": "validation",
    "dev": "validation",
    "testing": "test",
    "testset": "test",
    "pretraining": "pretrain",
    "alignment": "pretrain",
}
"""Other names of the four splits."""

_CLOSED = (
    "close", "closed ended", "close ended", "closed end", "closed question", "yes no", "yes or no", "y n", "binary",
    "boolean", "geschlossen", "geschlossene", "geschlossene frage", "ja nein", "ja oder nein", "fermé", "fermée",
    "question fermée", "oui non", "cerrado", "cerrada", "pregunta cerrada", "sí no", "chiuso", "chiusa",
    "domanda chiusa", "sì no",
)  # fmt: skip
_OPEN = (
    "open ended", "open end", "open question", "offen", "offene", "offene frage", "ouvert", "ouverte",
    "question ouverte", "abierto", "abierta", "pregunta abierta", "aperto", "aperta", "domanda aperta",
)  # fmt: skip
_CHOICE = (
    "multiple choice", "multi choice", "multichoice", "choices", "mcq", "mcqa", "single choice", "mehrfachauswahl",
    "auswahl", "choix multiple", "opción múltiple", "scelta multipla",
)  # fmt: skip

_MISSING = {"", "nan", "na", "none", "null", "nil", "nat", "n/a", "#n/a", "#na", "<na>", "<null>", "-", "--"}
"""What pandas, R, SQL, Excel and people write where there is no value."""

_YES = {"yes", "ja", "oui", "sí", "si", "sì", "sim"}
_NO = {"no", "nein", "non", "não", "nee"}


def _plain(text: str) -> str:
    """The words of a text in lower case, without accents, signs and spaces: "Closed-Ended " -> "closedended"."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"[\W_]+", "", "".join(sign for sign in letters if not unicodedata.combining(sign)))


_TYPES = {
    _plain(text): kind
    for kind, texts in ((CLOSED, _CLOSED), (OPEN, _OPEN), (CHOICE, _CHOICE))
    for text in (kind, *texts)
}


def answer_type(text: str) -> str:
    """ "open", "closed" or "choice" for a spelling of one of them ("close-ended", "Yes/No", "multiple choice"); "" for
    others."""
    return _TYPES.get(_plain(text), "")


def split_name(text: str) -> str:
    """One of the four splits, for a spelling of one of them ("Val", "training set"); "" for others."""
    plain = _plain(text).removesuffix("split")
    return next(
        (SPLITS_AS_WRITTEN.get(name, name) for name in (plain, plain.removesuffix("set")) if _is_split(name)), ""
    )


def _is_split(name: str) -> bool:
    return name in SPLITS or name in SPLITS_AS_WRITTEN


def is_missing(text: str) -> bool:
    """Whether a text is what programs write for a missing value ("", "nan", "None", "#N/A", "-")."""
    return text.strip().casefold() in _MISSING


def is_yes_or_no(answer: str) -> bool:
    """Whether an answer is yes or no, in one of six languages."""
    return answer.strip(" .!").casefold() in _YES | _NO
