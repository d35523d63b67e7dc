"""RadImageNet-VQA: questions about CT and MR images of RadImageNet, made from its labels. Three folders of Parquet.

*benchmark* (split "test", 9,000 questions: 5,000 closed, 2,000 open, 2,000 multiple choice):

    benchmark/test-00000-of-00001.parquet      image {"bytes", "path"}, question, choices (a list, or null), answer,
                                               question_type "open" | "closed" | "multiple_choice", metadata
    metadata: {"content_type": "pathology", "correct_text": "cyst", "is_abnormal": true, "location": "brain",
               "modality": "mri", "pathology": "cyst", "question_id": "..."}

*alignment* (split "pretrain", 750,000 captions) and *instruct* (splits "train" and "validation", the other questions):

    alignment/train-*.parquet, instruct/{train,val}-*.parquet      image, conversations [{"from", "value"}], metadata

Their columns are those that public programs read; these files themselves were not at hand when this was written. In
`conversations` every question with its answer is one sample. An answer that is a letter, where `correct_text` says what
it stands for, is a multiple choice: its options are taken out of the question's text ("... A. cyst B. abscess").

`answer` of a multiple choice is the option's text, `choices` are the options, and `answer_type` is "choice".
`question_type` is `content_type`, `organ` is `location`. In *instruct* the answer types are derived (closed: yes, no,
or a choice is offered), and `extra["derived"]` says so. `extra` keeps `pathology` and `is_abnormal`, which give answers
away.

Traps: the images have no names, so that equal images are one, named after its content; an id that several rows have
gets the row's number behind it; alignment and instruct are large: reading a split unpacks all its images into the
user's cache, and 6.7 million questions need some gigabytes of memory.

Published: 750,000 images, 7.5 million captions and questions.

Licence: Apache-2.0, as a version of the hub's card states it; the images come from RadImageNet, which has terms of its
own. Source: arXiv 2512.17396; MIDL 2026.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import CHOICE, CLOSED, OPEN, Sample
from discern_vqa.errors import DataError
from discern_vqa.reading import parquet as parquet_files
from discern_vqa.reading.conversations import conversation_of
from discern_vqa.reading.image_files import tiny_bytes
from discern_vqa.reading.offered import letter, listed_options, true_option
from discern_vqa.reading.records import (
    Record,
    collect,
    derived_answer_type,
    near_file,
    no_record,
    require_folder,
    require_split,
    shown,
)
from discern_vqa.reading.sources import Hub
from discern_vqa.reading.unpacked import Unpacked

SUMMARY = "RadImageNet-VQA: 9,000 benchmark questions about CT and MR (and 7.5 million captions and questions to learn)"
LICENCE = "Apache-2.0, as a version of the hub's card states it; the images are RadImageNet's, which has its own terms"
SPLITS = ("pretrain", "train", "validation", "test")
PUBLISHED = {"test": 9000}
SOURCE = "on the hub, raidium/RadImageNet-VQA"
_HUB = "raidium/RadImageNet-VQA"
GET = {
    "benchmark": (Hub(repository=_HUB, patterns=("benchmark/test-*.parquet",)),),
    "all": (
        Hub(
            repository=_HUB,
            patterns=(
                "benchmark/test-*.parquet",
                "instruct/train-*.parquet",
                "instruct/val-*.parquet",
                "alignment/train-*.parquet",
            ),
        ),
    ),
}

_PLACES = {
    "pretrain": ("alignment", ("train",)),
    "train": ("instruct", ("train",)),
    "validation": ("instruct", ("val", "validation")),
    "test": ("benchmark", ("test",)),
}
_TYPES = {"open": OPEN, "closed": CLOSED, "multiple_choice": CHOICE}
_OPTION = re.compile(r"(?:^|\s)\(?([A-H])[).:]\s+")


def read(root: Path, split: str, *, skipped: list[str] | None = None) -> list[Sample]:
    """The questions (for "pretrain": the captions) of one split, in the order of the files.

    Args:
        root: the folder that holds `benchmark/`, `instruct/` and `alignment/`, or some of them.

    Raises:
        DataError: a file is missing or damaged, or a row breaks the format (all rows are checked first).
        ConfigError: pyarrow is not installed.
    """
    root = Path(root)
    require_split(split, SPLITS, "radimagenet_vqa")
    folder, names = _PLACES[split]
    files = parquet_files.shards(_folder(root, folder), split, names)
    unpacked, ids = Unpacked("radimagenet_vqa"), _Ids(split)
    columns = ("question", "choices", "answer", "question_type") if split == "test" else ("conversations",)

    def samples(row: parquet_files.Row) -> Iterator[Sample]:
        about = row.values.get("metadata") or {}
        if not isinstance(about, dict):
            raise DataError(
                f"{row.source}: 'metadata' is {shown(about)}; expected a struct of facts", hint="fetch the file again"
            )
        facts = Record({key: value for key, value in about.items() if value is not None}, row.source, 0)
        image, path = unpacked.by_content(parquet_files.embedded(row.values.get("image"), row.source), row.source)
        plain = Sample(
            id=ids.next(facts.optional("question_id"), row.number),
            split=split,
            image=image,
            path=path,
            question_type=tuple(filter(None, [facts.optional("content_type").upper()])),
            organ=facts.optional("location").lower(),
            modality=facts.optional("modality").lower(),
            source=row.source,
            extra={key: facts.values[key] for key in ("pathology", "is_abnormal") if key in facts.values},
        )
        if split == "test":
            yield _benchmark(plain, row)
        else:
            yield from _conversation(plain, row, facts.optional("correct_text"))

    rows = parquet_files.rows(files, ("image", "metadata", *columns))
    return collect(rows, samples, split, skipped, no_record(files[0], split))


def present(root: Path) -> tuple[str, ...]:
    """The splits whose files are there. Raises DataError when `root` holds none of the three folders."""
    root = Path(root)
    _folder(root, "benchmark")
    return tuple(
        split
        for split, (folder, names) in _PLACES.items()
        if any(parquet_files.shards_in(root / folder, name) for name in names)
    )


def _folder(root: Path, name: str) -> Path:
    require_folder(root)
    if not any((root / folder).is_dir() for folder, _ in _PLACES.values()):
        raise DataError(
            f"{root} holds no RadImageNet-VQA: no folder benchmark, instruct or alignment",
            hint=near_file(
                root / name, "name the folder that holds them, or fetch them: discern data get radimagenet_vqa"
            ),
        )
    return root / name


class _Ids:
    """Ids that are unique: the set's own, with the row's number behind it from the second time on."""

    def __init__(self, split: str) -> None:
        self._split, self._given = split, set[str]()

    def next(self, stated: str, row: int) -> str:
        if not stated or stated in self._given:
            return f"{stated or self._split}-{row}"
        self._given.add(stated)
        return stated


def _benchmark(plain: Sample, row: Record) -> Sample:
    kind = row.text("question_type").lower()
    if kind not in _TYPES:
        raise row.unexpected("question_type", kind, f"one of {', '.join(_TYPES)}")
    choices = listed_options(row, "choices") if _TYPES[kind] == CHOICE else ()
    answer = true_option(row, "answer", choices) if choices else row.text("answer")
    return replace(plain, question=row.text("question"), answer=answer, answer_type=_TYPES[kind], choices=choices)


def _conversation(plain: Sample, row: Record, correct: str) -> Iterator[Sample]:
    talk = conversation_of(row)
    if plain.split == "pretrain":
        caption = talk.description or talk.exchanges[0].answer
        yield replace(plain, caption=" ".join(caption.split()))
        return
    extra = {**plain.extra, "derived": ["answer_type"]}
    for place, exchange in enumerate(talk.exchanges, start=1):
        own = replace(plain, id=f"{plain.id}-{place}" if len(talk.exchanges) > 1 else plain.id, extra=extra)
        is_letter = re.fullmatch(r"\(?[A-H]\)?[.:]?", exchange.answer) is not None
        if is_letter and correct:
            question, choices = _taken_apart(exchange.question)
            said = replace(row, values={"correct_text": correct, "answer": exchange.answer})
            answer = true_option(said, "answer", choices) if choices else correct
            if choices and true_option(said, "correct_text", choices) != answer:
                raise row.broken(f"the answer {exchange.answer!r} is {answer!r}, but correct_text is {correct!r}")
            yield replace(own, question=question, answer=answer, answer_type=CHOICE, choices=choices)
        else:
            kind = derived_answer_type(exchange.question, exchange.answer)
            yield replace(own, question=exchange.question, answer=exchange.answer, answer_type=kind)


def _taken_apart(text: str) -> tuple[str, tuple[str, ...]]:
    """(the question, its options) of a text that ends in options with their letters in order; without, (text, ())."""
    marks = list(_OPTION.finditer(text))
    starts = [place for place, mark in enumerate(marks) if mark[1] == "A"]
    marks = marks[starts[-1] :] if starts else []
    if len(marks) < 2 or [mark[1] for mark in marks] != [letter(place) for place in range(len(marks))]:
        return text, ()
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    options = [text[mark.end() : end].strip(" ;,") for mark, end in zip(marks, ends, strict=True)]
    question = re.sub(r"\s*(?:options|choices)\s*:?\s*$", "", text[: marks[0].start()], flags=re.IGNORECASE).strip()
    return (question, tuple(options)) if question and all(options) else (text, ())


def write_tiny(root: Path) -> None:
    """A few rows in each of the three folders about seven images, with the traps above."""
    pyarrow, parquet = parquet_files.arrow()

    def write(place: str, records: list[dict[str, Any]]) -> None:
        file = root / f"{place}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.Table.from_pylist(records), file)

    def row(number: int, name: str | None, columns: dict[str, Any], correct: str | None = None) -> dict[str, Any]:
        about = {"content_type": "pathology", "correct_text": correct, "is_abnormal": True, "location": "Brain"}
        about |= {"modality": "MRI", "pathology": "cyst", "question_id": name}
        return {"image": {"bytes": tiny_bytes(number, "PNG"), "path": None}, **columns, "metadata": about}

    def talk(*turns: str) -> dict[str, list[Mapping[str, str]]]:
        return {"conversations": [{"from": ("human", "gpt")[place % 2], "value": turn}
                                  for place, turn in enumerate(turns)]}  # fmt: skip

    def asked(question: str, answer: str, kind: str, choices: list[str] | None = None) -> dict[str, Any]:
        return {"question": question, "choices": choices, "answer": answer, "question_type": kind}

    write("alignment/train-00000-of-00001", [row(0, "a0", talk("<image>\nDescribe it.", "An MR image with a  cyst."))])
    options = "<image>\nWhat is shown?\nOptions:\nA. cyst\nB. abscess\nC. tumour"
    write("instruct/train-00000-of-00002", [
        row(1, "i0", talk("<image>\nIs it abnormal?", "Yes", "Which organ is it?", "Brain")),
        row(2, "i1", talk(options, "B"), "abscess"),
    ])  # fmt: skip
    write("instruct/train-00001-of-00002", [row(2, "i1", talk("What is it? (A) cyst (B) tumour", "A."), "cyst")])
    write("instruct/val-00000-of-00001", [row(3, None, talk("<image>Is there a cyst?", "No"))])
    write("benchmark/test-00000-of-00001", [
        row(4, "b0", asked("Is it abnormal?", "yes", "closed")),
        row(4, "b1", asked("What is the pathology?", "cyst", "open")),
        row(5, "b2", asked("What is shown?", "C", "multiple_choice", ["cyst", "abscess", "tumour"]), "tumour"),
        row(6, "b2", asked("What is shown?", "A", "multiple_choice", ["A. cyst", "B. abscess"]), "cyst"),
    ])  # fmt: skip
