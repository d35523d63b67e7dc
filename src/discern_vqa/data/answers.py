"""Answers before and after the model: the vocabulary, and what an answer is. No torch here.

Which answers are the same says a normaliser (`data.normalisers`); what it returns is for comparing alone, and people
are shown a spelling of the training data.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from discern_vqa.data.judged import Judged as Judged
from discern_vqa.data.judged import Verdict, verdict
from discern_vqa.data.judged import Within as Within
from discern_vqa.data.normalisers import NORMALISERS as NORMALISERS
from discern_vqa.data.normalisers import commonest
from discern_vqa.data.normalisers import normaliser as normaliser
from discern_vqa.errors import DataError

normaliser_named = normaliser  # for a function whose parameter is called `normaliser`


@dataclass(frozen=True)
class AnswerVocabulary:
    """The answers that a classifier can give: normalised, distinct, the most frequent first; and how each is shown.

    Built from the training split alone: an answer that occurs only in the test split cannot be given (see `coverage`).
    Empty only beside somebody else's model, where the data have no training part. Raises ConfigError for an unknown
    normaliser.
    """

    answers: tuple[str, ...]
    normaliser: str
    kinds: tuple[str, ...] = ()  # of the questions that each answered there: "open", "closed", "both"; empty: not known
    own: tuple[bool, ...] = ()  # which may be chosen, where those of an auxiliary data set are there too; empty: all
    # What people are shown of each answer: its most frequent spelling in the training data; empty: the answers as they
    # are (a run of before 0.2.0).
    spellings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        normaliser_named(self.normaliser)
        count = len(self.answers)
        whole = len(set(self.answers)) == count and {len(self.kinds), len(self.own), len(self.spellings)} <= {0, count}
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
        written = list(answers)
        normal = [normalise(answer) for answer in written]
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
        known_kinds = labels if any(labels) else ()
        return cls(answers=tuple(frequent), normaliser=normaliser, kinds=known_kinds).respelled(written)

    def __len__(self) -> int:
        return len(self.answers)

    def index(self, answer: str) -> int:
        """The place of `answer` once normalised; -1 when it is not in the vocabulary."""
        return self._places.get(NORMALISERS[self.normaliser](answer), -1)

    def spelling(self, place: int) -> str:
        """What people are shown of the answer at this place."""
        return self.spellings[place] if self.spellings else self.answers[place]

    @property
    def shown(self) -> tuple[str, ...]:
        """What people are shown of each answer, in their order."""
        return self.spellings or self.answers

    def respelled(self, answers: Iterable[str]) -> Self:
        """The same vocabulary, with the most frequent spelling in `answers` of each class that occurs there."""
        spelled: defaultdict[int, Counter[str]] = defaultdict(Counter)
        for answer in answers:
            spelled[self.index(answer)][" ".join(answer.split())] += 1
        spellings = [
            commonest(counts) if (counts := spelled.get(place)) else self.spelling(place) for place in range(len(self))
        ]
        return replace(self, spellings=tuple(spellings))

    @property
    def givable(self) -> tuple[str, ...]:
        """The answers that may be chosen (`own`), in their order, as people are shown them."""
        return tuple(self.spelling(place) for place in range(len(self)) if self.may(place))

    def may(self, place: int) -> bool:
        """Whether the answer at this place of the vocabulary may be chosen; False for the place -1."""
        return place >= 0 and (not self.own or self.own[place])

    @cached_property
    def chosen_from(self) -> NDArray[np.int64]:
        """The places of the answers that may be chosen, ascending."""
        return np.array([place for place in range(len(self)) if self.may(place)], dtype=np.int64)

    def coverage(self, answers: Iterable[str]) -> float:
        """The share of `answers` that can be given: the ceiling of a classifier's accuracy; 0 for none."""
        known = [self.may(self.index(answer)) for answer in answers]
        return sum(known) / len(known) if known else 0.0

    def to_json(self) -> dict[str, object]:
        """What `vocabulary.json` holds."""
        optional = {"kinds": list(self.kinds), "own": list(self.own), "spellings": list(self.spellings)}
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
class Answer:
    """One answer with its score in [0, 1] and the next best, best first (itself included). A score of NaN: whoever
    answers says nothing of how sure it is."""

    text: str
    score: float
    alternatives: tuple[tuple[str, float], ...] = ()
    others: int | None = None  # how many more answers share the rest of the probability
    judged: Judged | None = None  # None where the run is not calibrated
    mode: str = ""  # the way of answering that produced it ("classify", "generate", ...); "" where there is only one
    within: Within | None = None  # None where the run has no out-of-distribution detection
    notes: tuple[str, ...] = ()  # what was not read of the question, or not written of the answer; a sentence each

    @property
    def verdict(self) -> Verdict:
        """What is to be told of this answer; every command and page takes it from here (`data.judged`)."""
        return verdict(self.text, self.score, self.judged, self.within)

    @classmethod
    def from_scores(cls, scores: Sequence[float], vocabulary: AnswerVocabulary, k: int = 5) -> Self:
        """The best answer of `vocabulary` by `scores` (A,), with the `k` best; of equal scores the more frequent.
        Answers that may not be chosen are left out."""
        if len(scores) != len(vocabulary):
            raise ValueError(f"{len(scores)} scores for a vocabulary of {len(vocabulary)} answers")
        places = vocabulary.chosen_from
        order = np.argsort(-np.asarray(scores, dtype=np.float64)[places], kind="stable")
        best = places[order[: max(k, 1)]].tolist()
        named = tuple((vocabulary.spelling(index), float(scores[index])) for index in best)
        return cls(text=named[0][0], score=named[0][1], alternatives=named, others=len(places) - len(named))
