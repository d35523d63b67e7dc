"""Answers before and after the model: normalisers by name, the vocabulary, and what an answer is. No torch here.

Two answers are the same when a *normaliser* maps them to the same text. Published programs use different ones, so
the name of the normaliser belongs to every score. All are idempotent, and none maps an answer to nothing.

    none    as it is
    lower   lower-case, white space trimmed and collapsed
    m3ae    the rule that M3AE and CMI-MTL took from METER, which took it from the VQA v2 evaluation
    mevf    the same, and "x-ray", "x ray" and "xray" are one word (MEVF, VQAMix, M2I2)
"""

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Self

from discern_vqa.errors import ConfigError, DataError

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


def _m3ae(answer: str) -> str:
    """Known oddities of the published rule, kept: signs and "<" are lost; "none" is 0; a mark beside a space goes."""
    text = plain = _lower(answer)
    has_thousands = bool(_THOUSANDS.search(plain))
    for mark in _MARKS:
        vanishes = has_thousands or f"{mark} " in plain or f" {mark}" in plain
        text = text.replace(mark, "" if vanishes else " ")
    words = (_NUMBERS.get(word, word) for word in _FULL_STOP.sub("", text).split())
    kept = [_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES]
    return " ".join(kept) or plain  # the answers "A" and "?" stay what they are


def _mevf(answer: str) -> str:
    return _X_RAY.sub("xray", _m3ae(answer))


NORMALISERS: Mapping[str, Callable[[str], str]] = {"none": str, "lower": _lower, "m3ae": _m3ae, "mevf": _mevf}


def normaliser(name: str) -> Callable[[str], str]:
    """The normaliser of that name. Raises ConfigError that suggests the nearest name."""
    return _named(name)


def _named(name: str) -> Callable[[str], str]:  # the vocabulary has a field `normaliser`, so it needs another word
    if name not in NORMALISERS:
        near = get_close_matches(name, NORMALISERS, n=1)
        raise ConfigError(
            f"there is no answer normaliser {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(NORMALISERS)}",
        )
    return NORMALISERS[name]


