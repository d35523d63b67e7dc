"""VQA-Med 2019 (ImageCLEF): 4,200 MedPix images, 15,292 questions of four categories.

    train/ or ImageClef-2019-VQA-Med-Training/     val/ or ImageClef-2019-VQA-Med-Validation/
        All_QA_Pairs_train.txt, ..._val.txt        synpic41148|what kind of image is this?|cta - ct angiography
        QAPairsByCategory/C1_Modality_train.txt, C2_Plane_..., C3_Organ_..., C4_Abnormality_...
        Train_images/synpic41148.jpg, Val_images/...
    test/ or VQAMed2019Test/
        VQAMed2019_Test_Questions_w_Ref_Answers.txt
                                                   synpic54082|modality|what modality is shown?|cta - ct angiography
        VQAMed2019_Test_Images/synpic54082.jpg

The category files hold the same lines as the first file and say the category: `question_type` MODALITY, PLANE, ORGAN
or ABN (VQA-RAD's words). ROOT may be the folder above these, or the folder with the files itself. `organ` is the
image's answer in C3; `modality` is what its answers and the wording of its questions say ("what is abnormal in the
*ct scan*?").

Splits: "train" (12,792 questions), "validation" (2,000) and "test" (500 questions about 500 images). "pretrain" are the
questions of train again and one caption for each of its images, put together from its answers: "ct scan, angiography,
axial plane, of the lung, mediastinum, pleura, showing cryptococcal pneumonia in an immunocompetent host". Questions
that are answered yes or no add nothing to a caption but the modality they name.

Left out: images that VQA-RAD has too, so that a result on VQA-RAD stays clean. They are
listed in `overlap_with_vqa_rad.json` in ROOT (43 of the 3,200); `left_out` names them, `exclude` takes another list.

Traps:
- the set has no answer types: here an answer is closed when it is yes or no, or when the question offers the choice
  ("is this a contrast or noncontrast ct?"), and open otherwise; `extra["derived"]` names what is not the set's own;
- a test answer may be several ("anaplastic oligodendroglioma#multi-cystic complex mass") and have optional parts in
  brackets ("(angioinvasive aspergillosis with) septic cerebral emboli"): `answer` is the first, and where there is
  more than one way to be right `extra["accepted"]` lists them all; only abnormalities have optional parts, for
  "ct w/contrast (iv)" has brackets of another kind;
- some questions hold tabs; eight training images have no question on abnormality, and 76 name no modality; some
  "abnormalities" are titles of lectures, as published;
- the archive of the test set holds the archive of its images: unpack both.

Licence: CC BY 4.0. Source: Ben Abacha et al., CLEF 2019 working notes; zenodo.org/records/10499039.
"""

import json
import re
from pathlib import Path

from discern_vqa.data.sample import Sample
from discern_vqa.datasets.vqa_med_2019.captions import caption_of as caption_of
from discern_vqa.datasets.vqa_med_2019.captions import pretraining, with_image_facts
from discern_vqa.errors import DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading.image_files import Images, tiny_image
from discern_vqa.reading.records import (
    Record,
    collect,
    derived_answer_type,
    first_present,
    near_file,
    no_record,
    numbered_lines,
    parse_json,
    read_text,
    require_folder,
    require_split,
    shown,
)
from discern_vqa.reading.sources import Zenodo

SUMMARY = "VQA-Med 2019: 4,200 images, 15,292 questions, captions made of them; VQA-RAD's images are left out"
LICENCE = "CC BY 4.0"
SPLITS = ("pretrain", "train", "validation", "test")
PUBLISHED = {"train": 12792, "validation": 2000, "test": 500}
WHOLE = {"exclude": ""}  # an audit looks at the images that are left out, too
SOURCE = "at zenodo.org/records/10499039, or github.com/abachaa/VQA-Med-2019"
_ARCHIVES = {
    "ImageClef-2019-VQA-Med-Training.zip": "train",
    "ImageClef-2019-VQA-Med-Validation.zip": "val",
    "VQAMed2019Test.zip": "test",
}
_MIRROR = "https://github.com/abachaa/VQA-Med-2019/raw/master"
GET = {
    "all": (
        Zenodo(
            record=10499039,
            names=tuple(_ARCHIVES),
            inner=("VQAMed2019_Test_Images.zip",),
            mirrors={name: f"{_MIRROR}/{name}" for name in _ARCHIVES if "ImageClef" in name},
        ),
    )
}

