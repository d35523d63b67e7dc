"""Predictions joined with the data set that was asked: image, answer type, organ and true answer. No torch here.

By id where the ids are the data set's: at least nine of ten of the joined lines must have its question, or its true
answer where they do not repeat the question. Else by place, where the file has a line for every question of a split (or
says the place), and all but one in fifty agree. Else by the question's text, together with the image's name and the
true answer as far as the file has them; where several questions of the set are alike in all of these, they are taken in
their order, and only where the file has as many of them. What is left is not joined, and counted.
"""

from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from discern_vqa.data.answers import Answer
from discern_vqa.data.normalisers import NORMALISERS
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError
from discern_vqa.reading.records import shown
from discern_vqa.scoring.given_files import Given
from discern_vqa.scoring.predictions import Prediction, from_answers
from discern_vqa.scoring.row_values import NO_IMAGE

_BY_ID, _BY_PLACE = 0.9, 0.98
"""Shares of the lines that can be checked which have to agree."""

Pairs = dict[int, Sample]
"""Place of a row -> the sample that it answers."""


@dataclass(frozen=True)
class Joined:
    """Rows with what the data set says of them. Those that could not be joined are as they were, or left out where
    they have no true answer."""

    rows: list[Prediction]
    notes: list[str]


def join(given: Given, parts: Mapping[str, Sequence[Sample]], name: str) -> Joined:
    """The predictions joined with the questions of a data set, given by split; `name` is what messages call the set.

    Raises DataError: no line could be joined.
    """
    parts = {split: [sample for sample in samples if sample.question] for split, samples in parts.items()}
    by_id = _by_id(given, parts)
    by_place = {} if by_id else _by_place(given, parts)
    pairs = by_id or by_place
    open_rows = [place for place in range(len(given.rows)) if place not in pairs]
    by_text = _by_text(given.rows, open_rows, parts, {sample.id for sample in pairs.values()})
    pairs = pairs | by_text
    if not pairs:
        raise DataError(
            f"{given.path}: none of its {len(given.rows):,} lines is a question of {name}, by id, place or text "
            f"(the first has the id {shown(given.rows[0].id)} and asks {shown(given.rows[0].question)})",
            hint="name the data set that was asked, or the columns: --columns id=COLUMN,question=COLUMN",
        )
    how = {"id": len(by_id), "place": len(by_place), "question": len(by_text)}
    return _joined(given, pairs, name, ", ".join(f"{count:,} by {what}" for what, count in how.items() if count), parts)


def _joined(given: Given, pairs: Pairs, name: str, how: str, parts: Mapping[str, Sequence[Sample]]) -> Joined:
    rows: list[Prediction] = []
    left_out = other_truths = 0
    same = NORMALISERS["m3ae"]
    for place, row in enumerate(given.rows):
        sample = pairs.get(place)
        if sample is None:
            left_out += not row.gold.strip()
            rows += [row] if row.gold.strip() else []
            continue
        (asked,) = from_answers([sample], [Answer(row.prediction, row.score or 0.0, row.alternatives, row.others)])
        options = asked.options or row.options
        letter = bool(options) and len(row.gold.strip()) == 1
        other_truths += bool(row.gold.strip()) and not letter and same(row.gold) not in map(same, asked.truths)
        rows.append(
            replace(
                asked, id=row.id, score=row.score, mode=row.mode, options=options,
                answer_type=asked.answer_type or row.answer_type,
            )
        )  # fmt: skip
    total = len(given.rows)
    notes = [f"{len(pairs):,} of {total:,} lines were joined with {name} ({how})"]
    if missing := total - len(pairs):
        lost = f"; of these are left out, since they have no true answer: {left_out:,}" if left_out else ""
        notes.append(f"lines that could not be joined: {missing:,}{lost}")
    if other_truths:
        notes.append(f"lines with another true answer than {name}, whose answer counts: {other_truths:,}")
    asked_of = {sample.split for sample in pairs.values()}
    questions = sum(len(samples) for split, samples in parts.items() if split in asked_of)
    if len(asked_of) == 1 and questions > len({sample.id for sample in pairs.values()}):
        absent = questions - len({sample.id for sample in pairs.values()})
        notes.append(f"{absent:,} of the {questions:,} questions of the split {min(asked_of)!r} are not in the file")
    if not rows:
        raise DataError(
            f"{given.path}: no line has a true answer", hint="name the data set that was asked: --data NAME FOLDER"
        )
    return Joined(rows, notes)


