"""A question that may be asked, and which ones are asked. Weights keep guessing from paying.

Every question is a `Candidate` with a `weight`: the chance of its being asked. Weights are chosen so that, over many
images, each answer of a question is about as frequent as any other: an absent finding is asked about as often as a
present one, modalities and planes evenly, and so on. The question alone then says little about the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from discern_vqa.datasets.phantom.findings import Kind, Random

Wordings = tuple[str, ...]

_KINDS_SHOWN = 1.32  # kinds of findings in an image, on average (measured)


@dataclass(frozen=True)
class Candidate:
    """A question that fits a case.

    Args:
        key: what is asked, independent of the wording; the same for both members of an image pair.
        type: VQA-RAD's question type.
        wordings: paraphrases of one and the same question.
        answer: lower-case.
        weight: chance of its being asked.
        about: the kind of finding that the answer rests on, when it is present ("" else): its mask is the evidence.
    """

    key: str
    type: str
    wordings: Wordings
    answer: str
    weight: float
    about: str = ""


def is_closed(question: str, answer: str) -> bool:
    """Closed: yes or no, or a choice between alternatives that the question names."""
    words = question.replace(",", " ").replace("?", " ").split()
    return answer in ("yes", "no") or ("or" in words and answer in words)


def choose(
    random: Random, fitting: Sequence[Candidate], without: frozenset[str] = frozenset()
) -> list[tuple[Candidate, str]]:
    """The questions that are asked, one at least, each with its wording; none whose key is in `without`."""
    chances, picks = random.random(len(fitting)), random.random(len(fitting))
    worded = [(item, item.wordings[int(pick * len(item.wordings))]) for item, pick in zip(fitting, picks, strict=True)]
    free = [(pair, chance) for pair, chance in zip(worded, chances, strict=True) if pair[0].key not in without]
    asked = [pair for pair, chance in free if chance < pair[0].weight]
    return asked or [max(free, key=lambda item: item[0][0].weight - item[1])[0]]


def yes(true: bool) -> str:
    return "yes" if true else "no"


def absent_share(available: Sequence[Kind]) -> float:
    """How often to ask about an absent kind so that "no" is as frequent as "yes": p / (1 - p), p its prevalence."""
    prevalence = _KINDS_SHOWN / len(available)
    return prevalence / (1 - prevalence)
