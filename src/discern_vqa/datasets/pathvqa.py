"""PathVQA: 5,004 pathology images from textbooks and a digital library, 32,795 questions made from their captions.

*hub*: the hub's Parquet copy, `data/{train,validation,test}-*.parquet`, with columns image, question, answer. Repeated
rows were dropped there: 19,654 / 6,259 / 6,719 questions about 2,599 / 832 / 858 images.

*owner*: the owners' release. Its question files are Python pickles, which this package never opens. Where you trust
them, save each as JSON once (`qas/train_vqa.pkl` as `qas/train_vqa.json`); then this layout is read:

    images/{train,val,test}/train_0422.jpg
    qas/{train,val,test}_vqa.json
    {"img_id": "train_0422", "question_id": 100422000, "sent": "Where are liver stem cells (oval cells) located?",
     "label": {"in the canals of hering": 1}, "question_type": "where", "answer_type": "other"}

`question_type` is the question's first word ("WHERE"); in the hub's copy it is missing. `answer_type` of the owners is
"yes/no", "number" or "other": the first is closed, the others open, as papers report them. In the hub's copy it is
derived (see `reading.records.derived_answer_type`), and `extra["derived"]` says so.

Published: 19,755 / 6,279 / 6,761.

Traps: questions were generated from captions, so many ask about what no image shows; questions "Is ... ?" are nearly
half of all; some answers are whole phrases of captions; the hub's copy names no image, so equal images are one.

Licence: MIT, as the hub's card states it; the images come from textbooks and the PEIR library. Source: He et al.,
arXiv 2003.10286.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading import hub
from discern_vqa.reading.image_files import Images, tiny_image
from discern_vqa.reading.parquet import shards_in
from discern_vqa.reading.records import Record, collect, json_items, no_record, require_folder, require_split
from discern_vqa.reading.sources import Hub

SUMMARY = "PathVQA: 5,004 pathology images, 32,795 questions made from their captions"
LICENCE = "MIT, as the hub's card states it"
SPLITS = ("train", "validation", "test")
PUBLISHED = {"train": 19755, "validation": 6279, "test": 6761}
SOURCE = "at github.com/UCSD-AI4H/PathVQA (pickles); the hub's copy is flaviagiammarino/path-vqa"
GET = {"hub": (Hub(repository="flaviagiammarino/path-vqa", patterns=[f"data/{split}-*.parquet" for split in SPLITS]),)}

EDITIONS = ("hub", "owner")
_OWNERS = {"train": "train", "validation": "val", "test": "test"}
_TYPES = {"yes/no": "closed", "number": "open", "other": "open"}


def read(root: Path, split: str, *, edition: str | None = None, skipped: list[str] | None = None) -> list[Sample]:
    """The questions of one split, in the order of the files.

    Args:
        root: the folder that holds `data/`, or `images/` and `qas/`.
        edition: "hub" or "owner"; by default the one that is there.

    Raises:
        DataError: a file or an image is missing, or a record breaks the format (all records are checked first).
        ConfigError: there is no such edition, or pyarrow is not installed.
    """
    root = Path(root)
    require_split(split, SPLITS, "pathvqa")
    require_folder(root)
    edition = edition or ("owner" if (root / "qas").is_dir() else "hub")
    if edition not in EDITIONS:
        raise ConfigError(f"pathvqa has no edition {edition!r}", hint=f"there are: {', '.join(EDITIONS)}")
    if edition == "hub":
        return hub.read(root, split, (split, _OWNERS[split]), "pathvqa", skipped)
    file = _owners_file(root, split)
    images = Images(root)

    def samples(record: Record) -> Iterator[Sample]:
        image = f"images/{_OWNERS[split]}/{record.text('img_id', verbatim=True)}.jpg"
        label = record.values.get("label")
        if not isinstance(label, Mapping) or len(label) != 1:
            raise record.unexpected("label", label, "one answer {answer: 1}")
        kind = record.text("answer_type").lower()
        if kind not in _TYPES:
            raise record.unexpected("answer_type", kind, f"one of {', '.join(_TYPES)}")
        yield Sample(
            id=record.text("question_id"),
            split=split,
            image=image,
            path=images.find(image, record.source),
            question=record.text("sent"),
            answer=replace(record, values={"label": next(iter(label))}).text("label"),
            answer_type=_TYPES[kind],
            question_type=(record.text("question_type").upper(),),
            source=record.source,
            extra={"published_answer_type": kind},
        )

    return collect(json_items(file), samples, split, skipped, no_record(file, split))


def present(root: Path) -> tuple[str, ...]:
    """The splits whose files are there. Raises DataError when `root` is no folder."""
    require_folder(root)
    if (root / "qas").is_dir():
        endings = (".json", ".pkl")  # the pickles are refused by name when they are read
        owners = {split: [root / "qas" / f"{name}_vqa{end}" for end in endings] for split, name in _OWNERS.items()}
        return tuple(split for split, files in owners.items() if any(file.is_file() for file in files))
    folder = root / "data" if (root / "data").is_dir() else root
    names = {split: {split, name} for split, name in _OWNERS.items()}
    return tuple(split for split in SPLITS if any(shards_in(folder, name) for name in names[split]))


def _owners_file(root: Path, split: str) -> Path:
    file = root / "qas" / f"{_OWNERS[split]}_vqa.json"
    if not file.exists() and file.with_suffix(".pkl").exists():
        raise DataError(
            f"{file.with_suffix('.pkl')} is a pickle, which can run any program; {file.name} was expected beside it",
            hint="get the hub's Parquet copy (discern data get pathvqa), or save the pickle as JSON where you trust it",
        )
    return file


def write_tiny(root: Path, edition: str = "hub") -> None:
    """Eight questions about five images, two of them asked about in several rows, in the layout of `edition`."""
    rows_by_split = {
        "train": [
            (1, "where are liver stem cells (oval cells) located?", "in the canals of hering", "other"),
            (1, "are liver stem cells present?", "yes", "yes/no"),
            (2, "what does the section show?", "necrosis", "other"),
            (2, "is the  tumour benign or malignant?", "malignant", "other"),
        ],
        "validation": [(3, "how many follicles are there?", "2", "number"), (3, "is it inflamed?", "no", "yes/no")],
        "test": [(4, "what is present?", "endocrine", "other"), (5, "is this kidney?", "no", "yes/no")],
    }
    if edition == "hub":
        hub.write(root, {split: [row[:3] for row in rows] for split, rows in rows_by_split.items()})
        return
    for place, (split, rows) in enumerate(rows_by_split.items(), start=1):
        name, records = _OWNERS[split], []
        for number, (image, question, answer, kind) in enumerate(rows):
            tiny_image(root / "images" / name / f"{name}_{image:04}.jpg", image)
            records.append(
                {"img_id": f"{name}_{image:04}", "question_id": place * 100_000 + number, "sent": question}
                | {"label": {answer: 1}, "question_type": question.split()[0], "answer_type": kind}
            )
        atomic_write_text(root / "qas" / f"{name}_vqa.json", json.dumps(records, indent=1))
