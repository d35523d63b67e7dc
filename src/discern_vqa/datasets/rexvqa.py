"""ReXVQA: some 696,000 multiple-choice questions about chest radiographs of ReXGradient-160K, made from its reports.

    metadata/{train,valid,test}_vqa_data.json       on the hub, rajpurkarlab/ReXVQA: one object, question id -> record
    deid_png/GRDN001/.../1.2.3.png                  on the hub, rajpurkarlab/ReXGradient-160K: the images

    "q_17": {"study_id": "...", "question": "Which finding is present?", "options": ["A. Normal", "B. Pneumonia",
             "C. Fracture", "D. Effusion"], "correct_answer": "B", "correct_answer_explanation": "...",
             "task_name": "...", "category": "...", "PatientID": "GRDN001", "StudyInstanceUid": "...",
             "ImagePath": ["../deid_png/GRDN001/.../1.2.3.png", "..."], "ImageViewPosition": ["PA", "LATERAL"], ...}

The keys are those that public programs read; the data themselves, which need an account and an agreement, were not at
hand when this was written. `options` are read with or without their letters, as a list or by letter, and
`correct_answer` as a letter, as the option's text, or as both.

The JSON files may also lie in ROOT itself or in `QA_json/`; `deid_png` in ROOT, in `images/`, or in
`ReXGradient-160K/`. It comes as parts of one archive: join them (`cat deid_png.part* > deid_png.tar`) and unpack it.

A question is asked about a study of one image or more, and a sample has one: the first whose view is frontal (PA, AP),
or else the first. `extra["images"]` lists all of a study that has several; a question that only the lateral view
answers cannot be answered from this image.

`choices` are the options without their letters, `answer_type` is "choice", `question_type` the task (one of five:
presence, location, negation, differential diagnosis, geometry), `patient` and `study` the set's pseudonyms. `organ` and
`modality` are the same for the whole set; `extra["derived"]` names them. The reports' texts (`Findings`, `Impression`,
`Indication`), age and sex of the record are left out: the texts give the answer away. `extra["explanation"]` is why the
answer is right.

Traps: questions and options were written by a language model from the reports; a file is read whole (the training part
needs some gigabytes of memory).

Licence: that of ReXVQA and of ReXGradient-160K, whose terms are to be accepted on the hub. Source: Pal et al., arXiv
2506.04353.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from discern_vqa.data.sample import CHOICE, Sample
from discern_vqa.errors import DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading.image_files import Images, MissingImage, tiny_images
from discern_vqa.reading.offered import listed_options, true_option
from discern_vqa.reading.records import (
    Record,
    collect,
    first_present,
    folder_with,
    no_record,
    parse_json,
    present_files,
    read_text,
    require_record,
    require_split,
    shown,
)

SUMMARY = "ReXVQA: some 696,000 multiple-choice questions about the chest radiographs of ReXGradient-160K"
LICENCE = "the terms of ReXVQA and of ReXGradient-160K, to be accepted on the hub"
SPLITS = ("train", "validation", "test")
PUBLISHED: dict[str, int] = {}  # the paper's abstract gives a total alone
SOURCE = (
    "on the hub after its terms are accepted: rajpurkarlab/ReXVQA (questions), rajpurkarlab/ReXGradient-160K (images)"
)

_FILES = {
    "train": ("train_vqa_data.json",),
    "validation": ("valid_vqa_data.json",),
    "test": ("test_vqa_data.json",),
}
_PLACES = ("metadata", "", "QA_json", "ReXVQA/metadata")
_IMAGES, _IMAGE_PLACES = "deid_png", ("", "images/", "ReXGradient-160K/", "ReXVQA/")
_FRONTAL = ("PA", "AP", "FRONTAL", "POSTEROANTERIOR", "ANTEROPOSTERIOR")


def read(root: Path, split: str, *, missing: str = "stop", skipped: list[str] | None = None) -> list[Sample]:
    """The questions of one split, in the file's order.

    Args:
        root: the folder that holds `metadata` and `deid_png`.
        missing: "stop" at a question whose image is missing, or "leave_out".

    Raises:
        DataError: a file or an image is missing, or a record breaks the format (all records are checked first).
        ConfigError: `missing` is neither of the two.
    """
    root = Path(root)
    require_split(split, SPLITS, "rexvqa")
    file = folder_with(root, _PLACES, _FILES, "ReXVQA") / _FILES[split][0]
    images, leave_out, before = Images(root), MissingImage.to_leave_out(missing), _before_images(root)

    def samples(record: Record) -> Iterator[Sample]:
        names = [before + name for name in _image_names(record)]
        image = names[_frontal(record, len(names))]
        choices = listed_options(record, "options")
        extra = {
            "explanation": record.optional("correct_answer_explanation"),
            "category": record.optional("category"),
            "images": names if len(names) > 1 else None,
            "derived": ["organ", "modality"],
        }
        yield Sample(
            id=record.text("id", verbatim=True),
            split=split,
            image=image,
            path=images.find(image, record.source),
            question=record.text("question"),
            answer=true_option(record, "correct_answer", choices),
            answer_type=CHOICE,
            question_type=(record.text("task_name").upper(),),
            organ="chest",
            modality="x-ray",
            choices=choices,
            patient=record.optional("PatientID", verbatim=True),
            study=record.optional("study_id", verbatim=True) or record.optional("StudyInstanceUid", verbatim=True),
            source=record.source,
            extra={key: value for key, value in extra.items() if value},
        )

    return collect(_records(file), samples, split, skipped, no_record(file, split), leave_out)


def present(root: Path) -> tuple[str, ...]:
    """The splits whose files are there. Raises DataError when `root` holds no ReXVQA."""
    return present_files(folder_with(Path(root), _PLACES, _FILES, "ReXVQA"), _FILES)


def _records(file: Path) -> Iterator[Record | DataError]:
    """The records of the file, each with its id; null counts as not stated."""
    content = parse_json(read_text(file), str(file))
    if not isinstance(content, dict):
        hint = "give the file of rajpurkarlab/ReXVQA as it is"
        raise DataError(f"{file} holds {shown(content)}; expected an object {{question id: record, ...}}", hint=hint)
    for number, (name, values) in enumerate(content.items(), start=1):
        try:
            record = require_record(values, f"{file.name}:item {number} ({shown(name)})", number)
        except DataError as error:
            yield error
            continue
        stated = {key: value for key, value in record.values.items() if value is not None}
        yield Record({**stated, "id": name}, record.source, number)


def _image_names(record: Record) -> list[str]:
    """The images of the study, from `deid_png/` on.

    Raises DataError: there is none, or a name is not below that folder.
    """
    value = record.values.get("ImagePath")
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
        raise record.unexpected("ImagePath", value, "a list of image files")
    names = []
    for name in listed:
        parts = PurePosixPath(name.strip()).parts
        if _IMAGES not in parts:
            raise record.unexpected("ImagePath", name, f"a file below {_IMAGES}/")
        names.append(PurePosixPath(*parts[parts.index(_IMAGES) :]).as_posix())
    return list(dict.fromkeys(names))


def _frontal(record: Record, images: int) -> int:
    """The place of the first frontal view among the images; 0 where none is said to be one."""
    value = record.values.get("ImageViewPosition")
    views: Sequence[Any] = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    names = [view.strip().upper() if isinstance(view, str) else "" for view in views]
    return next((place for place, view in enumerate(names[:images]) if view in _FRONTAL), 0)


def _before_images(root: Path) -> str:
    """What stands before `deid_png` in the images' names: the folder of the first of its possible places."""
    there = first_present([root / place / _IMAGES for place in _IMAGE_PLACES])
    return "" if there.parent == root else f"{there.parent.relative_to(root).as_posix()}/"