_PART = {"pretrain": "train"}
OVERLAP = "overlap_with_vqa_rad.json"
_CATEGORIES = {"C1_Modality": "MODALITY", "C2_Plane": "PLANE", "C3_Organ": "ORGAN", "C4_Abnormality": "ABN"}
_TEST_CATEGORIES = {"modality": "MODALITY", "plane": "PLANE", "organ": "ORGAN", "abnormality": "ABN"}
_QUESTIONS = {
    "train": "All_QA_Pairs_train.txt",
    "validation": "All_QA_Pairs_val.txt",
    "test": "VQAMed2019_Test_Questions_w_Ref_Answers.txt",
}
_FOLDERS = {
    "train": ("train", "ImageClef-2019-VQA-Med-Training", ""),
    "validation": ("val", "validation", "ImageClef-2019-VQA-Med-Validation", ""),
    "test": ("test", "VQAMed2019Test", "test/VQAMed2019Test", ""),
}
_IMAGES = {
    "train": ("Train_images",),
    "validation": ("Val_images",),
    "test": ("VQAMed2019_Test_Images", "VQAMed2019_Test_Images/VQAMed2019_Test_Images"),
}


def read(root: Path, split: str, *, exclude: str | None = None, skipped: list[str] | None = None) -> list[Sample]:
    """The samples of one split: questions in the file's order, then (for "pretrain") captions.

    Args:
        root: the folder above `train/`, or the folder with the files itself.
        exclude: a JSON file of image names to leave out (a list, or an object whose keys are the names); by default
            `overlap_with_vqa_rad.json` in `root` where it is there; "" leaves nothing out.

    Raises DataError: a file or an image is missing, or a line breaks the format (all lines are checked first).
    """
    root = Path(root)
    require_split(split, SPLITS, "vqa_med_2019")
    part = _PART.get(split, split)
    require_folder(root)
    file = _questions(root, part)
    if not file.exists():
        raise _nothing(root, part)
    hidden, images, inside = left_out(root, exclude), Images(root), _image_folder(root, file, part)
    categories = {} if part == "test" else _category_of_line(file)

    def samples(row: Record) -> list[Sample]:
        sample = _sample(row, part, inside, images, categories)
        return [] if Path(sample.image).name in hidden else [sample]

    rows = (Record({"line": line}, f"{file.name}:{number}", number) for number, line in numbered_lines(file))
    questions = with_image_facts(collect(rows, samples, part, skipped, no_record(file, split)))
    return pretraining(questions) if split == "pretrain" else questions


def present(root: Path) -> tuple[str, ...]:
    """The splits whose files are there. Raises DataError when `root` holds no VQA-Med 2019."""
    require_folder(root)
    there = {part for part in _QUESTIONS if _questions(root, part).exists()}
    if not there:
        raise _nothing(root, "train")
    return tuple(split for split in SPLITS if _PART.get(split, split) in there)


def _questions(root: Path, part: str) -> Path:
    """The file of the questions in the first of its possible folders that holds it; where none does, in the first."""
    return first_present([root / folder / _QUESTIONS[part] for folder in _FOLDERS[part]])


def _nothing(root: Path, part: str) -> DataError:
    name = _QUESTIONS[part]
    return DataError(
        f"{root} holds no VQA-Med 2019 ({part}): {name} is not there, nor in {_FOLDERS[part][0]}/",
        hint=near_file(root / name),
    )


def _image_folder(root: Path, file: Path, part: str) -> str:
    """The folder of the images, relative to the root: the innermost of its possible places that is there."""
    there = [name for name in _IMAGES[part] if (file.parent / name).is_dir()]
    return (file.parent / (there[-1] if there else _IMAGES[part][0])).relative_to(root).as_posix()


def left_out(root: Path, exclude: str | None = None) -> frozenset[str]:
    """The image file names that `read` leaves out (see its `exclude`). Raises DataError for a list it cannot read."""
    file = Path(root) / OVERLAP if exclude is None else Path(exclude)
    if exclude == "" or (exclude is None and not file.exists()):
        return frozenset()
    content = parse_json(read_text(file), str(file), hint="correct the list")
    if isinstance(content, dict) and len(content) == 1 and isinstance(next(iter(content.values())), dict):
        content = next(iter(content.values()))  # {"these -> those": {image: [its likes]}}
    if not isinstance(content, dict | list) or not all(isinstance(name, str) for name in content):
        raise DataError(f"{file} holds no image names; expected a list of them", hint='["synpic1.jpg", ...]')
    return frozenset(content)


def _category_of_line(file: Path) -> dict[str, str]:
    suffix = file.stem.rsplit("_", 1)[-1]
    categories = {}
    for prefix, kind in _CATEGORIES.items():
        for _, line in numbered_lines(file.parent / "QAPairsByCategory" / f"{prefix}_{suffix}.txt"):
            categories[line.strip()] = kind
    return categories


