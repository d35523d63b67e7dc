"""Whether an answer may be given at all, in one place: `ask`, `explain`, `predict`, the report and whoever uses an
`Answer` in Python take the verdict from `verdict`. No torch here.
"""

import math
from dataclasses import dataclass
from typing import Any

RARE = 0.01
"""A share of usual things below this is said as "less than 1 %"."""


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
class Verdict:
    """All that is to be told of one answer beside its text."""

    answer: str  # of one that abstains the best guess
    confidence: float  # in [0, 1]; the model's own score where `is_calibrated` is False
    is_calibrated: bool
    abstains: bool  # no answer should be given
    reason: str  # why it abstains, half a sentence; "" where it does not
    answer_set: tuple[str, ...] | None  # None: any answer, or not calibrated
    coverage: float | None  # how often such a set holds the true answer; None: not calibrated
    outside: tuple[str, ...]  # which of "image" and "question" are unlike what was learned from

    @property
    def in_words(self) -> str:
        """The answer with its confidence, or the refusal with its reason and the best guess."""
        if self.abstains:
            return f"I would rather not answer: {self.reason}. My best guess: {self.answer}"
        if math.isnan(self.confidence):  # whoever answered does not say how sure it is
            return self.answer
        return f"{self.answer}  {shown_share(self.confidence)}"

    @property
    def promise(self) -> str:
        """What the answer set promises, a sentence; "" where there is none, or where nothing like this was measured."""
        if self.coverage is None or self.outside:  # what is promised holds for what is like the held-out questions
            return ""
        share = f"{100 * self.coverage:.0f} %"
        if self.answer_set is None:
            return f"No list of answers would hold the true one {share} of the time: it may be one that I cannot give"
        if self.answer_set:
            return f"In {share} of such cases the true answer is one of these: {', '.join(self.answer_set)}"
        return f"No answer stands out as the true ones do in {share} of such cases"

    def fields(self) -> dict[str, Any]:
        """For a line of JSON; `answer_set` None: any answer. What is not known is not there."""
        calibrated = {
            "confidence": round(self.confidence, 4),
            "answer_set": None if self.answer_set is None else list(self.answer_set),
            "set_coverage": self.coverage,
        }
        return (calibrated if self.is_calibrated else {}) | {"abstains": self.abstains, "reason": self.reason}


def verdict(text: str, score: float, judged: Judged | None, within: Within | None) -> Verdict:
    """The verdict on an answer. judged: None where the run is not calibrated; within: None where the run has no
    out-of-distribution detection.

    An image or a question that is unlike what was learned from goes before a low confidence: a calibration holds for
    what is like the questions that it was made on.
    """
    sure = judged.confidence if judged is not None else score
    reason = unlike(within)
    if not reason and judged is not None and judged.abstains:
        bar = judged.threshold
        told = f"is below {bar:.2f}" if bar is not None else "has not been shown to mean much"
        reason = f"a confidence of {shown_share(sure)} {told}"
    return Verdict(
        answer=text,
        confidence=sure,
        is_calibrated=judged is not None,
        abstains=bool(reason),
        reason=reason,
        answer_set=judged.answer_set if judged is not None else None,
        coverage=judged.coverage if judged is not None else None,
        outside=within.outside if within is not None else (),
    )


def unlike(within: Within | None) -> str:
    """How image or question differ from what was learned from, for people; "" where nothing is out of the ordinary."""
    if within is None or not within.outside:
        return ""
    shares = {"image": within.image, "question": within.question}
    named = " and ".join(f"the {kind}" for kind in within.outside)
    least = min(share for kind in within.outside if (share := shares[kind]) is not None)
    rare = "less than 1 %" if least < RARE else f"only {100 * least:.0f} %"
    verb = "is" if len(within.outside) == 1 else "are"
    return f"{named} {verb} unlike what I was trained on ({rare} of that is so far from the rest)"


def shown_percent(share: float) -> str:
    """The same in whole per cent, without the sign: ">99", never 100 for what is not certain."""
    if share >= 0.995:
        return ">99"
    return "<1" if 0 < share < 0.005 else f"{100 * share:.0f}"


def shown_share(share: float, digits: int = 2) -> str:
    """A probability as text. One that is not certain never reads as certain: ">0.99" and "<0.01", not 1.00 and 0.00."""
    step = 10.0**-digits
    if share >= 1 - step / 2:
        return f">{1 - step:.{digits}f}"
    return f"<{step:.{digits}f}" if 0 < share < step / 2 else f"{share:.{digits}f}"
