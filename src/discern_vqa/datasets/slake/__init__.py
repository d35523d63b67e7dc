"""SLAKE 1.0: 642 CT, MR and X-ray images, 14,028 questions in English and Chinese, with organs and lesions marked.

    train.json, validate.json, test.json     one list of records each ("validation.json" in copies on the hub)
    imgs/xmlab1/source.jpg                   the image
    imgs/xmlab1/detection.json               [{"Liver": [54.0, 106.0, 30.0, 31.0]}, ...]: x, y, width, height
    imgs/xmlab1/mask.png                     a grey value for each organ or lesion; mask.txt has "70:Liver"
    KG/en_organ.csv, en_disease.csv, ...     knowledge, "Liver#function#detoxification" (see `knowledge`)

    {"img_id": 1, "img_name": "xmlab1/source.jpg", "question": "Where is the liver?", "answer": "Right",
     "q_lang": "en", "location": "Abdomen", "modality": "MRI", "answer_type": "OPEN", "base_type": "vqa",
     "content_type": "Position", "triple": ["vhead", "_", "_"], "qid": 6}

`question_type` is the content type (ORGAN, POSITION, ABNORMALITY, KG, MODALITY, SIZE, PLANE, QUANTITY, COLOR, SHAPE),
`organ` the location. `extra` holds `base_type`; of a question that needs knowledge ("kvqa") its `triple`; the image's
`boxes`; and `label_map`, its mask, named like `image`. `regions` gives boxes and masks as `imaging.regions.Region`.

Published, English: 4,919 / 1,053 / 1,061 questions about 450 / 96 / 96 images. Both languages: 9,835 / 2,099 / 2,094.

Traps, all met in the published files:
- the Chinese questions divide the images in another way than the English ones: with `language="both"` 130 images are
  in train and in validation, 142 in train and in test;
- no image of the English parts is shared, yet 23 of 96 test images have a neighbouring slice in train or validation;
- every English test question is asked in train in the same words, so that questions alone are worth 53.6 %;
- 61 of 416 closed test answers are neither yes nor no ("Which is bigger in this image, lung or heart?");
- training question 1622 ("Does the picture contain liver?" about xmlab281) is published without an answer; it is
  left out, so that 4,918 of the 4,919 are read;
- 68 training answers have double spaces; seven English questions of xmlab19 stand in train twice;
- one label may have several boxes (the parts of a lesion), not every part has one, and findings of chest radiographs
  (cardiomegaly, effusion, ...) have a box and no mask: copies without large masks show organs by boxes alone;
- left and right are the patient's.

Licence: CC BY 4.0, as third-party cards state it. Source: Liu et al., ISBI 2021 (arXiv 2102.09542); med-vqa.com/slake.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from discern_vqa.data.sample import Sample
from discern_vqa.datasets.slake.marks import FILES, boxes_of, folder_of
from discern_vqa.datasets.slake.marks import knowledge as knowledge
from discern_vqa.datasets.slake.marks import regions as regions
from discern_vqa.errors import ConfigError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading.image_files import Images, tiny_image
from discern_vqa.reading.records import (
    Record,
    collect,
    first_present,
    json_items,
    no_record,
    present_files,
    require_split,
)
from discern_vqa.reading.sources import Hub

SUMMARY = "SLAKE: 642 CT, MR and X-ray images, 14,028 questions in English and Chinese, organs and lesions marked"
LICENCE = "CC BY 4.0"
SPLITS = ("train", "validation", "test")
PUBLISHED = {"train": 4919, "validation": 1053, "test": 1061}
LEFT_OUT = {"train": "question 1622, about xmlab281, is published without an answer"}
SOURCE = "at med-vqa.com/slake; the authors' copy on the hub is BoKelvin/SLAKE"
GET = {
    "all": (
        Hub(
            repository="BoKelvin/SLAKE",
            patterns=("train.json", "validation.json", "test.json", "mask.txt", "imgs.zip", "KG.zip"),
        ),
    )
}

LANGUAGES = ("en", "zh", "both")
_NO_TRIPLE = ["vhead", "_", "_"]
_UNANSWERED = {"qid": 1622, "img_id": 281, "answer": ""}  # the record of LEFT_OUT: any other empty answer is an error


def read(root: Path, split: str, *, language: str = "en", skipped: list[str] | None = None) -> list[Sample]:
    """The questions of one split, in the file's order.

    Args:
        root: the folder that holds the JSON files and `imgs/`, or the folder above it.
        language: "en", "zh" or "both"; of both, the splits share images.

    Raises:
        DataError: a file or an image is missing, or a record breaks the format (all records are checked first).
        ConfigError: there is no such language.
    """
    root = Path(root)
    require_split(split, SPLITS, "slake")
    if language not in LANGUAGES:
        raise ConfigError(f"slake has no language {language!r}", hint=f"there are: {', '.join(LANGUAGES)}")
    folder = folder_of(root)
    file = first_present([folder / name for name in FILES[split]])
    images = Images(root)
    base = (folder / "imgs").relative_to(root).as_posix()
    boxes: dict[str, list[dict[str, Any]]] = {}

    def samples(record: Record) -> Iterator[Sample]:
        spoken = record.text("q_lang")
        if spoken not in LANGUAGES[:2]:
            raise record.unexpected("q_lang", spoken, "en or zh")
        if language not in (spoken, "both") or _UNANSWERED.items() <= record.values.items():
            return
        image = f"{base}/{record.text('img_name', verbatim=True)}"
        path = images.find(image, record.source)
        if image not in boxes:
            boxes[image] = [{"label": label, "box": list(box)} for label, box in boxes_of(path.parent)]
        triple = record.values.get("triple", _NO_TRIPLE)
        if not isinstance(triple, list) or len(triple) != 3 or not all(isinstance(part, str) for part in triple):
            raise record.unexpected("triple", triple, "three texts")
        mask = path.parent / "mask.png"
        extra = {
            "base_type": record.text("base_type"),
            "triple": triple if triple != _NO_TRIPLE else [],
            "boxes": boxes[image],
            "label_map": mask.relative_to(root).as_posix() if mask.is_file() else "",
        }
        yield Sample(
            id=record.text("qid"),
            split=split,
            image=image,
            path=path,
            question=record.text("question"),
            answer=record.text("answer"),
            answer_type=record.answer_type(),
            question_type=(record.text("content_type").upper(),),
            organ=record.text("location").lower(),
            modality=record.text("modality").lower(),
            language=spoken,
            source=record.source,
            extra={key: value for key, value in extra.items() if value},
        )

    return collect(json_items(file), samples, split, skipped, no_record(file, split))


def present(root: Path) -> tuple[str, ...]:
    """The splits whose files are there. Raises DataError when `root` holds no SLAKE."""
    return present_files(folder_of(root), FILES)


def write_tiny(root: Path) -> None:
    """Ten records about five images in both languages, with boxes, a mask, knowledge, and the traps above."""
    about = {
        1: {"location": "Abdomen", "modality": "MRI"},
        2: {"location": "Lung", "modality": "X-Ray"},
        3: {"location": "Abdomen", "modality": "CT"},
        4: {"location": "Brain_Tissue", "modality": "MRI"},
    }
    boxes: dict[int, list[dict[str, list[float]]]] = {
        1: [{"Liver": [4.0, 6.0, 20.0, 12.0]}, {"Liver Cancer": [6.0, 8.0, 4.0, 4.0]}],
        2: [{"Left Lung": [26.0, 5.0, 18.0, 30.0]}, {"Mass": [30.0, 9.0, 5.0, 6.0]}, {"Mass": [31.0, 20.0, 4.0, 4.0]}],
        3: [],
        4: [{"Brain Edema": [10.0, 10.0, 9.0, 8.0]}],
    }
    for number in about:
        folder = root / "imgs" / f"xmlab{number}"
        tiny_image(folder / "source.jpg", number)
        atomic_write_text(folder / "detection.json", json.dumps(boxes[number]))
    atomic_write_text(root / "mask.txt", "70:Liver\n175:Liver Cancer\n95:Brain Edema\n")
    # The liver of xmlab1 with a lesion in it, as published: grey values in a colour image.
    mask = np.zeros((40, 48, 3), dtype=np.uint8)
    mask[6:18, 4:24] = 70
    mask[8:12, 6:10] = 175
    Image.fromarray(mask).save(root / "imgs" / "xmlab1" / "mask.png")
    rows_by_split = {
        "train": [
            (1, "en", "Where is the liver?", "Right", "OPEN", "Position"),
            (1, "zh", "肝脏在哪个位置?", "右侧", "OPEN", "Position"),
            (1, "en", "What diseases are included in the picture?", "Liver  Cancer", "OPEN", "Abnormality"),
            (2, "en", "Is the lung healthy?", "No", "CLOSED", "Abnormality"),
            (2, "en", "Which is bigger in this image, lung or heart?", "Lung", "CLOSED", "Size"),
            (2, "en", "What is the effect of the main organ in this picture?", "Breathe", "OPEN", "KG"),
        ],
        "validate": [
            (3, "en", "Which plane is this?", "Transverse Plane", "OPEN", "Plane"),
            (1, "zh", "图片中包含肝脏吗?", "包含", "CLOSED", "Organ"),
        ],
        "test": [
            (4, "en", "Does the picture contain edema?", "Yes", "CLOSED", "Abnormality"),
            (4, "en", "What modality is used to take this image?", "MRI", "OPEN", "Modality"),
        ],
    }
    number = 0
    for name, rows in rows_by_split.items():
        records = []
        for image, language, question, answer, answer_type, content in rows:
            knows = content == "KG"
            records.append(
                {"img_id": image, "img_name": f"xmlab{image}/source.jpg", "question": question, "answer": answer}
                | {"q_lang": language, **about[image], "answer_type": answer_type}
                | {"base_type": "kvqa" if knows else "vqa", "content_type": content}
                | {"triple": ["vhead", "effect", "ktail"] if knows else _NO_TRIPLE, "qid": number}
            )
            number += 1
        atomic_write_text(root / f"{name}.json", json.dumps(records, ensure_ascii=False, indent=1))
    knowledge = {
        "en_organ": "organ#attribute#value\nLiver#function#detoxification\n",
        "en_organ_rel": "organ#attribute#value\nLiver#belong to#Digestive System\n",
        "en_disease": "disease#attribute#value\nBrain Edema#location#Brain\n",
        "organ": "entity,property,value\n肝脏,功能,解毒\n",
        "organ_rel": "entity,property,value\n肝脏,属于,消化系统\n",
        "disease": 'disease,relation,object\n脑水肿,描述,"一种, 罕见"\n',
    }
    for name, text in knowledge.items():
        atomic_write_text(root / "KG" / f"{name}.csv", text)
