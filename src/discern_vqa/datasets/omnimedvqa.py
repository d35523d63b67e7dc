"""OmniMedVQA: multiple-choice questions made from 73 medical image sets of 12 modalities, for evaluation alone.

    QA_information/Open-access/ACRIMA.json          a list of records for each of the 42 open source sets
    QA_information/Restricted-access/AIDA.json      for those whose images only their owners pass on
    Images/ACRIMA/Im553_g_ACRIMA.png

    {"dataset": "ACRIMA", "question_id": "ACRIMA_0000", "question_type": "Modality Recognition",
     "question": "What imaging technique was used?", "gt_answer": "Fundus imaging",
     "image_path": "Images/ACRIMA/Im553_g_ACRIMA.png", "option_A": "PET scan", "option_B": "CT scan",
     "option_C": "Blood test", "option_D": "Fundus imaging", "modality_type": "Fundus Photography"}

ROOT may be the folder that holds `QA_information`, or the one above it (the archive unpacks into `OmniMedVQA/`).
`choices` are the options in their order, `answer_type` is "choice". `question_type` is one of the five of the set
("MODALITY RECOGNITION", "DISEASE DIAGNOSIS", ...), `extra["dataset"]` the source set.

`access` says which folders are read: "open" (the default), "restricted" or "all". The images of restricted sets are to
be had from their owners, and go where `image_path` says; a question without its image is an error, or left out with
`missing="leave_out"`.

Published: 127,995 questions about 118,010 images; the open part has 88,996 about 82,059.

Traps: questions have two, three or four options; `gt_answer` may differ from its option in case and full stop (the
option's text is taken, and `extra["published_answer"]` keeps the other); one record of `Chest CT Scan.json` has
`modality` in place of `modality_type`; the set has no training part, and its images are those of public sets that other
models may have learned from.

Licence: each source set's own; the card asks to adhere to them and states none for the questions. Source: Hu et al.,
CVPR 2024, arXiv 2402.09181.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import CHOICE, Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading.image_files import Images, MissingImage, tiny_images
from discern_vqa.reading.offered import options_in_columns, true_option
from discern_vqa.reading.records import (
    Record,
    collect,
    first_present,
    json_items,
    near_file,
    no_record,
    require_folder,
    require_split,
)
from discern_vqa.reading.sources import Hub

SUMMARY = "OmniMedVQA: 127,995 multiple-choice questions from 73 image sets of 12 modalities (88,996 with open images)"
LICENCE = "that of each of the 73 source sets; none is stated for the questions"
SPLITS = ("test",)
PUBLISHED = {"test": 127995}
LEFT_OUT = {"test": "questions about images that only their owners pass on: access=restricted or access=all reads them"}
SOURCE = "on the hub, foreverbeliever/OmniMedVQA (11 GB)"
GET = {"all": (Hub(repository="foreverbeliever/OmniMedVQA", patterns=("OmniMedVQA.zip",)),)}

_FOLDERS: dict[str, tuple[str, ...]] = {
    "open": ("Open-access",),
    "restricted": ("Restricted-access",),
    "all": ("Open-access", "Restricted-access"),
}
_OPTIONS = tuple(f"option_{letter}" for letter in "ABCDEFGH")


def read(
    root: Path, split: str, *, access: str = "open", missing: str = "stop", skipped: list[str] | None = None
) -> list[Sample]:
    """The questions, file by file in the order of their names.

    Args:
        root: the folder that holds `QA_information`, or the one above it.
        access: "open", "restricted" or "all".
        missing: "stop" at a question whose image is missing, or "leave_out".

    Raises:
        DataError: there is no such file, an image is missing, or a record breaks the format (all are checked first).
        ConfigError: `access` or `missing` is none of these words.
    """
    root = Path(root)
    require_split(split, SPLITS, "omnimedvqa")
    if access not in _FOLDERS:
        raise ConfigError(f"access is {access!r}", hint=f"choose {', '.join(_FOLDERS)}")
    files = _files(root, access)
    images, leave_out, inside = Images(root), MissingImage.to_leave_out(missing), _inside(root)

    def samples(record: Record) -> Iterator[Sample]:
        image = inside + record.text("image_path", verbatim=True).strip().removeprefix("./")
        choices = options_in_columns(record, _OPTIONS)
        answer, published = true_option(record, "gt_answer", choices), record.text("gt_answer")
        extra = {"dataset": record.optional("dataset"), "published_answer": published if published != answer else ""}
        modality = record.optional("modality_type") or record.optional("modality")
        yield Sample(
            id=record.text("question_id"),
            split=split,
            image=image,
            path=images.find(image, record.source),
            question=record.text("question"),
            answer=answer,
            answer_type=CHOICE,
            question_type=(record.text("question_type").upper(),),
            modality=modality.lower(),
            choices=choices,
            source=record.source,
            extra={key: value for key, value in extra.items() if value},
        )

    records = (record for file in files for record in json_items(file))
    return collect(records, samples, split, skipped, no_record(files[0], split), leave_out)


def _inside(root: Path) -> str:
    """The folder in `root` that holds the set, with "/" behind it; "" for `root` itself."""
    require_folder(root)
    there = first_present([root / "QA_information", root / "OmniMedVQA" / "QA_information"])
    return "OmniMedVQA/" if there.parent != root and there.is_dir() else ""


def _files(root: Path, access: str) -> list[Path]:
    folder = root / _inside(root) / "QA_information"
    files = [file for name in _FOLDERS[access] for file in sorted((folder / name).glob("*.json"))]
    if not files:
        looked = " or ".join(f"QA_information/{name}" for name in _FOLDERS[access])
        hint = near_file(folder / _FOLDERS[access][0], "name the folder that holds QA_information and Images")
        raise DataError(f"{root} holds no OmniMedVQA: no .json file in {looked}", hint=hint)
    return files


def write_tiny(root: Path) -> None:
    """Six questions of two open sets and one of a restricted set about four images, with the traps above."""
    keys = ("question_type", "question", "gt_answer", "image_path", "options")
    rows: dict[str, list[tuple[Any, ...]]] = {
        "Open-access/ACRIMA": [
            ("Modality Recognition", "How was it obtained?", "Fundus imaging", "Images/ACRIMA/Im1.png",
             ("PET scan", "CT scan", "Blood test", "Fundus imaging")),
            ("Disease Diagnosis", "Is there  glaucoma?", "no", "Images/ACRIMA/Im1.png", ("Yes", "No")),
            ("Disease Diagnosis", "What is shown?", "glaucoma.", "Images/ACRIMA/Im2.png",
             ("Cataract", "Glaucoma", "Drusen")),
        ],
        "Open-access/Chest CT Scan": [
            ("Anatomy Identification", "Which organ is it?", "Lung", "Images/Chest CT Scan/test/a 1.png",
             ("Liver", "Lung", "Brain", "Knee")),
            ("Lesion Grading", "Which stage is it?", "B", "Images/Chest CT Scan/test/a 1.png", ("I", "II", "III")),
            ("Other Biological Attributes", "Which side?", "Left", "Images/Chest CT Scan/test/b.png",
             ("Left", "Right")),
        ],
        "Restricted-access/AIDA": [
            ("Disease Diagnosis", "What is it?", "Polyp", "Images/AIDA/c.png", ("Polyp", "Ulcer")),
        ],
    }  # fmt: skip
    tiny_images(root, ("Images/ACRIMA/Im1.png", "Images/ACRIMA/Im2.png"))
    tiny_images(root / "Images/Chest CT Scan/test", ("a 1.png", "b.png"))
    for place, questions in rows.items():
        name = place.partition("/")[2]
        records = []
        for number, row in enumerate(questions):
            record = dict(zip(keys, row, strict=True))
            options = dict(zip(_OPTIONS, record.pop("options"), strict=False))
            modality = {"modality" if "stage" in record["question"] else "modality_type": "CT"}
            records.append({"dataset": name, "question_id": f"{name}_{number:04}", **record, **options, **modality})
        atomic_write_text(root / "QA_information" / f"{place}.json", json.dumps(records, indent=1))