def _sample(row: Record, split: str, folder: str, images: Images, categories: dict[str, str]) -> Sample:
    line = row.values["line"]
    parts = [" ".join(part.split()) for part in line.split("|")]
    expected = "image|category|question|answer" if split == "test" else "image|question|answer"
    if len(parts) != expected.count("|") + 1 or not all(parts):
        raise row.broken(f"{shown(line)}; expected {expected}, none empty")
    name, question, answer = parts[0], parts[-2], parts[-1]
    kind = _TEST_CATEGORIES.get(parts[1], "") if split == "test" else categories.get(line.strip(), "")
    if not kind:
        wanted = f"has none of the categories {', '.join(_TEST_CATEGORIES)}"
        raise row.broken(f"{shown(line)} {wanted if split == 'test' else 'is in no file of QAPairsByCategory'}")
    extra: dict[str, object] = {"derived": ["answer_type", "organ", "modality"]}
    if split == "test":
        answers = _accepted(answer, kind)
        answer = answers[0]
        if len(answers) > 1:
            extra["accepted"] = answers
    return Sample(
        id=str(row.number) if split == "train" else f"{split}-{row.number}",
        split=split,
        image=f"{folder}/{name}.jpg",
        path=images.find(f"{folder}/{name}.jpg", row.source),
        question=question,
        answer=answer,
        answer_type=derived_answer_type(question, answer),
        question_type=(kind,),
        source=row.source,
        extra=extra,
    )


def _accepted(answer: str, kind: str) -> list[str]:
    """Every way in which a test answer may be given, the first as published; never empty."""
    found = [part for part in (" ".join(part.split()) for part in answer.split("#")) if part]
    if kind == "ABN":
        found += [" ".join(re.sub(r"\([^()]*\)", " ", part).split()) for part in found]
    return list(dict.fromkeys(part for part in found if part)) or [answer]


def write_tiny(root: Path) -> None:
    """Twelve questions about four training images, a list that leaves one of them out, and small other splits."""
    training = [
        ("C1_Modality", "synpic1|what kind of image is this?|cta - ct angiography"),
        ("C1_Modality", "synpic2|is this a contrast or noncontrast ct?|noncontrast"),
        ("C1_Modality", "synpic3|is \tthis a t1 weighted image?|no"),
        ("C2_Plane", "synpic1|which plane is this image taken?|axial"),
        ("C2_Plane", "synpic2|what plane is this?|coronal"),
        ("C2_Plane", "synpic3|in what plane is this mri?|sagittal"),
        ("C2_Plane", "synpic4|in what plane is this x-ray?|pa"),
        ("C3_Organ", "synpic1|which organ is captured by this ct scan?|lung, mediastinum, pleura"),
        ("C3_Organ", "synpic2|what organ system is imaged?|gastrointestinal"),
        ("C3_Organ", "synpic3|what organ system is imaged?|skull and contents"),
        ("C4_Abnormality", "synpic1|what is abnormal in the ct scan?|pulmonary embolism"),
        ("C4_Abnormality", "synpic3|does this image look normal?|no"),
    ]
    validation = [
        ("C1_Modality", "synpic5|what modality is shown?|us - ultrasound"),
        ("C2_Plane", "synpic5|what plane is seen?|transverse"),
        ("C3_Organ", "synpic5|what organ is this image of?|genitourinary"),
        ("C4_Abnormality", "synpic5|is there an abnormality in the ultrasound?|yes"),
    ]
    for folder, numbers, rows in (("train", (1, 2, 3, 4), training), ("val", (5,), validation)):
        for number in numbers:
            tiny_image(root / folder / f"{folder.capitalize()}_images" / f"synpic{number}.jpg", number)
        for category in _CATEGORIES:
            lines = [line for name, line in rows if name == category]
            file = root / folder / "QAPairsByCategory" / f"{category}_{folder}.txt"
            atomic_write_text(file, "\n".join(lines) + "\n")
        atomic_write_text(root / folder / f"All_QA_Pairs_{folder}.txt", "\n".join(line for _, line in rows))
    tests = [
        "synpic6|modality|was the ct scan taken with contrast?|yes",
        "synpic7|modality|what type of imaging modality is shown?|ct w/contrast (iv)",
        "synpic8|abnormality|what is the primary abnormality in this image?|glioma#multi-cystic complex mass",
        "synpic9|abnormality|what is abnormal in the ct scan?|(angioinvasive aspergillosis with) septic emboli",
    ]
    for number in (6, 7, 8, 9):
        tiny_image(root / "test" / _IMAGES["test"][0] / f"synpic{number}.jpg", number)
    atomic_write_text(root / "test" / _QUESTIONS["test"], "\n".join(tests) + "\n")
    atomic_write_text(root / OVERLAP, json.dumps({"these -> vqa_rad": {"synpic4.jpg": ["synpic4.jpg"]}}))
