"""Conversations about images as people train on them: LLaVA (LLaVA-Med, PubMedVision), LLaMA-Factory, ms-swift.

    train.json: one list of records; train.jsonl: one record a line
    {"id": "7", "image": "synpic1.jpg", "conversations": [
        {"from": "human", "value": "<image>\\nIs there a mass?"}, {"from": "gpt", "value": "Yes."},
        {"from": "human", "value": "Where?"}, {"from": "gpt", "value": "In the left lobe."}]}
    {"images": ["synpic1.jpg"], "messages": [
        {"role": "user", "content": "<image>Is there a mass?"}, {"role": "assistant", "content": "Yes."}]}

Each question with its answer is a sample, "7-1" and "7-2" (or "7", where there is one question). Later questions may
refer to earlier ones; `extra["turn"]` counts from 1. With `use="captions"` the answer to the first question, or to the
image alone, is a caption (the alignment sets ask no more than "describe the image"). `answer_type` is taken where the
record has it, and derived where the answer is yes or no (`extra["derived"]` says so); `domain` of LLaVA-Med
({"ct_scan": true, ...}) gives `modality`; other keys go to `extra`.

Ids need not be unique in this format: a repeated one gets the record's number behind it ("7@31"), and where each split
has a file of its own, the split's name before it ("train-7").

ROOT is the file, or a folder with train.json, val.json (validation, dev) and test.json (or .jsonl). A single file
is the split that `use_as` says, or that each record's key "split" says. `images` is the folder of the images,
relative to the file's. Images are found as the reader `csv` finds them.

Repaired on the way: "<image>" and its relatives are taken out of the text, with white space around them; a list of one
image is that image; turns of who asks that follow each other are one question; reasoning before an answer
("<think>...</think>") is no part of it; LLaVA-Med's misspelt key "conversatons" is read. Kept in `extra`: a turn of the
system (`system`), an answer to the image alone beside questions (`description`), and, which the audit counts, the
reasoning (`reasoning_left_out`), how many turns a question was (`turns_joined`), and a last question without an answer
(`unanswered`).

Traps: a record without an image is text alone and is left out only when `text_only="leave_out"`; several images in one
record are refused; an answer is a whole sentence, for which exact match is no fair measure.

Licence: that of the data (LLaVA-Med: CC BY-NC 4.0, research only).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import CLOSED, Sample
from discern_vqa.data.sample import SPLITS as ALL_SPLITS
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading import own_table, spellings
from discern_vqa.reading.conversations import Conversation, conversation_of, images_of
from discern_vqa.reading.image_files import tiny_images
from discern_vqa.reading.neutral import KNOWN
from discern_vqa.reading.own_images import OwnImages
from discern_vqa.reading.records import Record, collect, one_line, require_split
from discern_vqa.reading.shapes import LINES, LISTS, TURNS
from discern_vqa.reading.table_files import open_table
from discern_vqa.reading.table_options import TableOptions

SUMMARY = "conversations about images (LLaVA, LLaMA-Factory, ms-swift): each question with its answer, or captions"
LICENCE = "that of the data (LLaVA-Med: CC BY-NC 4.0)"
SPLITS = ALL_SPLITS
PUBLISHED: dict[str, int] = {}

USES, _TEXT_ONLY = ("questions", "captions"), ("stop", "leave_out")
_FILE, _ENDINGS = "conversations.json", (*LISTS, *LINES)
_DOMAINS = {"ct_scan": "ct", "mri": "mri", "chest_xray": "x-ray", "histology": "histology", "gross": "gross pathology"}
_TAKEN = {"id", "image", "images", *TURNS, "answer_type", "domain", "split"}


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
    require_split(split, SPLITS, "llava")
    for name, value, known in (("use", use, USES), ("text_only", text_only, _TEXT_ONLY)):
        if value not in known:
            raise ConfigError(f"{name} is {value!r}", hint=f"it is one of: {', '.join(known)}")
    options = TableOptions(reader="llava", root=Path(root), images=images, use_as=use_as)
    samples: list[Sample] = []
    for file, file_split in own_table.tables_of(options, _FILE, _ENDINGS):
        ids: set[str] = set()
        image_files = OwnImages(file.parent, images, options.for_images)

        def samples_of(
            record: Record, default: str = file_split, ids: set[str] = ids, image_files: OwnImages = image_files
        ) -> Iterator[Sample]:
            names = images_of(record)
            if not names and text_only == "leave_out":
                return
            belongs = _split_of(record, default or use_as)
            for sample in _samples(record, names, belongs, image_files if belongs == split else None, use):
                name = f"{default}-{sample.id}" if default else sample.id
                name = name if name not in ids else f"{name}@{record.number}"
                ids.add(name)
                yield replace(sample, id=name)

        records = list(open_table(file, options).records)
        _require_turns(file, records, options)
        nothing = DataError(f"{file} has no usable record", hint="expected conversations about an image each")
        samples += collect(records, samples_of, split, skipped, nothing)
    return samples


def present(root: Path) -> tuple[str, ...]:
    """The splits that have a file of their own; all four for a single file. Raises DataError when there is none."""
    return own_table.present_in("llava", root, _FILE, _ENDINGS)


def _require_turns(file: Path, records: Sequence[Record | DataError], options: TableOptions) -> None:
    """Raises DataError when no record of a file is a conversation; the hint names the reader that takes its records."""
    keys = dict.fromkeys(key for record in records if isinstance(record, Record) for key in record.values)
    if keys and not set(TURNS) & keys.keys():
        hint = replace(options, reader="json").command()
        raise DataError(f"{file} holds no conversations; its keys are: {one_line(', '.join(keys))[:200]}", hint=hint)


def _split_of(record: Record, default: str) -> str:
    stated = record.optional("split")
    if not (split := spellings.split_name(stated or default)):
        raise record.unexpected("split", stated, f"one of {', '.join(SPLITS)}")
    return split


def _samples(record: Record, names: list[str], split: str, images: OwnImages | None, use: str) -> list[Sample]:
    """The samples of one record; without `images` its image is not looked for."""
    if not names:
        key = next((key for key in ("image", "images") if key in record.values), "image")
        record.text(key)
        raise record.broken(f"{key!r} names no image")
    if len(names) > 1:
        raise record.broken(f"'image' is a list ({len(names)} images); expected one image a record")
    image, path = images.find(names[0], record.source) if images else (names[0], Path())
    number = record.text("id") if record.values.get("id") not in (None, "") else str(record.number)
    conversation = conversation_of(record)
    modality = _modality(record.values.get("domain"))
    common: dict[str, Any] = {"split": split, "image": image, "path": path, "modality": modality}
    common["source"] = record.source
    extra = _extra(record, conversation)
    exchanges = conversation.exchanges
    if use == "captions":
        caption = conversation.description or exchanges[0].answer
        return [Sample(id=f"caption-{number}", caption=caption, extra=extra, **common)]
    if not exchanges:
        raise record.broken("no turn asks anything; read it with --option use=captions")
    stated = record.answer_type() if record.values.get("answer_type") else ""
    samples = []
    for turn, exchange in enumerate(exchanges, start=1):
        kind, more = stated if turn == 1 else "", dict(extra)
        if exchange.reasoning:
            more["reasoning_left_out"] = exchange.reasoning
        if exchange.turns > 1:
            more["turns_joined"] = exchange.turns
        if not kind and spellings.is_yes_or_no(exchange.answer):
            kind, more["derived"] = CLOSED, ["answer_type"]
        if len(exchanges) > 1:
            more["turn"] = turn
        if turn < len(exchanges):
            more.pop("unanswered", None)
        name = number if len(exchanges) == 1 else f"{number}-{turn}"
        common |= {"question": exchange.question, "answer": exchange.answer}
        samples.append(Sample(id=name, answer_type=kind, extra=more, **common))
    return samples


def _extra(record: Record, conversation: Conversation) -> dict[str, Any]:
    rest = {key: value for key, value in record.values.items() if key not in _TAKEN and value not in ("", None)}
    rest = {f"published_{key}" if key in KNOWN else key: value for key, value in rest.items()}
    about = {
        "system": conversation.system,
        "description": conversation.description if conversation.exchanges else "",
        "unanswered": conversation.unanswered,
    }
    return rest | {key: text for key, text in about.items() if text}


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
