"""What the wording of a question says about its answer before the image is seen: "Is there ...?" is answered by yes
or no, "... cystic or solid?" by one of the two, "Where ...?" by neither. English grammar only; a question that fits
no rule counts as `open`. No torch here.

A classifier sees an answer as a number and cannot know that "solid" occurs in the question; these clues tell it.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

CLUES = (
    "choice: yes or no",
    "choice: offered",
    "choice: in the question",
    "polar: yes or no",
    "polar: in the question",
    "open: yes or no",
    "open: in the question",
)
"""One number for each answer: is it yes or no; the share of its words next to "or"; the share of its words in the
question."""

_VERBS = (
    "am are can could did do does had has have is may might must shall should was were will would "
    "isn't aren't wasn't weren't doesn't don't didn't hasn't haven't can't couldn't won't any"
)
_POLAR = frozenset(_VERBS.split())
_BETWEEN = frozenset({"or", "vs", "versus"})
_YES_NO = frozenset({"yes", "no"})
_KEPT_BYTES = 2**25  # of clues that are kept: the same questions come again in every epoch
_REACH = 3  # words on either side of "or" that may name what is offered: "left upper lobe or right lower lobe"


def words(text: str) -> list[str]:
    """Its words, lower-case; a hyphen separates, an apostrophe does not."""
    return re.findall(r"[^\W_]+(?:'[^\W_]+)?", text.lower())


def form(question: str) -> str:
    """`choice`: names its answers ("A or B?"); `polar`: asks for yes or no; `open`: anything else."""
    tokens = words(question)
    if offered(question):
        return "choice"
    return "polar" if tokens and tokens[0] in _POLAR else "open"


def offered(question: str) -> frozenset[str]:
    """The words close to an "or" between two others; "... or not?" offers yes and no, which is no choice of words."""
    tokens = words(question)
    near: set[str] = set()
    for place, word in enumerate(tokens):
        if word in _BETWEEN and 0 < place < len(tokens) - 1 and tokens[place + 1] != "not":
            near.update(tokens[max(0, place - _REACH) : place], tokens[place + 1 : place + 1 + _REACH])
    return frozenset(near - _BETWEEN)


class Wording:
    """The clues of questions for one vocabulary.

    answers: the K answers of the vocabulary. yes_no (K,): 1 for yes and no, 0 for the rest.
    """

    def __init__(self, answers: Sequence[str]) -> None:
        each_words = [frozenset(words(answer)) for answer in answers]
        self._lengths = np.array([max(1, len(own)) for own in each_words])
        self._with: dict[str, list[int]] = {}  # of each word the answers that have it
        for place, own in enumerate(each_words):
            for word in own:
                self._with.setdefault(word, []).append(place)
        self.yes_no = np.array([answer in _YES_NO for answer in answers], dtype=np.float32)
        each = max(1, 4 * len(CLUES) * len(each_words))
        self.clues = lru_cache(maxsize=max(1, _KEPT_BYTES // each))(self._clues)

    def _clues(self, question: str) -> NDArray[np.float32]:
        """(K, len(CLUES)) in [0, 1]; all 0 but those of the question's own form."""
        clues = np.zeros((len(self._lengths), len(CLUES)), dtype=np.float32)
        kind = form(question)
        columns = {clue: place for place, clue in enumerate(CLUES)}
        clues[:, columns[f"{kind}: yes or no"]] = self.yes_no
        clues[:, columns[f"{kind}: in the question"]] = self._shares(frozenset(words(question)))
        if kind == "choice":
            clues[:, columns["choice: offered"]] = self._shares(offered(question))
        return clues

    def _shares(self, tokens: frozenset[str]) -> NDArray[np.float64]:
        """(K,) the share of each answer's words that are among `tokens`; 0 of an answer without words."""
        shared = np.zeros(len(self._lengths))
        for token in tokens:
            shared[self._with.get(token, [])] += 1
        shares: NDArray[np.float64] = shared / self._lengths
        return shares
