"""VQA-Med 2019 (ImageCLEF), its training part: 3,200 MedPix images, 12,792 questions of four categories.

    train/All_QA_Pairs_train.txt          synpic41148|what kind of image is this?|cta - ct angiography
    train/QAPairsByCategory/C1_Modality_train.txt, C2_Plane_..., C3_Organ_..., C4_Abnormality_...
    train/Train_images/synpic41148.jpg

The category files hold the same lines as the first file and say the category: `question_type` MODALITY, PLANE, ORGAN
or ABN (VQA-RAD's words). ROOT may be the folder above `train/` or the folder with the files itself. `organ` is the
image's answer in C3; `modality` is what its answers and the wording of its questions say ("what is abnormal in the
*ct scan*?").

Splits: "train" are the questions. "pretrain" are the same questions and one caption for each image, put together from
its answers: "ct scan, angiography, axial plane, of the lung, mediastinum, pleura, showing cryptococcal pneumonia in an
immunocompetent host". Questions that are answered yes or no add nothing to a caption but the modality they name.

Left out: images that show the same picture as a VQA-RAD image, so that a result on VQA-RAD stays clean. They are
listed in `overlap_with_vqa_rad.json` in ROOT (43 of the 3,200); `left_out` names them, `exclude` takes another list.

Traps: the set has no answer types: here an answer is closed when it is yes or no, or when the question offers the
choice ("is this a contrast or noncontrast ct?"), and open otherwise; some questions hold tabs; eight images have no
question on abnormality, and 76 name no modality; some "abnormalities" are titles of lectures, as published.

Licence: CC BY 4.0. Source: Ben Abacha et al., CLEF 2019 working notes.
"""

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from discern_vqa.data.sample import Sample
from discern_vqa.datasets._reading import (
    CORRECT_IT,
    Images,
    Problems,
    near_file,
    read_text,
    require_folder,
    require_some,
    require_split,
    shown,
    tiny_picture,
)
from discern_vqa.errors import DataError
from discern_vqa.files import atomic_write_text

SUMMARY = "VQA-Med 2019 train: 3,200 images, 12,792 questions, captions made of them; VQA-RAD's images are left out"
LICENCE = "CC BY 4.0"
SPLITS = ("pretrain", "train")
PUBLISHED = {"train": 12792}

OVERLAP = "overlap_with_vqa_rad.json"
_CATEGORIES = {"C1_Modality": "MODALITY", "C2_Plane": "PLANE", "C3_Organ": "ORGAN", "C4_Abnormality": "ABN"}
_QUESTIONS, _IMAGES = "All_QA_Pairs_train.txt", "Train_images"

_CHOICE = re.compile(r"^(is|was|are|were|does|do|did)\b.*\bor\b")
_PLANES = {"axial", "sagittal", "coronal", "transverse", "longitudinal"}
# What the wording of questions and answers says about the modality, and the word for it; the first that fits.
_MODALITIES = {
    r"ct|cta": "ct",
    r"mri|mr|mra|t1|t2|flair": "mri",
    r"x-ray|xr": "x-ray",
    r"ultrasound": "ultrasound",
    r"mammograph": "mammography",
    r"pet": "pet",
    r"nuclear medicine": "nuclear medicine",
    r"gastrointestinal image|(bas|be|ugi|sbft)(?= - )": "fluoroscopy",
    r"angiogram|venogram": "angiography",
}
_WORDS = [(re.compile(rf"(?<![\w-])({words})(?![\w-])"), name) for words, name in _MODALITIES.items()]
_NAMED = {"ct": "ct scan", "pet": "pet scan"}
_SAY_THEMSELVES = {"ultrasound", "angiography", "mammography", "nuclear medicine"}
_WRITTEN_OUT = {
    r"^noncontrast$": "without contrast",
    r"^(iv|gi|gi and iv)$": r"with \1 contrast",
    r"^gi & iv contrast$": "with gi and iv contrast",
    r"^contrast$": "with contrast",
    r"w/contrast \(iv\)": "with iv contrast",
    r"\bw/ ?": "with ",
    r"t1w - noncontrast": "t1 weighted, without contrast",
    r"\b(t1|pd)w\b": r"\1 weighted",
    r"^(t1|t2)$": r"\1 weighted",
}
_SYSTEMS = {"musculoskeletal", "gastrointestinal", "genitourinary", "vascular and lymphatic"}


