"""RoMed: questions of medical sets and their re-phrasings at three levels, to see whether the answers stay the same.

The paper describes 144,000 questions "with variations spanning word-level, sentence-level, and semantic-level
perturbations". No public copy was known when this was written (November 2026; its authors announce a release), so the
names of its keys are *not* known. This reader takes a list of records in a JSON file, or JSON Lines, in which each
record says which question it re-phrases:

    [{"question_id": "7", "image": "images/a.png", "question": "Is there a mass?", "answer": "yes"},
     {"question_id": "7-w", "image": "images/a.png", "question": "Is a mass present?", "answer": "yes",
      "original_id": "7", "level": "word"}, ...]

The fields are found and mapped as by the reader `json` (`--option columns.image=img`). The original is named by its id
or by its text, under one of `LINKS`, or under the key that `link` names; the level stands under one of `LEVELS`. A
record without a link, or with its own, is an original question. Any set of re-phrased questions in this form is read.

`extra["linked"]` is equal for an original and its re-phrasings, `phrase_type` is "freeform" for the one and "para" for
the others, and `extra["level"]` the level. `discern evaluate` measures from these how many answers stay the same, and
no split divides them. Records that say no split are of `use_as`, which is "test" here.

Traps: an original without a re-phrasing is no pair, and counts in the accuracy alone; a re-phrasing whose true answer
is another one is no pair either (the evaluation counts them).

What is read here counts as your own data: its images are sent nowhere, and its runs are not pushed, without your word.

Licence: not stated. Source: Jiang et al., arXiv 2508.18687.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from discern_vqa.data.sample import SPLITS as ALL_SPLITS
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading import own_table
from discern_vqa.reading.image_files import tiny_images
from discern_vqa.reading.records import CORRECT_IT, number_text, shown
from discern_vqa.reading.shapes import LINES, LISTS
from discern_vqa.reading.table_options import TableOptions

SUMMARY = "RoMed (arXiv 2508.18687, no public copy known), and any questions with linked re-phrasings in its form"
LICENCE = "not stated"
SPLITS = ALL_SPLITS
PUBLISHED: dict[str, int] = {}
# No SOURCE: until a public copy is known, what is read here counts as one's own data, and is not passed on unasked.

FILE = "romed.json"
LINKS = (
    "linked",
    "original_id",
    "original_question_id",
    "origin_id",
    "source_id",
    "source_question_id",
    "rephrasing_of",
    "group_id",
    "original_question",
    "origin_question",
    "source_question",
)
_IDS = ("question_id", "qid")
LEVELS = ("level", "perturbation_level", "perturbation_type", "perturbation", "variation")


def read(
    root: Path,
    split: str,
    *,
    columns: Mapping[str, str] | None = None,
    images: str = "",
    use_as: str = "test",
    link: str = "",
    skipped: list[str] | None = None,
) -> list[Sample]:
    """The questions of one split, in the file's order; none when all records belong to other splits.

    Args:
        root: the file, or the folder that holds `romed.json`, a file for each split, or one file.
        columns, images, use_as: as in the reader `json`.
        link: the key under which a record names the question that it re-phrases; by default the first of `LINKS`
            that any record has.

    Raises:
        DataError: the file or an image is missing, a record breaks the format (all are checked first), or no record
            says which question it re-phrases.
        ConfigError: an option names a field, key or split that does not exist.
    """
    others = {"link": link} if link else {}
    options = TableOptions("romed", Path(root), columns or {}, images=images, use_as=use_as, others=others)
    samples = own_table.read(options, FILE, (*LISTS, *LINES), split, skipped)
    if not samples:
        return []
    keys = [link] if link else [name for name in LINKS if any(name in sample.extra for sample in samples)]
    if not any(key in sample.extra for key in keys for sample in samples):
        there = ", ".join(sorted({key for sample in samples for key in sample.extra} - {"derived"})) or "none"
        raise DataError(
            f"{samples[0].source} and the others name no question that they re-phrase"
            f" ({link or ', '.join(LINKS)}); further keys: {there}",
            hint="name the key with --option link=KEY",
        )
    return _linked(samples, keys[0])


def present(root: Path) -> tuple[str, ...]:
    """The splits that have a file of their own; all four for a single file. Raises DataError: there is none."""
    return own_table.present_in("romed", root, FILE, (*LISTS, *LINES))


def _linked(samples: Sequence[Sample], key: str) -> list[Sample]:
    """The samples with `extra["linked"]` of the original that each names: its id, or its text about the same image.

    Raises DataError: two records have the same id.
    """
    own = [_id(sample) for sample in samples]
    first: dict[str, Sample] = {}
    for name, sample in zip(own, samples, strict=True):
        if first.setdefault(name, sample) is not sample:
            message = f"{sample.source}: the id {name!r} was used before, by {first[name].source}"
            raise DataError(message, hint="give each record an id of its own")
    texts: dict[tuple[str, str], str] = {}
    for name, sample in zip(own, samples, strict=True):
        if _link(sample, key) in ("", name) or _plain(_link(sample, key)) == _plain(sample.question):
            texts.setdefault((sample.image, _plain(sample.question)), name)
    linked = []
    for name, sample in zip(own, samples, strict=True):
        named = _link(sample, key) or name
        original = named if named in first else texts.get((sample.image, _plain(named)), named)
        level = next((str(sample.extra[text]) for text in LEVELS if sample.extra.get(text)), "")
        is_original = original == name
        extra = {text: value for text, value in sample.extra.items() if text not in (key, *_IDS, *LEVELS)}
        extra |= {"linked": original} | ({"level": level.lower()} if level and not is_original else {})
        phrase_type = "freeform" if is_original else "para"
        stated = name if any(text in sample.extra for text in _IDS) else sample.id
        linked.append(replace(sample, id=stated, phrase_type=phrase_type, extra=extra))
    return linked


def _id(sample: Sample) -> str:
    """What other records call this one: its question id, or its id without the split that a file's name put there."""
    stated = next((sample.extra[name] for name in _IDS if isinstance(sample.extra.get(name), str | int)), "")
    return str(stated) if stated != "" else sample.id.removeprefix(f"{sample.split}-")


