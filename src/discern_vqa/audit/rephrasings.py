"""Re-phrasings: test questions that train already answers, about the same image, in other words."""

from collections.abc import Sequence
from typing import Any

from discern_vqa.audit.inputs import AuditInputs, percent, share
from discern_vqa.data.sample import Sample

TITLE = "Re-phrasings of test questions in train"

CLOSE = 0.5
"""Cosine of TF-IDF (words and pairs of words) from which two questions about one image are close."""

_SAME_WORDS = 0.999
_MOST_SHOWN = 24


def check(inputs: AuditInputs) -> dict[str, Any]:
    """Per evaluation split: how many of its questions have, in train, a row with the same image, types and answer.

    `through_frames` counts rows that are template re-phrasings, `through_others` all other rows; for open questions,
    where chance agreement is small, image and answer alone are compared. `answer_only_through_frames` counts the
    questions whose answer train has in re-phrasings only. `verbatim` counts those that train asks in the same words.
    `close` counts those to which train has a close question (`CLOSE`) about the same image with the same answer,
    whatever it is called; `examples` are some of these, in other words first.
    """
    figures: dict[str, Any] = {}
    plain = inputs.plain
    for known, judged in inputs.pairs:
        train, rows = inputs.questions[known], inputs.questions[judged]
        frames = [row for row in train if row.phrase_type == "frame"]
        others = [row for row in train if row.phrase_type != "frame"]
        open_questions = [row for row in rows if row.answer_type == "open"]
        by_frames, by_others = ({inputs.about(row) for row in part} for part in (frames, others))
        open_frames, open_others = ({(row.image, plain(row.answer)) for row in part} for part in (frames, others))
        answers_of_frames, answers_of_others = ({plain(row.answer) for row in part} for part in (frames, others))
        only_in_frames = answers_of_frames - answers_of_others
        words = {(row.image, plain(row.question)) for row in train}
        figures[judged] = {
            "questions": len(rows),
            "frames_in_train": len(frames),
            "of_train": len(train),
            "through_frames": sum(inputs.about(row) in by_frames for row in rows),
            "through_others": sum(inputs.about(row) in by_others for row in rows),
            "open_questions": len(open_questions),
            "open_through_frames": sum((row.image, plain(row.answer)) in open_frames for row in open_questions),
            "open_through_others": sum((row.image, plain(row.answer)) in open_others for row in open_questions),
            "answer_only_through_frames": sum(plain(row.answer) in only_in_frames for row in rows),
            "verbatim": sum((row.image, plain(row.question)) in words for row in rows),
        }
        figures[judged]["share"] = share(figures[judged]["through_frames"], len(rows))
        figures[judged] |= _close(inputs, train, rows)
    return figures


def _close(inputs: AuditInputs, train: Sequence[Sample], rows: Sequence[Sample]) -> dict[str, Any]:
    """The test questions that have a close one in train, about the same image and with the same answer."""
    from discern_vqa.fitting.shared import tfidf

    plain, shown_image = inputs.plain, inputs.shown_image
    about: dict[tuple[int, str], list[int]] = {}
    for place, row in enumerate(train):
        about.setdefault((shown_image(row), plain(row.answer)), []).append(place)
    shared = [(row, about[key]) for row in rows if (key := (shown_image(row), plain(row.answer))) in about]
    pairs = []
    if shared:
        known, asked = tfidf(train, [row for row, _ in shared])
        for place, (row, others) in enumerate(shared):
            cosines = (known[others] @ asked[place].T).toarray()[:, 0]
            pairs.append((float(cosines.max()), row, train[others[int(cosines.argmax())]]))
    # Of each image one: the closest in other words, or, where there is none, the same words again.
    close = sorted((pair for pair in pairs if pair[0] >= CLOSE), key=lambda pair: (pair[0] < _SAME_WORDS, pair[0]))
    shown = {row.image: (cosine, row, other) for cosine, row, other in close}
    shown_first = sorted(shown.values(), key=lambda pair: (pair[0] >= _SAME_WORDS, -pair[0]))[:_MOST_SHOWN]
    return {
        "same_picture_and_answer": len(shared),
        "close": len(close),
        "examples": [
            {"image": row.image, "question": row.question, "other": other.question, "answer": row.answer}
            | {"cosine": round(cosine, 3), "sources": [row.source, other.source]}
            for cosine, row, other in shown_first
        ],
    }


def verdict(found: dict[str, Any]) -> list[str]:
    """A sentence when a tenth of the questions are answered by re-phrasings, or repeated word for word."""
    sentences = []
    for judged, counts in found.items():
        total = counts["questions"]
        if counts["through_frames"] > 0.1 * total:
            sentences.append(
                f"{percent(counts['through_frames'], total)} {judged} questions have a template re-phrasing in train "
                "with the same image, question type and answer: a table of image names and questions answers them "
                "without looking. Compare every score with the baselines `lookup` and `image_identity`."
            )
        if counts["close"] > max(0.1 * total, counts["through_frames"]):
            sentences.append(
                f"{percent(counts['close'], total)} {judged} questions have a close one in train, about the same image "
                "and with the same answer: remembering is enough for these."
            )
        if counts["verbatim"]:
            sentences.append(
                f"{percent(counts['verbatim'], total)} {judged} questions occur in train word for word, about the same "
                "image."
            )
    return sentences


def lines(found: dict[str, Any]) -> list[str]:
    texts = []
    for judged, counts in found.items():
        total, opened = counts["questions"], counts["open_questions"]
        texts += [
            f"template re-phrasings among the rows of train: {percent(counts['frames_in_train'], counts['of_train'])}",
            f"{judged} questions with one of same image, type and answer: {percent(counts['through_frames'], total)}"
            f" (through other rows: {counts['through_others']:,})",
            f"open {judged} questions, same image and answer: {percent(counts['open_through_frames'], opened)}"
            f" (through other rows: {counts['open_through_others']:,})",
            f"{judged} questions whose answer train has in re-phrasings only: {counts['answer_only_through_frames']:,};"
            f" asked in train word for word: {counts['verbatim']:,}",
            f"{judged} questions with a close one (cosine >= {CLOSE}) of same image and answer: "
            f"{percent(counts['close'], total)}",
            f"{judged} questions with any of same image and answer: {counts['same_picture_and_answer']:,}",
        ]
    return texts
