"""Questions and annotations in two files, as COCO-VQA has them and as many sets were passed on since.

    train_questions.json       {"questions": [{"question_id": 7, "image_id": 12, "question": "Is there a mass?"}, ...]}
    train_annotations.json     {"annotations": [{"question_id": 7, "image_id": 12, "answer_type": "yes/no",
                                "question_type": "is there", "multiple_choice_answer": "yes",
                                "answers": [{"answer_id": 1, "answer": "yes"}, ...]}, ...]}

ROOT is the folder, one of the two files, or one file with both lists. The split is what a file's name says (train, val,
test, as in "v2_OpenEnded_mscoco_val2014_questions.json"), else `use_as`; where there are several, ids begin with it.

The answer is `multiple_choice_answer`, else the most frequent of `answers`, of equally frequent ones the first;
`extra["answers"]` keeps them all. `answer_type` "yes/no" is closed, "number" and "other" are open, and
`extra["published_answer_type"]` keeps the word. `question_type` is kept in upper case.

An image is the question's `image` (or `image_name`, `file_name`), else what a list `images` of either file calls it
({"id": 12, "file_name": "a.jpg"}), else the file whose name is `image_id`, or ends in that number
("COCO_val2014_000000000012.jpg"). It is looked for as the reader `csv` does.

Traps: questions of a test part often have no annotations, and cannot be read. Licence: that of your data.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import CLOSED, OPEN, Sample
from discern_vqa.errors import DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading.image_files import MissingImage, tiny_images
from discern_vqa.reading.neutral import sample_of
from discern_vqa.reading.own_images import OwnImages
from discern_vqa.reading.records import (
    Record,
    collect,
    near_file,
    no_record,
    one_line,
    parse_json,
    read_text,
    require_folder,
    require_record,
    require_split,
)
from discern_vqa.reading.spellings import split_name
from discern_vqa.reading.table_options import TableOptions
from discern_vqa.reading.tidying import Tidier

SUMMARY = "your own data: questions.json and annotations.json as in COCO-VQA, several answers to a question"
LICENCE = "that of your data"
SPLITS = ("train", "validation", "test")
PUBLISHED: dict[str, int] = {}

_QUESTIONS, _ANNOTATIONS = "questions", "annotations"
_TYPES = {"yes/no": CLOSED, "number": OPEN, "other": OPEN}
_NAMES = ("image", "image_name", "file_name", "img_name")
_WORDS = re.compile(r"[a-z]+")


def read(
    root: Path,
    split: str,
    *,
    values: Mapping[str, Mapping[str, str]] | None = None,
    images: str = "",
    use_as: str = "train",
    skipped: list[str] | None = None,
) -> list[Sample]:
    """The questions of one split, in the file's order; none when all belong to other splits.

    Args:
        root: the folder of the two files, one of them, or a file with both lists.
        values: field -> {as written: as meant}.
        images: the folder of the images, relative to the files' folder.
        use_as: the split of files whose names say none.

    Raises:
        DataError: a file or an image is missing, a question has no annotation, or a record breaks the format.
        ConfigError: an option names a field, split or folder that does not exist.
    """
    require_split(split, SPLITS, "coco_vqa")
    options = TableOptions(reader="coco_vqa", root=Path(root), values=values or {}, images=images, use_as=use_as)
    pairs = _pairs(Path(root))
    samples: list[Sample] = []
    for stated, (questions, annotations) in pairs.items():
        belongs = stated or use_as
        if belongs == split:
            before = f"{stated}-" if len(pairs) > 1 else ""
            samples += _read_pair(questions, annotations, options, belongs, before, skipped)
    return samples


def present(root: Path) -> tuple[str, ...]:
    """The splits that files are named after; all four for files that say none. Raises DataError: there is no pair."""
    pairs = _pairs(Path(root))
    return tuple(split for split in SPLITS if split in pairs) if "" not in pairs else SPLITS


def _pairs(root: Path) -> dict[str, tuple[Path, Path]]:
    """Split that the names say ("" for none) -> (questions, annotations), which may be one file."""
    folder = root
    if root.suffix.lower() == ".json" and not root.is_dir():
        folder = root.parent
        content = _content(root)
        if _QUESTIONS in content and _ANNOTATIONS in content:
            return {_split_in(root): (root, root)}
    else:
        require_folder(root)
    files = {kind: _of_kind(folder, kind) for kind in (_QUESTIONS, _ANNOTATIONS)}
    if folder != root:  # only the pair of that file
        files = {kind: {split: f for split, f in of.items() if split == _split_in(root)} for kind, of in files.items()}
    for kind, other in ((_QUESTIONS, _ANNOTATIONS), (_ANNOTATIONS, _QUESTIONS)):
        for split, file in files[kind].items():
            if split not in files[other]:
                name = file.name.replace(kind, other)
                raise DataError(f"{file} has no {other} beside it", hint=f"put {folder / name} there")
    if not files[_QUESTIONS]:
        wanted = folder / f"{_QUESTIONS}.json"
        raise DataError(f"{folder} holds no {_QUESTIONS}.json and {_ANNOTATIONS}.json", hint=near_file(wanted))
    return {split: (file, files[_ANNOTATIONS][split]) for split, file in files[_QUESTIONS].items()}


def _of_kind(folder: Path, kind: str) -> dict[str, Path]:
    """Split -> the file of a folder whose name ends in "questions.json" or "annotations.json"."""
    files: dict[str, Path] = {}
    for path in sorted(folder.glob("*.json")):
        if path.name.lower().endswith(f"{kind}.json") and path.is_file():
            other = files.setdefault(_split_in(path), path)
            if other != path:
                raise DataError(
                    f"{folder} holds two files of {kind} of one split: {other.name}, {path.name}",
                    hint=f"name one of them: discern data audit coco_vqa {path}",
                )
    return files


def _split_in(file: Path) -> str:
    return next((split for word in _WORDS.findall(file.stem.lower()) if (split := split_name(word))), "")


def _content(file: Path) -> dict[str, Any]:
    content = parse_json(read_text(file), str(file))
    if not isinstance(content, dict):
        raise DataError(
            f"{file} holds no object with {_QUESTIONS} or {_ANNOTATIONS}",
            hint=f"a list of records is read by another reader: discern data audit json {file}",
        )
    return content


def _list(file: Path, content: Mapping[str, Any], kind: str) -> list[Any]:
    entries = content.get(kind)
    if not isinstance(entries, list):
        keys = one_line(", ".join(content))[:200]
        raise DataError(f"{file} has no list {kind!r}; its keys are: {keys}", hint="give the file that has it")
    return entries


def _read_pair(
    file: Path, annotations: Path, options: TableOptions, split: str, before: str, skipped: list[str] | None
) -> list[Sample]:
    asked, answered = _content(file), _content(annotations)
    answer_of = {
        str(entry.get("question_id")): entry
        for entry in _list(annotations, answered, _ANNOTATIONS)
        if isinstance(entry, Mapping)
    }
    listed = [
        entry for content in (asked, answered) for entry in content.get("images") or () if isinstance(entry, dict)
    ]
    name_of = {str(entry.get("id")): str(entry.get("file_name")) for entry in listed}
    images, tidier = OwnImages(file.parent, options.images, options.for_images), Tidier(options.values, split)

    def samples_of(record: Record) -> Iterator[Sample]:
        key = record.text("question_id")
        if key not in answer_of:
            raise record.broken(f"the question {key} has no annotation in {annotations.name}")
        image, path = _image(record, name_of, images)
        values = {**_values(record, answer_of[key]), "image": image, "id": f"{before}{key}", "split": split}
        yield sample_of(tidier.tidied(replace(record, values=values)), path)

    return collect(_records(file, asked), samples_of, split, skipped, no_record(file, split))


def _records(file: Path, content: Mapping[str, Any]) -> Iterator[Record | DataError]:
    for number, entry in enumerate(_list(file, content, _QUESTIONS), start=1):
        try:
            yield require_record(entry, f"{file.name}:item {number}", number)
        except DataError as error:
            yield error


def _values(record: Record, annotation: Mapping[str, Any]) -> dict[str, Any]:
    """The neutral values of a question and its annotation; the tidier takes the most frequent of several answers."""
    answers = annotation.get("answers")
    texts = [entry.get("answer") if isinstance(entry, Mapping) else entry for entry in answers or ()]
    kind = annotation.get("answer_type", record.values.get("answer_type"))
    values: dict[str, Any] = {
        "question": record.values.get("question"),
        "answer": annotation.get("multiple_choice_answer") or annotation.get("answer") or texts or None,
        "answer_type": _TYPES.get(str(kind).lower(), kind),
        "question_type": str(annotation.get("question_type") or "").upper(),
        "choices": record.values.get("multiple_choices"),
    }
    extra = {
        "published_answer_type": kind if str(kind).lower() in _TYPES else "",
        "answers": texts if len(texts) > 1 else [],
    }
    return values | {key: value for key, value in extra.items() if value}


def _image(record: Record, name_of: Mapping[str, str], images: OwnImages) -> tuple[str, Path]:
    """(identity, place) of the image that a question is about."""
    named = next((record.text(key, verbatim=True) for key in _NAMES if record.values.get(key)), "")
    if named:
        return images.find(named, record.source)
    key = record.text("image_id", verbatim=True)
    try:
        return images.find(name_of.get(key, key), record.source)
    except MissingImage:
        if key in name_of or not key.isdecimal():
            raise
        return images.find_number(int(key), record.source)


def write_tiny(root: Path) -> None:
    """Seven questions of three splits about four images: numbers at the ends of names, several answers, a tie."""
    tiny_images(root / "images", [f"COCO_train2014_{number:012}.jpg" for number in (1, 2, 3, 4)])
    rows: dict[str, list[tuple[int, str, str, list[str]]]] = {
        "train": [
            (1, "Is there a mass?", "yes/no", ["yes", "no", "yes"]),
            (1, "Where is the mass?", "other", ["left", "left side", "right"]),
            (2, "How many are there?", "number", ["2", "2", "3"]),
        ],
        "val": [(3, "Is it normal?", "yes/no", ["no"]), (3, "Which plane is it?", "other", ["axial"])],
        "test": [(4, "Is there a mass?", "yes/no", ["no", "no"]), (4, "What is it?", "other", ["a cyst"])],
    }
    for number, (split, part) in enumerate(rows.items(), start=1):
        questions, annotations = [], []
        for place, (image, question, kind, answers) in enumerate(part):
            common = {"question_id": 1000 * number + place, "image_id": image}
            questions.append({**common, "question": question})
            listed = [{"answer_id": count, "answer": answer} for count, answer in enumerate(answers, start=1)]
            annotations.append({**common, "answer_type": kind, "question_type": "is", "answers": listed})
        for kind, entries in ((_QUESTIONS, questions), (_ANNOTATIONS, annotations)):
            atomic_write_text(root / f"{split}_{kind}.json", json.dumps({kind: entries}, indent=1))