def read(root: Path, split: str, *, exclude: str | None = None, skipped: list[str] | None = None) -> list[Sample]:
    """The samples of one split: questions in the file's order, then (for "pretrain") captions.

    Args:
        root: the folder above `train/`, or the folder with the files itself.
        split: "train" or "pretrain".
        exclude: a JSON file of image names to leave out (a list, or an object whose keys are the names); by default
            `overlap_with_vqa_rad.json` in `root` where it is there; "" leaves nothing out.
        skipped: a list to go on at broken lines: they are left out, and what is wrong with each is appended.

    Raises:
        DataError: a file or an image is missing, or a line breaks the format (all lines are checked first).
    """
    root = Path(root)
    require_split(split, SPLITS, "vqa_med_2019")
    folder = _folder(root)
    hidden = left_out(root, exclude)
    categories, images = _category_of_line(folder), Images(root)
    problems, samples = Problems(skipped), []
    file = folder / _QUESTIONS
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        with problems.record():
            sample = _sample(line, file, number, root, images, categories)
            if Path(sample.image).name not in hidden:
                samples.append(sample)
    problems.close()
    samples = _with_image_facts(require_some(samples, file, split))
    return samples if split == "train" else _pretraining(samples)


def left_out(root: Path, exclude: str | None = None) -> frozenset[str]:
    """The image file names that `read` leaves out (see its `exclude`). Raises DataError for a list it cannot read."""
    file = Path(root) / OVERLAP if exclude is None else Path(exclude)
    if exclude == "" or (exclude is None and not file.exists()):
        return frozenset()
    try:
        content = json.loads(read_text(file))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{file}:{error.lineno}: broken JSON at column {error.colno}: {error.msg}", hint="correct the list"
        ) from error
    if isinstance(content, dict) and len(content) == 1 and isinstance(next(iter(content.values())), dict):
        content = next(iter(content.values()))  # {"these -> those": {image: [its likes]}}
    if not isinstance(content, dict | list) or not all(isinstance(name, str) for name in content):
        raise DataError(f"{file} holds no image names; expected a list of them", hint='["synpic1.jpg", ...]')
    return frozenset(content)


def _folder(root: Path) -> Path:
    require_folder(root)
    for folder in (root / "train", root):
        if (folder / _QUESTIONS).exists():
            return folder
    raise DataError(f"{root} holds no VQA-Med 2019: {_QUESTIONS} is not there", hint=near_file(root / _QUESTIONS))


def _category_of_line(folder: Path) -> dict[str, str]:
    categories = {}
    for prefix, kind in _CATEGORIES.items():
        for line in read_text(folder / "QAPairsByCategory" / f"{prefix}_train.txt").splitlines():
            categories[line.strip()] = kind
    return categories


def _sample(line: str, file: Path, number: int, root: Path, images: Images, categories: dict[str, str]) -> Sample:
    source = f"{file.name}:{number}"
    parts = [" ".join(part.split()) for part in line.split("|")]
    if len(parts) != 3 or not all(parts):
        raise DataError(f"{source}: {shown(line)}; expected image|question|answer, none empty", hint=CORRECT_IT)
    name, question, answer = parts
    if line.strip() not in categories:
        raise DataError(f"{source}: {shown(line)} is in no file of QAPairsByCategory", hint=CORRECT_IT)
    image = (file.parent / _IMAGES / f"{name}.jpg").relative_to(root).as_posix()
    closed = answer.lower() in ("yes", "no") or bool(_CHOICE.search(question.lower()))
    return Sample(
        id=str(number),
        split="train",
        image=image,
        path=images.find(image, source),
        question=question,
        answer=answer,
        answer_type="closed" if closed else "open",
        question_type=(categories[line.strip()],),
        source=source,
    )


def _with_image_facts(samples: Sequence[Sample]) -> list[Sample]:
    """Organ and modality belong to the image: each of its samples gets what all of them say."""
    organs = {row.image: row.answer.lower() for row in samples if row.kind == "ORGAN" and not _is_yes_or_no(row)}
    modalities: dict[str, str] = {}
    for row in samples:
        if row.image not in modalities and (found := _modality(row)):
            modalities[row.image] = found
    return [replace(row, organ=organs.get(row.image, ""), modality=modalities.get(row.image, "")) for row in samples]


