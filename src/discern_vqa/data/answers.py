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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from typing import Self

from pydantic import TypeAdapter, ValidationError

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


NORMALISERS: Mapping[str, Callable[[str], str]] = {"none": str, "lower": _lower, "m3ae": _m3ae, "mevf": _mevf}


def normaliser(name: str) -> Callable[[str], str]:
    """The normaliser of that name. Raises ConfigError that suggests the nearest name."""
    if name not in NORMALISERS:
        near = get_close_matches(name, NORMALISERS, n=1)
        raise ConfigError(
            f"there is no answer normaliser {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(NORMALISERS)}",
        )
    return NORMALISERS[name]


normaliser_named = normaliser  # for a function whose parameter is called `normaliser`


@dataclass(frozen=True)
class AnswerVocabulary:
    """The answers that a classifier can give: normalised, distinct, the most frequent first.

    Built from the training split alone: an answer that occurs only in the test split cannot be given (see `coverage`).
    Raises DataError when it is empty, ConfigError for an unknown normaliser.
    """

    answers: tuple[str, ...]
    normaliser: str
    kinds: tuple[str, ...] = ()  # of the questions that each answered there: "open", "closed", "both"; empty: not known
    own: tuple[bool, ...] = ()  # which may be chosen, where those of an auxiliary data set are there too; empty: all

    def __post_init__(self) -> None:
        normaliser_named(self.normaliser)
        if not self.answers:
            raise DataError("the answer vocabulary is empty", hint="build it from a training split that has answers")
        count = len(self.answers)
        whole = len(set(self.answers)) == count and {len(self.kinds), len(self.own)} <= {0, count}
        if not whole or (self.own and not any(self.own)):
            raise DataError("the answer vocabulary is damaged", hint="train again")

    @cached_property
    def _places(self) -> dict[str, int]:
        return {answer: place for place, answer in enumerate(self.answers)}

    @classmethod
    def from_answers(
        cls, answers: Iterable[str], normaliser: str, min_count: int = 1, kinds: Iterable[str] = ()
    ) -> Self:
        """The distinct normalised `answers` that occur at least `min_count` times, by frequency and then alphabet.

        `kinds`: the answer type of each of the answers, in their order; none: not known.
        """
        normalise = normaliser_named(normaliser)
        normal = [normalise(answer) for answer in answers]
        counts = Counter(normal)
        kinds_of: defaultdict[str, set[str]] = defaultdict(set)
        for answer, kind in zip(normal, kinds, strict=False):
            kinds_of[answer].add(kind)
        if not counts:
            raise DataError(
                "the training split has no question",
                hint="give a set that has questions, since captions hold no answers",
            )
        frequent = sorted((answer for answer in counts if counts[answer] >= min_count), key=lambda a: (-counts[a], a))
        if not frequent:
            raise DataError(
                f"none of the {counts.total()} answers occurs at least {min_count} times, so the vocabulary is empty",
                hint="lower min_count, or check that the training split has answers",
            )
        known = [kinds_of[answer] - {""} for answer in frequent]
        labels = tuple("both" if len(kinds) > 1 else "".join(kinds) for kinds in known)
        return cls(answers=tuple(frequent), normaliser=normaliser, kinds=labels if any(labels) else ())

    def __len__(self) -> int:
        return len(self.answers)

    def index(self, answer: str) -> int:
        """The place of `answer` once normalised; -1 when it is not in the vocabulary."""
        return self._places.get(NORMALISERS[self.normaliser](answer), -1)

    @property
    def givable(self) -> tuple[str, ...]:
        """The answers that may be chosen (`own`), in their order."""
        return tuple(answer for place, answer in enumerate(self.answers) if self.may(place))

    def may(self, place: int) -> bool:
        """Whether the answer at this place of the vocabulary may be chosen; False for the place -1."""
        return place >= 0 and (not self.own or self.own[place])

    def coverage(self, answers: Iterable[str]) -> float:
        """The share of `answers` that can be given: the ceiling of a classifier's accuracy; 0 for none."""
        known = [self.may(self.index(answer)) for answer in answers]
        return sum(known) / len(known) if known else 0.0

    def to_json(self) -> dict[str, object]:
        """What `vocabulary.json` holds."""
        optional = {"kinds": list(self.kinds), "own": list(self.own)}
        present = {key: value for key, value in optional.items() if value}
        return {"normaliser": self.normaliser, "answers": list(self.answers), **present}

    def restricted(self, answers: Iterable[str]) -> Self:
        """The same vocabulary, of which only these answers may be chosen. Raises DataError when it has none of them."""
        own = {self.index(answer) for answer in answers}
        if own <= {-1}:
            raise DataError(
                "none of the data set's own training answers is in the vocabulary",
                hint="allow every answer: --set run.restrict_labels=none",
            )
        return replace(self, own=tuple(place in own for place in range(len(self))))

    @classmethod
    def from_json(cls, content: Mapping[str, object]) -> Self:
        """The inverse of `to_json`. Raises DataError when a key is missing or has another type."""
        try:
            return TypeAdapter(cls).validate_python(dict(content))
        except ValidationError as error:
            raise DataError(
                "this is not an answer vocabulary; expected {'normaliser': text, 'answers': [text, ...]}",
                hint="give the vocabulary.json of a run folder, or train again",
            ) from error


@dataclass(frozen=True)
class Judged:
    """How reliable an answer is, by a calibration on questions that the run had not been trained on."""

    confidence: float  # the calibrated probability that the answer is right
    answer_set: tuple[str, ...] | None  # it has the true answer with probability `coverage`; None: no set reaches that
    coverage: float
    abstains: bool  # the confidence is below `threshold`, so that no answer should be given
    threshold: float | None  # None where none was chosen


@dataclass(frozen=True)
class Within:
    """Whether image and question resemble those that the run was trained on (out-of-distribution detection)."""

    image: float | None  # share of training images that are at least as unusual (0.5 is usual, 0.01 is not)
    question: float | None  # the same of questions; None where the run cannot tell
    outside: tuple[str, ...]  # which of "image" and "question" are out of distribution


@dataclass(frozen=True)
class Answer:
    """One answer with its score in [0, 1] and the next best, best first (itself included)."""

    text: str
    score: float
    alternatives: tuple[tuple[str, float], ...] = ()
    others: int | None = None  # how many more answers share the rest of the probability
    judged: Judged | None = None  # None where the run is not calibrated
    mode: str = ""  # the way of answering that produced it ("classify", "generate", ...); "" where there is only one
    within: Within | None = None  # None where the run has no out-of-distribution detection

    @classmethod
    def from_scores(cls, scores: Sequence[float], vocabulary: AnswerVocabulary, k: int = 5) -> Self:
        """The best answer of `vocabulary` by `scores` (A,), with the `k` best; of equal scores the more frequent.
        Answers that may not be chosen are left out."""
        if len(scores) != len(vocabulary):
            raise ValueError(f"{len(scores)} scores for a vocabulary of {len(vocabulary)} answers")
        places = [place for place in range(len(scores)) if vocabulary.may(place)]
        best = heapq.nsmallest(max(k, 1), places, key=lambda index: (-scores[index], index))
        named = tuple((vocabulary.answers[index], float(scores[index])) for index in best)
        return cls(text=named[0][0], score=named[0][1], alternatives=named, others=len(places) - len(named))