def write_tiny(root: Path) -> None:
    """Seven questions about four studies, one of them with a lateral view before the frontal one."""
    names = {number: f"{_IMAGES}/GRDN{number}/studies/s{number}/1.{number}.png" for number in range(1, 5)}
    lateral = f"{_IMAGES}/GRDN2/studies/s2/1.20.png"
    tiny_images(root, [*names.values(), lateral])
    rows: dict[str, list[tuple[int, str, str, list[str], str]]] = {
        "train": [
            (1, "presence_assessment", "Which finding is present?", ["A. Normal", "B. Pneumonia", "C. Mass"], "B"),
            (1, "location_assessment", "Where is it?", ["A. Left  lung", "B. Right lung"], "A. Left lung"),
            (2, "negation_assessment", "What is absent?", ["Effusion", "Cardiomegaly", "Nodule"], "nodule."),
        ],
        "validation": [
            (3, "differential_diagnosis", "What is it most likely?", ["A. Oedema", "B. Fibrosis"], "A"),
            (3, "geometric_information", "How wide is the heart?", ["A. Normal", "B. Enlarged"], "B"),
        ],
        "test": [
            (4, "presence_assessment", "Which finding is present?", ["A. Fracture", "B. Effusion"], "B"),
            (4, "location_assessment", "Which side?", ["A. Left", "B. Right", "C. Both", "D. Neither"], "C"),
        ],
    }
    for split, questions in rows.items():
        content = {}
        for place, (number, task, question, options, answer) in enumerate(questions):
            paths, views = [f"../{names[number]}"], ["PA"]
            if number == 2:
                paths, views = [f"../{lateral}", *paths], ["LATERAL", *views]
            content[f"{split}_{place}"] = {
                "study_id": f"s{number}", "PatientID": f"GRDN{number}", "question": question, "options": options,
                "correct_answer": answer, "correct_answer_explanation": "It is seen.", "task_name": task,
                "category": None, "Findings": "The answer.", "ImagePath": paths, "ImageViewPosition": views,
            }  # fmt: skip
        atomic_write_text(root / "metadata" / _FILES[split][0], json.dumps(content, indent=1))
