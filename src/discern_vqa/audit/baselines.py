"""Baselines without a model: tables of names, words and thumbnails answer the evaluation splits."""

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from discern_vqa import registry
from discern_vqa.audit.inputs import AuditInputs, share
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import CHOICE, CLOSED, OPEN, Sample

TITLE = "Accuracy of lookup tables"
KINDS = (OPEN, CLOSED, CHOICE)

SEE = {
    "lookup": "the words, and the image's name",
    "question_only": "the words",
    "thumbnail": "the words, and a thumbnail of 32 x 32 grey pixels",
}
"""The baselines of an audit, and what each sees."""

_LEARN = {"question_only": 5_000}
_MOST_LEARNED, _MOST_ASKED = 20_000, 5_000  # of larger sets a part, drawn by image: minutes instead of hours
_Z95 = 1.959964


def check(inputs: AuditInputs) -> dict[str, Any]:
    """Per evaluation split and baseline: questions asked and right, accuracy, its 95 % interval clustered by image.

    `learned` and `n` are less than the splits' questions where these are many: whole images are drawn then.
    """
    figures: dict[str, Any] = {}
    if not inputs.baselines:
        return figures
    for known, judged in inputs.pairs:
        figures[judged] = {}
        for name in inputs.baselines:
            inputs.progress(f"baseline {name} of {judged}", 0, 1)
            train = _some(inputs.questions[known], _LEARN.get(name, _MOST_LEARNED))
            rows = _some(inputs.questions[judged], _MOST_ASKED)
            figures[judged][name] = _score(inputs, rows, _answers(inputs, name, train, rows)) | {"learned": len(train)}
            inputs.progress(f"baseline {name} of {judged}", 1, 1)
    return figures


def _answers(inputs: AuditInputs, name: str, train: list[Sample], rows: list[Sample]) -> list[Answer]:
    vocabulary = AnswerVocabulary.from_answers((row.answer for row in train), inputs.normalise)
    more: dict[str, Any] = {}
    if name == "thumbnail":
        image_set = inputs.image_set
        images = {row.image for row in [*train, *rows]}
        more["thumbs"] = {image: image_set.prints.thumbs[image_set.place[image], 0] for image in images}
    answers: list[Answer] = registry.load("baselines", name).answer(train, rows, vocabulary=vocabulary, **more)
    return answers


def _score(inputs: AuditInputs, rows: Sequence[Sample], answers: Sequence[Answer]) -> dict[str, Any]:
    plain = inputs.plain
    right = np.array(
        [plain(answer.text) == plain(row.answer) for answer, row in zip(answers, rows, strict=True)], float
    )
    images = np.unique([row.image for row in rows], return_inverse=True)[1]
    mean = right.mean()
    # Linearised variance of a ratio of sums over clusters: questions of one image are right and wrong together.
    half = _Z95 * float(np.sqrt((np.bincount(images, right - mean) ** 2).sum())) / len(rows)
    kinds = {kind: np.array([row.answer_type == kind for row in rows]) for kind in KINDS}
    return {
        "n": len(rows),
        "correct": int(right.sum()),
        "accuracy": share(int(right.sum()), len(rows)),
        "ci95": [round(max(0.0, mean - half), 4), round(min(1.0, mean + half), 4)],
        **{kind: round(float(right[which].mean()), 4) for kind, which in kinds.items() if which.any()},
    }


def _some(rows: list[Sample], most: int) -> list[Sample]:
    """All questions of as many images as give about `most`; all of them where they are no more."""
    if len(rows) <= most:
        return rows
    images = sorted({row.image for row in rows})
    kept = set(random.Random(0).sample(images, max(1, round(len(images) * most / len(rows)))))
    return [row for row in rows if row.image in kept]


def notes(found: dict[str, Any]) -> list[str]:
    sentences = []
    for judged, scores in found.items():
        name, best = max(scores.items(), key=lambda item: item[1]["accuracy"])
        sentences.append(
            f"on {judged}, a table that sees {SEE.get(name, name)} ({name}) reaches {100 * best['accuracy']:.1f} % "
            "without a model: only what a model scores above that counts."
        )
    return sentences


def lines(found: dict[str, Any]) -> list[str]:
    texts = [] if found else ["no baseline was asked for, or there is no evaluation split"]
    for judged, scores in found.items():
        for name, score in scores.items():
            low, high = score["ci95"]
            kinds = ", ".join(f"{kind} {100 * score[kind]:.1f}" for kind in KINDS if kind in score)
            texts.append(
                f"{judged}, {name}: {100 * score['accuracy']:.1f} % ({100 * low:.1f} - {100 * high:.1f}) of "
                f"{score['n']:,}{'; ' + kinds if kinds else ''}; from {score['learned']:,} training questions"
            )
    return texts
