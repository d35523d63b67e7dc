"""Conversations about images as LLaVA trains on them, and as many medical sets are passed on (LLaVA-Med, PubMedVision).

    train.json: one list of records; train.jsonl: one record a line
    {"id": "7", "image": "synpic1.jpg", "conversations": [
        {"from": "human", "value": "<image>\\nIs there a mass?"}, {"from": "gpt", "value": "Yes."},
        {"from": "human", "value": "Where?"}, {"from": "gpt", "value": "In the left lobe."}]}

Each question with its answer is a sample, "7-1" and "7-2" (or "7", where there is one question). Later questions may
refer to earlier ones; `extra["turn"]` counts from 1. With `use="captions"` the answer to the first question is a
caption (the alignment sets ask no more than "describe the image"). `answer_type` is taken where the record has it
("OPEN", "CLOSED"); `domain` of LLaVA-Med ({"ct_scan": true, ...}) gives `modality`; other keys go to `extra`.

Ids need not be unique in this format: a repeated one gets the record's number behind it ("7@31"), and where each split
has a file of its own, the split's name before it ("train-7").

ROOT is the file, or a folder with train.json, val.json (validation, dev) and test.json (or .jsonl). A single file
is the split that `use_as` says, or that each record's key "split" says. `images` is the folder of the images,
relative to the file's.

Repaired on the way: "<image>" and white space around it are taken out; turns from "user" and "assistant" are read
too; LLaVA-Med's misspelt key "conversatons" as well.

Traps: a record without an image is text alone and is left out only when `text_only="leave_out"`; several images in one
record are refused; an answer is a whole sentence, for which exact match is no fair measure.

Licence: that of the data (LLaVA-Med: CC BY-NC 4.0, research only).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import SPLITS as ALL_SPLITS
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading.columns import SPLITS_AS_WRITTEN
from discern_vqa.reading.image_files import Images, tiny_images
from discern_vqa.reading.neutral import KNOWN, split_of
from discern_vqa.reading.records import (
    Record,
    collect,
    first_present,
    json_items,
    json_lines,
    near_file,
    present_files,
    require_folder,
    require_record,
    require_split,
    shown,
)

SUMMARY = "LLaVA-style conversations (JSON or JSONL): each question with its answer, or captions"
LICENCE = "that of the data (LLaVA-Med: CC BY-NC 4.0)"
SPLITS = ALL_SPLITS
PUBLISHED: dict[str, int] = {}

USES, _TEXT_ONLY = ("questions", "captions"), ("stop", "leave_out")
_OTHER_NAMES = {"pretrain": ("alignment",), "validation": ("val", "dev")}
_FILES = {
    split: [name + ending for name in (split, *_OTHER_NAMES.get(split, ())) for ending in (".json", ".jsonl")]
    for split in SPLITS
}
_ASKS, _ANSWERS = ("human", "user"), ("gpt", "assistant")
_DOMAINS = {"ct_scan": "ct", "mri": "mri", "chest_xray": "x-ray", "histology": "histology", "gross": "gross pathology"}
_TAKEN = {"id", "image", "conversations", "conversatons", "answer_type", "domain", "split"}


def read(
    root: Path,
    split: str,
    *,
    images: str = "",
    use: str = "questions",
    use_as: str = "train",
    text_only: str = "stop",
    skipped: list[str] | None = None,
) -> list[Sample]:
    """The samples of one split, in the file's order; none when all records belong to other splits.

    Args:
        root: the file, or the folder of the files.
        images: the folder of the images, relative to the file's folder.
        use: "questions" or "captions".
        use_as: the split of a single file, where its records say none.
        text_only: "stop" at a record without an image, or "leave_out".

    Raises:
        DataError: a file or an image is missing, or a record breaks the format (all records are checked first).
        ConfigError: an option is none of those above.
    """
    root = Path(root)
    require_split(split, SPLITS, "llava")
    for name, value, known in (("use", use, USES), ("use_as", use_as, SPLITS), ("text_only", text_only, _TEXT_ONLY)):
        if value not in known:
            raise ConfigError(f"{name} is {value!r}", hint=f"it is one of: {', '.join(known)}")
    file = root if _is_file(root) else _file(root, split)
    default = use_as if _is_file(root) else split
    image_files = Images(file.parent)
    ids: set[str] = set()

    def samples(record: Record) -> Iterator[Sample]:
        if not record.values.get("image") and text_only == "leave_out":
            return
        stated = str(record.values.get("split") or default).lower()
        belongs = split_of(replace(record, values={"split": SPLITS_AS_WRITTEN.get(stated, stated)}))
        for sample in _samples(record, split, image_files, images.strip("/"), use) if belongs == split else ():
            name = sample.id if _is_file(root) else f"{split}-{sample.id}"
            name = name if name not in ids else f"{name}@{record.number}"
            ids.add(name)
            yield replace(sample, id=name)

    return collect(json_items(file) if file.suffix == ".json" else json_lines(file), samples, split, skipped)


def present(root: Path) -> tuple[str, ...]:
    """The splits that have a file of their own; all four for a single file. Raises DataError when there is none."""
    if _is_file(root):
        return SPLITS
    require_folder(root)
    return present_files(root, _FILES) or SPLITS


def _is_file(root: Path) -> bool:
    return root.suffix in (".json", ".jsonl")


def _file(root: Path, split: str) -> Path:
    require_folder(root)
    file = first_present([root / name for name in _FILES[split]])
    if not file.exists():
        raise DataError(f"{root} has no file {file.name}", hint=near_file(file))
    return file


def _samples(record: Record, split: str, images: Images, folder: str, use: str) -> list[Sample]:
    name = record.text("image", verbatim=True).replace("\\", "/")
    image = f"{folder}/{name}" if folder else name
    path = images.find(image, record.source)
    number = record.text("id") if "id" in record.values else str(record.number)
    turns = _turns(record)
    modality = _modality(record.values.get("domain"))
    common: dict[str, Any] = {"split": split, "image": image, "path": path, "modality": modality}
    common["source"] = record.source
    rest = {key: value for key, value in record.values.items() if key not in _TAKEN and value not in ("", None)}
    rest = {f"published_{key}" if key in KNOWN else key: value for key, value in rest.items()}
    if use == "captions":
        return [Sample(id=f"caption-{number}", caption=turns[0][1], extra=rest, **common)]
    kind = record.answer_type() if record.values.get("answer_type") else ""
    return [
        Sample(
            id=number if len(turns) == 1 else f"{number}-{turn}",
            question=question,
            answer=answer,
            answer_type=kind if turn == 1 else "",
            extra=rest if len(turns) == 1 else {**rest, "turn": turn},
            **common,
        )
        for turn, (question, answer) in enumerate(turns, start=1)
    ]


def _turns(record: Record) -> list[tuple[str, str]]:
    """(question, answer) of each turn. Raises DataError when they do not take turns, or there is none."""
    texts: list[str] = []
    entries = record.values.get("conversations", record.values.get("conversatons"))
    if not isinstance(entries, list) or not entries or len(entries) % 2:
        raise record.unexpected("conversations", entries, "questions and answers in turn")
    for place, entry in enumerate(entries):
        turn = require_record(entry, f"{record.source}, turn {place + 1}")
        speaker = str(turn.values.get("from", turn.values.get("role")))
        speakers = _ANSWERS if place % 2 else _ASKS
        if speaker not in speakers:
            raise turn.broken(f"from {shown(speaker)}; expected {speakers[0]}")
        key = "value" if "value" in turn.values else "content"
        if isinstance(text := turn.values.get(key), str):
            turn = replace(turn, values={key: text.replace("<image>", " ")})
        texts.append(turn.text(key))
    return list(zip(texts[::2], texts[1::2], strict=True))


def _modality(domain: object) -> str:
    named = domain if isinstance(domain, Mapping) else {}
    return next((modality for key, modality in _DOMAINS.items() if named.get(key) is True), "")


def write_tiny(root: Path) -> None:
    """Three splits: several turns, a misspelt key, another spelling of the speakers, a domain, JSON Lines."""
    tiny_images(root / "images", ("a.jpg", "b.jpg", "c.jpg", "d.jpg"))

    def turns(*texts: str, asks: str = "human", answers: str = "gpt") -> list[dict[str, str]]:
        return [{"from": answers if place % 2 else asks, "value": text} for place, text in enumerate(texts)]

    domain = {"chest_xray": False, "mri": False, "ct_scan": True, "histology": False, "gross": False}
    train: list[dict[str, Any]] = [
        {"id": "r1", "image": "images/a.jpg", "domain": domain, "pmid": "123"}
        | {"conversations": turns("<image>\nWhat is shown?", "A mass.", "Where is it?", "In the  left lobe.")},
        {
            "id": "r2",
            "image": "images\\b.jpg",
            "conversatons": turns("Describe it.\n<image>", "An axial CT of a head."),
        },
        {"id": "r3", "image": "images/b.jpg", "answer_type": "CLOSED"}
        | {"conversations": turns("<image>\nIs it normal?", "no", asks="user", answers="assistant")},
    ]
    validation = [{"id": "r4", "image": "images/c.jpg", "conversations": turns("Is it normal?\n<image>", "yes")}]
    test = {"id": 5, "image": "images/d.jpg", "conversations": turns("What is it?<image>", "A cyst.")}
    atomic_write_text(root / "pretrain.json", json.dumps([{**train[1], "id": "p1"}]))
    atomic_write_text(root / "train.json", json.dumps(train, indent=1))
    atomic_write_text(root / "val.json", json.dumps(validation, indent=1))
    atomic_write_text(root / "test.jsonl", json.dumps(test) + "\n\n")