def _link(sample: Sample, key: str) -> str:
    """What the record says of its original; "" for nothing. Raises DataError: it is no text and no number."""
    value = sample.extra.get(key)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise DataError(f"{sample.source}: {key!r} is {shown(value)}; expected an id or a question", hint=CORRECT_IT)
    return value.strip() if isinstance(value, str) else number_text(value)


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(" ?.")


def write_tiny(root: Path) -> None:
    """Two questions about two images with four re-phrasings, and one without."""
    tiny_images(root / "images", ("a.png", "b.png"))
    rows: list[dict[str, object]] = [
        {"question_id": 7, "image": "images/a.png", "question": "Is there a mass?", "answer": "yes"},
        {"question_id": "7-w", "image": "images/a.png", "question": "Is there a lump?", "answer": "yes"}
        | {"original_id": 7, "level": "Word"},
        {"question_id": "7-s", "image": "images/a.png", "question": "Does it show a mass?", "answer": "yes"}
        | {"original_id": 7, "level": "sentence"},
        {"question_id": 8, "image": "images/b.png", "question": "Which organ is it?", "answer": "the lung"},
        {"question_id": "8-m", "image": "images/b.png", "question": "What is imaged?", "answer": "the lung"}
        | {"original_id": 8, "level": "semantic"},
        {"question_id": "8-w", "image": "images/b.png", "question": "Which part is it?", "answer": "the lung"}
        | {"original_id": 8, "level": "word"},
        {"question_id": 9, "image": "images/b.png", "question": "Which plane?", "answer": "axial", "original_id": 9},
    ]
    atomic_write_text(root / FILE, json.dumps(rows, indent=1))
