"""The mirror test: the image is mirrored, and left and right must change places in the answers. No torch here.

Two kinds of questions name a side. Where the *answer* does ("on which side is it?"), the answer to the mirrored image
is the other side: an answerer that does not look says the same twice and gets no pair. Where only the *question* does
("is it on the left?"), both image and words are mirrored and the answer must stay; that is the weaker test, which an
answerer that never looks passes too. `data.laterality` changes the words, and refuses where it cannot be done safely.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from discern_vqa.data.answers import normaliser
from discern_vqa.data.languages import with_languages
from discern_vqa.data.laterality import mirrored, mirrored_text, names_side
from discern_vqa.data.sample import Sample
from discern_vqa.measurements import Context, Scores
from discern_vqa.scoring import predictions
from discern_vqa.scoring.metrics import figure, rights
from discern_vqa.scoring.page_tables import Table, table_of
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.tables import cell

IN_ANSWER, IN_QUESTION = "answer_names_side", "question_names_side"
GROUPS = (IN_ANSWER, IN_QUESTION)
ORDER = 40


@dataclass(frozen=True)
class Turned:
    """Questions about sides: places (n,) among the samples, asked (n,) about their mirrored images; left_out: how
    many more name a side and cannot be mirrored safely."""

    places: tuple[int, ...]
    asked: tuple[Sample, ...]
    left_out: int


def measure(context: Context) -> Mapping[str, Any]:
    vocabulary, can_say_anything = context.run.vocabulary, context.run.recipe.is_outside
    return {
        "mirror": {
            group: compared(
                [context.rows[place] for place in turned.places],
                predictions.from_answers(turned.asked, context.asker.answer(turned.asked)),
                group=group,
                normalise=context.normalise,
                left_out=turned.left_out,
                known=lambda answer: can_say_anything or vocabulary.index(answer) >= 0,
                languages=[sample.language for sample in turned.asked],
            )
            for group, turned in questions(context.samples).items()
        }
    }


def questions(samples: Sequence[Sample]) -> dict[str, Turned]:
    """The questions of each group, mirrored."""
    found, samples = {}, with_languages(samples)
    for group in GROUPS:
        own = [place for place, sample in enumerate(samples) if _group(sample) == group]
        turned = [(place, copy) for place in own if (copy := mirrored(samples[place])) is not None]
        kept, copies = tuple(place for place, _ in turned), tuple(copy for _, copy in turned)
        found[group] = Turned(kept, copies, len(own) - len(turned))
    return found


def compared(
    plain: Sequence[Prediction],
    turned: Sequence[Prediction],
    *,
    group: str,
    normalise: str,
    left_out: int = 0,
    known: Callable[[str], bool] = lambda answer: True,
    languages: Sequence[str] = (),
) -> dict[str, Any]:
    """What the answers do when the image is mirrored.

    Args:
        plain: (n,) answers about the images as they are.
        turned: (n,) answers to the same questions about the mirrored images; `gold` is the mirrored true answer.
        known: whether the model can give an answer at all.
        languages: (n,) of the texts; none: English.

    Returns:
        {"n", "left_out", "in_table", "plain", "mirrored", "both", "followed"}: how many mirrored true answers the model
        can give; accuracy on the images and on the mirrored ones; both right (as with image pairs); and the share of
        *answers given*, right or wrong, that did what the image did, of those that name a side (group
        `answer_names_side`), or of all. Clustered by the image.
    """
    same = normaliser(normalise)
    images = np.array([row.image for row in plain], dtype=str)
    before, after = rights(plain, normalise), rights(turned, normalise)
    spoken = languages or ["en"] * len(plain)
    expected = [mirrored_text(row.prediction, code or "en") for row, code in zip(plain, spoken, strict=True)]
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


def lines(scores: Scores) -> list[str]:
    """A sentence for each group that has questions."""
    sentences = []
    for group, name, did in (
        (IN_ANSWER, "answers", "changed sides with the image"),
        (IN_QUESTION, "questions", "stayed when image and question were mirrored"),
    ):
        outcome = (scores.get("mirror") or {}).get(group)
        if outcome and outcome["n"]:
            followed, table = outcome["followed"], outcome["in_table"]
            limit = f" (it can give the mirrored answer to {table:,})" if table < outcome["n"] else ""
            sentences.append(
                f"mirror test, {outcome['n']:,} {name} that name a side: {cell(outcome['plain'])} right, "
                f"{cell(outcome['mirrored'])} of the mirrored images{limit}, {cell(outcome['both'])} of both; "
                f"{followed['correct']:,} of {followed['n']:,} answers {did}"
                f"{' (' + cell(followed) + ' %)' if followed['n'] else ''}"
            )
    return sentences


def sentences(scores: Scores) -> list[str]:
    """The same for readers of a report: what was done, and what a model that looks would do."""
    told = []
    for group, what in (
        (
            IN_ANSWER,
            "{n:,} images whose answer names a side were mirrored, so left and right must change places: {share} "
            "answers changed sides with the image (with a coin it would be half)",
        ),
        (
            IN_QUESTION,
            "{n:,} images whose question names a side were mirrored together with the question, so the answer must "
            "stay: {share} answers stayed (those of a model that never looks stay too)",
        ),
    ):
        outcome = (scores.get("mirror") or {}).get(group)
        if outcome and (followed := outcome["followed"])["n"]:
            share = f"{followed['correct']:,} of {followed['n']:,} ({cell(followed)} %)"
            told.append(f"Mirror test: {what.format(n=outcome['n'], share=share)}.")
    return told


def warnings(scores: Scores) -> list[str]:
    """A sentence where left and right are not shown to follow the image more often than a coin would."""
    followed = ((scores.get("mirror") or {}).get(IN_ANSWER) or {}).get("followed") or {"n": 0}
    if not followed["n"] or followed["ci95"][0] > 0.5:
        return []
    known = "are not to be believed" if followed["ci95"][1] < 0.5 else "are not shown to follow the image"
    return [
        f"left and right {known}: {followed['correct']:,} of {followed['n']:,} answers changed sides "
        f"when the image was mirrored ({cell(followed)} %; a coin: 50)"
    ]


def tables(scores: Scores) -> list[Table]:
    note = (
        "The image is mirrored, and left and right must change places. Accuracies in %; both: right before and after;"
        " followed: of the answers given, right or wrong, those that did what the image did"
    )
    table = table_of("mirror", "The mirror test", scores.get("mirror") or {}, note)
    return [table] if table else []


def _group(sample: Sample) -> str:
    if names_side(sample.answer):
        return IN_ANSWER
    return IN_QUESTION if names_side(sample.question) else ""