def _is_yes_or_no(sample: Sample) -> bool:
    return sample.answer.lower() in ("yes", "no")


def _modality(sample: Sample) -> str:
    """What one question with its answer says about the modality; "" for "is this a ct scan?" answered no."""
    question, answer = sample.question.lower(), sample.answer.lower()
    if sample.kind == "MODALITY" and answer == "no" and re.match(r"is this an? (ct scan|mri image)", question):
        return ""
    texts = [question] if _is_yes_or_no(sample) or sample.kind != "MODALITY" else [answer, question]
    return next((name for text in texts for pattern, name in _WORDS if pattern.search(text)), "")


def _pretraining(samples: Sequence[Sample]) -> list[Sample]:
    by_image: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_image[sample.image].append(sample)
    captions = [
        replace(
            rows[0],
            id=f"caption-{Path(image).stem}",
            split="pretrain",
            question="",
            answer="",
            answer_type="",
            question_type=(),
            caption=caption_of(rows),
        )
        for image, rows in by_image.items()
    ]
    return [replace(sample, id=f"pretrain-{sample.id}", split="pretrain") for sample in samples] + captions


def caption_of(rows: Sequence[Sample]) -> str:
    """A caption from what the questions of one image say: modality, plane, organ, abnormality; "image" for nothing."""
    said = {row.kind: row.answer.lower() for row in rows if not _is_yes_or_no(row)}
    parts = [_modality_words(said.get("MODALITY", ""), rows[0].modality)]
    if plane := said.get("PLANE", "").removeprefix("mammo - "):
        parts.append(plane if plane.startswith("3d") else f"{plane} {'plane' if plane in _PLANES else 'view'}")
    if organ := said.get("ORGAN"):
        parts.append(f"of the {organ} system" if organ in _SYSTEMS else f"of the {organ}")
    if abnormality := said.get("ABN"):
        parts.append(f"showing {abnormality}")
    return ", ".join(parts)


def _modality_words(answer: str, modality: str) -> str:
    """The short answers written out: "mr - flair" -> "mri, flair"; "iv" about a CT -> "ct scan, with iv contrast"."""
    name = _NAMED.get(modality, modality) or "image"
    detail = re.sub(r"^(\S+ - )?((ct|mr) )?", "", answer)
    for short, words in _WRITTEN_OUT.items():
        detail = re.sub(short, words, detail)
    if not detail:
        return name
    return detail if modality in _SAY_THEMSELVES else f"{name}, {detail}"


def write_tiny(root: Path) -> None:
    """Three images with eleven questions of all categories, and a list that leaves a fourth image out."""
    root = Path(root)
    said = {
        "C1_Modality": [
            ("synpic1", "what kind of image is this?", "cta - ct angiography"),
            ("synpic2", "is this a contrast or noncontrast ct?", "noncontrast"),
            ("synpic3", "is \tthis a t1 weighted image?", "no"),
        ],
        "C2_Plane": [
            ("synpic1", "which plane is this image taken?", "axial"),
            ("synpic2", "what plane is this?", "coronal"),
            ("synpic3", "in what plane is this mri?", "sagittal"),
            ("synpic4", "in what plane is this x-ray?", "pa"),
        ],
        "C3_Organ": [
            ("synpic1", "which organ is captured by this ct scan?", "lung, mediastinum, pleura"),
            ("synpic2", "what organ system is imaged?", "gastrointestinal"),
            ("synpic3", "what organ system is imaged?", "skull and contents"),
        ],
        "C4_Abnormality": [
            ("synpic1", "what is abnormal in the ct scan?", "pulmonary embolism"),
            ("synpic3", "does this image look normal?", "no"),
        ],
    }
    for number in (1, 2, 3, 4):
        tiny_picture(root / "train" / _IMAGES / f"synpic{number}.jpg", number)
    lines = {name: ["|".join(row) for row in rows] for name, rows in said.items()}
    for name, part in lines.items():
        atomic_write_text(root / "train" / "QAPairsByCategory" / f"{name}_train.txt", "\n".join(part) + "\n")
    every = [line for part in lines.values() for line in part]
    atomic_write_text(root / "train" / _QUESTIONS, "\n".join(every))
    atomic_write_text(root / OVERLAP, json.dumps({"these -> vqa_rad": {"synpic4.jpg": ["synpic4.jpg"]}}))
