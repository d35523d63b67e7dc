"""How much of an answer is right under the published protocols (`protocols`). No torch here."""

from collections import Counter
from collections.abc import Callable
from difflib import SequenceMatcher
from functools import lru_cache

from discern_vqa.data.sample import OPEN

Credit = Callable[[str, str, str, tuple[str, ...]], float]
"""(answer given, true answer, part, answers to snap to) -> how much of it is right, all texts normalised."""


def exact(said: str, true: str, part: str, answers: tuple[str, ...]) -> float:
    """Letter for letter."""
    return float(said == true)


def contained(said: str, true: str, part: str, answers: tuple[str, ...]) -> float:
    """The answer given is a piece of the true one."""
    return float(said in true)


def llava_med(said: str, true: str, part: str, answers: tuple[str, ...]) -> float:
    """Open: the share of the true answer's words that occur in the answer given, weighed as the program does. Closed:
    the letters of the true answer occur in the one given, which must hold the letters "yes" or "no"."""
    if part == OPEN:
        return _llava_recall(said, true)
    return float(("yes" in said or "no" in said) and true in said)


def llava_med_candidates(said: str, true: str, part: str, answers: tuple[str, ...]) -> float:
    """Open: the candidate whose words are best covered by those given must be the true answer. Closed as above."""
    if part == OPEN:
        return float(_best_covered(said, answers) == true)
    return llava_med(said, true, part, answers)


def snapped(said: str, true: str, part: str, answers: tuple[str, ...]) -> float:
    """The nearest of the answers by difflib's ratio must be the true one."""
    return float(_nearest(said, answers) == true)


def _llava_recall(said: str, true: str) -> float:
    """Words of the true answer that were said, each as often as it was *said*, over those and the ones left out: a
    word said twice counts twice, as in the program."""
    given, wanted = Counter(said.split()), Counter(true.split())
    found = sum(count for word, count in given.items() if word in wanted)
    missed = sum(count for word, count in wanted.items() if word not in given)
    return found / (found + missed) if found else 0.0


def _best_covered(said: str, answers: tuple[str, ...]) -> str:
    """The first of the answers with the largest share of its own words among those said."""
    words = set(said.split())

    def share(answer: str) -> float:
        own = set(answer.split())
        return len(own & words) / len(own) if own else 0.0

    return max(answers, key=share)


@lru_cache(maxsize=4096)
def _nearest(said: str, answers: tuple[str, ...]) -> str:
    """The first of the answers with the greatest difflib ratio to what was said."""
    if said in answers:
        return said
    matcher = SequenceMatcher(None)
    matcher.set_seq2(said)
    best, nearest = -1.0, ""
    for answer in answers:
        matcher.set_seq1(answer)
        if matcher.real_quick_ratio() > best and matcher.quick_ratio() > best and (ratio := matcher.ratio()) > best:
            best, nearest = ratio, answer
    return nearest