@dataclass(frozen=True)
class AnswerVocabulary:
    """The answers that a classifier can give: normalised, distinct, the most frequent first.

    Built from the training split alone: an answer that occurs only in the test split cannot be given (see `coverage`).
    `kinds` says for each answer what it answered there: "open" or "closed" questions, or "both"; empty: not known.
    `own` says which of them may be chosen, where others' answers are in the table too; empty: all.
    Raises DataError when it is empty or an answer stands twice, ConfigError for an unknown normaliser.
    """

    answers: tuple[str, ...]
    normaliser: str
    kinds: tuple[str, ...] = ()
    own: tuple[bool, ...] = ()
    _place: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _named(self.normaliser)
        if not self.answers:
            raise DataError("the answer vocabulary is empty", hint="build it from a training split that has answers")
        place = {answer: index for index, answer in enumerate(self.answers)}
        if len(place) != len(self.answers):
            twice = next(answer for answer, count in Counter(self.answers).items() if count > 1)
            raise DataError(
                f"the answer {twice!r} stands twice in the answer vocabulary",
                hint="build the vocabulary with AnswerVocabulary.from_answers, or take the repeated answer out",
            )
        if self.kinds and len(self.kinds) != len(self.answers):
            raise DataError(
                f"{len(self.kinds)} kinds of {len(self.answers)} answers in the answer vocabulary", hint="train again"
            )
        if self.own and (len(self.own) != len(self.answers) or not any(self.own)):
            raise DataError(
                "`own` of the answer vocabulary: expected true or false for each answer, and one true at least",
                hint="train again",
            )
        object.__setattr__(self, "_place", place)

    @classmethod
    def from_answers(
        cls, answers: Iterable[str], normaliser: str, min_count: int = 1, kinds: Iterable[str] = ()
    ) -> Self:
        """The distinct normalised `answers` that occur at least `min_count` times, by frequency and then alphabet.

        `kinds`: the answer type of each of the answers, in their order; none: not known.
        """
        normalise = _named(normaliser)
        normal = [normalise(answer) for answer in answers]
        counts = Counter(normal)
        seen: dict[str, set[str]] = {}
        given = list(kinds)
        for answer, kind in zip(normal if given else [], given, strict=True):
            seen.setdefault(answer, set()).add(kind)
        if not counts:
            raise DataError("the training split asks no question", hint="captions alone teach no answers")
        kept = sorted((answer for answer in counts if counts[answer] >= min_count), key=lambda a: (-counts[a], a))
        if not kept:
            raise DataError(
                f"none of {counts.total()} answers occurs {min_count} times or more, so there is no vocabulary",
                hint="lower min_count, or check that the training split has answers",
            )
        found = [sorted(seen.get(answer, set()) - {""}) for answer in kept]
        named = tuple("both" if len(some) > 1 else "".join(some) for some in found)
        return cls(answers=tuple(kept), normaliser=normaliser, kinds=named if any(named) else ())

    def __len__(self) -> int:
        return len(self.answers)

    def index(self, answer: str) -> int:
        """Where `answer` stands once normalised; -1 when it is not in the vocabulary."""
        return self._place.get(NORMALISERS[self.normaliser](answer), -1)

    @property
    def givable(self) -> tuple[str, ...]:
        """The answers that may be chosen (`own`), in their order."""
        return tuple(answer for place, answer in enumerate(self.answers) if self.may(place))

    def may(self, place: int) -> bool:
        """Whether the answer at this place of the table may be chosen; the place -1 is none."""
        return place >= 0 and (not self.own or self.own[place])

    def coverage(self, answers: Iterable[str]) -> float:
        """The share of `answers` that can be given: the ceiling of a classifier's accuracy; 0 for none."""
        known = [self.may(self.index(answer)) for answer in answers]
        return sum(known) / len(known) if known else 0.0

    def to_json(self) -> dict[str, Any]:
        """What `vocabulary.json` holds."""
        further: dict[str, Any] = {"kinds": list(self.kinds), "own": list(self.own)}
        kept = {key: value for key, value in further.items() if value}
        return {"normaliser": self.normaliser, "answers": list(self.answers)} | kept

    def restricted(self, answers: Iterable[str]) -> Self:
        """The same table, of which these answers alone may be chosen. Raises DataError when it has none of them."""
        own = {self.index(answer) for answer in answers}
        if own <= {-1}:
            raise DataError(
                "none of the data set's own training answers is in the answer table",
                hint="let every answer be chosen: --set run.restrict_labels=none",
            )
        return replace(self, own=tuple(place in own for place in range(len(self))))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`. Raises DataError when a key is missing or has another type."""
        answers, name, kinds = content.get("answers"), content.get("normaliser"), content.get("kinds", [])
        own = content.get("own", [])
        lists = all(isinstance(some, list) and all(isinstance(one, str) for one in some) for some in (answers, kinds))
        lists = lists and isinstance(own, list) and all(isinstance(one, bool) for one in own)
        if not isinstance(name, str) or not isinstance(answers, list) or not lists:
            raise DataError(
                "this is no answer vocabulary: expected {'normaliser': text, 'answers': [text, ...]}",
                hint="give the vocabulary.json of a run folder, or train again",
            )
        return cls(answers=tuple(answers), normaliser=name, kinds=tuple(kinds), own=tuple(own))


@dataclass(frozen=True)
class Judged:
    """How far an answer is to be believed, where the run was calibrated on questions that it had not learned from.

    confidence: the calibrated share of such answers that are right. answer_set: the answers of which one is the true
    one as often as `coverage` says; None: no list of answers can promise that. abstains: rather no answer than this.
    threshold: the confidence below which it abstains, None where none was chosen.
    """

    confidence: float
    answer_set: tuple[str, ...] | None
    coverage: float
    abstains: bool
    threshold: float | None


@dataclass(frozen=True)
class Within:
    """Whether picture and question are like those that the run learned from.

    image, question: the share of such ones that are at least as unusual (0.5 is usual, 0.01 is not), None where the run
    cannot tell. outside: which of "image" and "question" are too unusual to be believed.
    """

    image: float | None
    question: float | None
    outside: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """One answer with its score in [0, 1] and the next best, best first (itself included).

    others: how many further answers share what the named scores leave of 1; judged: see there, None where the run is
    not calibrated.
    within: see there, None where the run knows nothing of what it learned from.
    `mode`: the way of answering that produced it ("classify", "generate", ...); "" where there is only one.
    """

    text: str
    score: float
    alternatives: tuple[tuple[str, float], ...] = ()
    others: int | None = None
    judged: Judged | None = None
    mode: str = ""
    within: Within | None = None

    @classmethod
    def from_scores(cls, scores: Sequence[float], vocabulary: AnswerVocabulary, k: int = 5) -> Self:
        """The best answer of `vocabulary` by `scores` (A,), with the `k` best; of equal scores the more frequent. What
        may not be chosen is left out."""
        if len(scores) != len(vocabulary):
            raise ValueError(f"{len(scores)} scores for a vocabulary of {len(vocabulary)} answers")
        places = [place for place in range(len(scores)) if vocabulary.may(place)]
        best = heapq.nsmallest(max(k, 1), places, key=lambda index: (-scores[index], index))
        named = tuple((vocabulary.answers[index], float(scores[index])) for index in best)
        return cls(text=named[0][0], score=named[0][1], alternatives=named, others=len(places) - len(named))