def _by_id(given: Given, parts: Mapping[str, Sequence[Sample]]) -> Pairs:
    if not given.has_ids:
        return {}
    samples = {sample.id: sample for part in parts.values() for sample in part}
    pairs = {place: samples[row.id] for place, row in enumerate(given.rows) if row.id in samples}
    return pairs if _agreeing(given.rows, pairs, at_least=_BY_ID, unchecked=not given.places) else {}


def _by_place(given: Given, parts: Mapping[str, Sequence[Sample]]) -> Pairs:
    for split in sorted(parts, key=lambda name: name != "test"):
        part = parts[split]
        if given.places:
            at = {place: given.places.get(row.id, -1) for place, row in enumerate(given.rows)}
            pairs = {place: part[number] for place, number in at.items() if 0 <= number < len(part)}
        else:
            pairs = dict(enumerate(part)) if len(part) == len(given.rows) else {}
        if len(pairs) == len(given.rows) and _agreeing(given.rows, pairs, at_least=_BY_PLACE, unchecked=False):
            return pairs
    return {}


def _agreeing(rows: Sequence[Prediction], pairs: Pairs, at_least: float, unchecked: bool) -> bool:
    """Whether the rows ask what the samples ask, or where they do not repeat the question, have their answers.
    `unchecked`: what is returned where they have neither."""
    checks = [check for place, sample in pairs.items() if (check := _is_of(rows[place], sample)) is not None]
    return bool(pairs) and (sum(checks) >= at_least * len(checks) if checks else unchecked)


def _is_of(row: Prediction, sample: Sample) -> bool | None:
    if row.question.strip():
        return _plain(sample.question) in _plain(row.question)
    return _same_answer(row, sample) if row.gold.strip() else None


def _same_answer(row: Prediction, sample: Sample) -> bool:
    same = NORMALISERS["m3ae"]
    is_letter = bool(row.options or sample.choices) and len(row.gold.strip()) == 1
    return is_letter or same(sample.answer) in map(same, row.truths)


def _by_text(
    rows: Sequence[Prediction], places: Sequence[int], parts: Mapping[str, Sequence[Sample]], used: set[str]
) -> Pairs:
    """The split that takes most of the rows is the one that was asked."""
    best: Pairs = {}
    for split in sorted(parts, key=lambda name: name != "test"):
        pairs = _by_text_in(rows, places, [sample for sample in parts[split] if sample.id not in used])
        best = pairs if len(pairs) > len(best) else best
    return best


def _by_text_in(rows: Sequence[Prediction], places: Sequence[int], samples: Sequence[Sample]) -> Pairs:
    asking: defaultdict[str, list[int]] = defaultdict(list)
    for number, sample in enumerate(samples):
        asking[_plain(sample.question)].append(number)
    alike: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for place in places:
        row = rows[place]
        numbers = asking.get(_question_in(row.question, asking), [])
        for fits in (_same_image if not row.image.startswith(NO_IMAGE) else None, _same_answer if row.gold else None):
            numbers = _narrowed(numbers, row, samples, fits)
        if numbers:
            alike[tuple(numbers)].append(place)
    pairs: Pairs = {}
    for fitting, rows_alike in alike.items():
        if len(fitting) == len(rows_alike):
            pairs |= {place: samples[number] for place, number in zip(rows_alike, fitting, strict=True)}
    return pairs


def _narrowed(
    numbers: Sequence[int],
    row: Prediction,
    samples: Sequence[Sample],
    fits: Callable[[Prediction, Sample], bool] | None,
) -> list[int]:
    """Those that fit; an image of another name decides nothing, since programs rename the images."""
    fitting = [number for number in numbers if fits is None or fits(row, samples[number])]
    return fitting or (list(numbers) if fits is _same_image else [])


def _same_image(row: Prediction, sample: Sample) -> bool:
    names = [PurePosixPath(name.replace("\\", "/")) for name in (row.image, sample.image)]
    return names[0] == names[1] or names[0].name == names[1].name or names[0].stem == sample.image


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _question_in(prompt: str, known: Container[str]) -> str:
    """Which of the known questions a prompt asks: all of it is one, or one of its lines is, or begins with one that
    ends in a question mark; "" for none."""
    texts = [prompt, *prompt.replace("<image>", "\n").split("\n")]
    plain = [_plain(text.strip().removeprefix("Question:").removeprefix("Q:")) for text in texts]
    begun = [text[: text.index("?") + 1] for text in plain if "?" in text]
    return next((text for text in (*plain, *begun) if text and text in known), "")
