"""The mirror test: the picture is mirrored, and left and right must change places in the answers. No torch here.

Two kinds of questions name a side. Where the *answer* does ("on which side is it?"), the answer to the mirrored picture
is the other side: an answerer that does not look says the same twice and gets no pair. Where only the *question* does
("is it on the left?"), both picture and words are mirrored and the answer must stay; that is the weaker test, which an
answerer that never looks passes too. `data.laterality` changes the words, and refuses where it cannot be done safely.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from discern_vqa.data.answers import normaliser
from discern_vqa.data.laterality import mirrored, mirrored_text, names_side
from discern_vqa.data.sample import Sample
from discern_vqa.scoring.metrics import figure, rights
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.tables import cell

IN_ANSWER, IN_QUESTION = "answer_names_side", "question_names_side"
GROUPS = (IN_ANSWER, IN_QUESTION)


@dataclass(frozen=True)
class Turned:
    """Questions about sides: places (n,) among the samples, asked (n,) about their mirrored pictures; left_out: how
    many more name a side and cannot be mirrored safely."""

    places: tuple[int, ...]
    asked: tuple[Sample, ...]
    left_out: int


def questions(samples: Sequence[Sample]) -> dict[str, Turned]:
    """The questions of each group, mirrored."""
    found = {}
    for group in GROUPS:
        own = [place for place, sample in enumerate(samples) if _group(sample) == group]
        turned = [(place, copy) for place in own if (copy := mirrored(samples[place])) is not None]
        kept, copies = tuple(place for place, _ in turned), tuple(copy for _, copy in turned)
        found[group] = Turned(kept, copies, len(own) - len(turned))
    return found


def measure(
    plain: Sequence[Prediction],
    turned: Sequence[Prediction],
    *,
    group: str,
    normalise: str,
    left_out: int = 0,
    known: Callable[[str], bool] = lambda answer: True,
) -> dict[str, Any]:
    """What the answers do when the picture is mirrored.

    Args:
        plain: (n,) answers about the pictures as they are.
        turned: (n,) answers to the same questions about the mirrored pictures; `gold` is the mirrored true answer.
        known: whether the model can give an answer at all.

    Returns:
        {"n", "left_out", "in_table", "plain", "mirrored", "both", "followed"}: how many mirrored true answers the model
        can give; accuracy on the pictures and on the mirrored ones; both right (as with twins); and the share of
        *answers given*, right or wrong, that did what the picture did, of those that name a side (group
        `answer_names_side`), or of all. Clustered by the picture.
    """
    same = normaliser(normalise)
    images = np.array([row.image for row in plain], dtype=str)
    before, after = rights(plain, normalise), rights(turned, normalise)
    expected = [mirrored_text(row.prediction) for row in plain]
    judged = np.array(
        [
            text is not None and bool(row.prediction) and (group == IN_QUESTION or names_side(row.prediction))
            for row, text in zip(plain, expected, strict=True)
        ],
        dtype=bool,
    )
    followed = np.array(
        [same(row.prediction) == same(text or "") for row, text in zip(turned, expected, strict=True)], dtype=bool
    )
    return {
        "n": len(plain),
        "left_out": left_out,
        "in_table": sum(known(row.gold) for row in turned),
        "plain": figure(before, images),
        "mirrored": figure(after, images),
        "both": figure(before & after, images),
        "followed": figure(followed[judged], images[judged]),
    }


def lines(found: Mapping[str, Any] | None) -> list[str]:
    """What the test says, a sentence for each group that has questions."""
    said = []
    for group, name, did in (
        (IN_ANSWER, "answers", "changed sides with the picture"),
        (IN_QUESTION, "questions", "stayed when picture and question were mirrored"),
    ):
        one = (found or {}).get(group)
        if one and one["n"]:
            followed, table = one["followed"], one["in_table"]
            given = f" (it can give the mirrored answer to {table:,})" if table < one["n"] else ""
            said.append(
                f"mirror test, {one['n']:,} {name} that name a side: {cell(one['plain'])} right, "
                f"{cell(one['mirrored'])} of the mirrored pictures{given}, {cell(one['both'])} of both; "
                f"{followed['correct']:,} of {followed['n']:,} answers {did}"
                f"{' (' + cell(followed) + ' %)' if followed['n'] else ''}"
            )
    return said


def warning(found: Mapping[str, Any] | None) -> str:
    """Said where sides are not shown to follow the picture more often than a coin would; "" elsewhere."""
    followed = ((found or {}).get(IN_ANSWER) or {}).get("followed") or {"n": 0}
    if not followed["n"] or followed["ci95"][0] > 0.5:
        return ""
    return (
        f"left and right are not to be believed: {followed['correct']:,} of {followed['n']:,} answers changed sides "
        f"when the picture was mirrored ({cell(followed)} %; a coin: 50)"
    )


def _group(sample: Sample) -> str:
    if names_side(sample.answer):
        return IN_ANSWER
    return IN_QUESTION if names_side(sample.question) else ""
