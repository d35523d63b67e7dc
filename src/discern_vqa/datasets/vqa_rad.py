"""VQA-RAD: 315 radiographs, CT and MR slices from MedPix with questions by clinicians. Three editions.

*common*: the pair that nearly every paper uses, `trainset.json` (3,064) and `testset.json` (451), each one list of

    {"qid": 1, "image_name": "synpic54610.jpg", "image_organ": "HEAD", "answer": "Yes", "answer_type": "CLOSED",
     "question_type": "PRES", "question": "Are regions of the brain infarcted?", "phrase_type": "freeform"}

*owner*: `VQA_RAD Dataset Public.json` (2,248), where `phrase_type` "test_freeform" and "test_para" are the test split.
It adds `image_case_url` (the patient's case: here `group`) and `qid_linked_id` (a question and its paraphrase), and has
no template re-phrasings. The images lie in `images/` or `VQA_RAD Image Folder/`.

*hub*: the hub's Parquet copy, `data/{train,test}-*.parquet` (1,793 / 451): the owner's questions in lower case, without
image names, types, organs, cases and links. Its answer types are *derived* (closed: yes, no, or a choice is offered),
and `extra["derived"]` says so; on the test split that rule gives the owner's own types for all 451.

Traps, all met in the published files:
- every test image is also a training image, and 1,267 training rows ("frame") are template re-phrasings that answer
  many test questions: see `data.splits.image_disjoint` and `discern data audit`;
- `question_type` may hold two values ("PRES, POS"), and is misspelt "ATRIB", "PRSE", "Other";
- `answer_type` is "CLOSED " twice, and 21 closed test answers are neither yes nor no;
- ten answers are numbers; five answers and six questions hold tabs (they stand where commas were);
- re-splits of the common pair keep the owner's `phrase_type` "test_freeform": it is read without the prefix, and
  `extra["published_split"]` says that the owner tests on that question;
- eight questions end in a note to the annotators, "-open";
- the owner's `qid` is a string once, its other numbers start at 0 and do not match the common pair's;
- the editions are different benchmarks: a lookup by image and question answers 62.5 % of the test split from the
  common pair's training rows, and 24 % from the hub's, which has no template re-phrasings.

Licence: CC0 1.0. Source: Lau et al., Scientific Data 5, 180251 (2018); osf.io/89kps.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading import hub
from discern_vqa.reading.image_files import Images, tiny_images
from discern_vqa.reading.parquet import shards_in
from discern_vqa.reading.records import Record, collect, json_items, no_record, require_folder, require_split
from discern_vqa.reading.sources import File, Hub

SUMMARY = "VQA-RAD: 315 radiology images, 3,515 questions by clinicians (common 3,064/451 pair or the owner's 2,248)"
LICENCE = "CC0 1.0"
SPLITS = ("train", "test")
PUBLISHED = {"train": 3064, "test": 451}
SOURCE = "at osf.io/89kps; the common pair came with MEVF, github.com/aioz-ai/MICCAI19-MedVQA"
_OSF = "https://files.osf.io/v1/resources/89kps/providers/osfstorage"
GET = {
    "owner": (
        File(name="VQA_RAD Dataset Public.json", urls=("https://osf.io/download/6qdas/",)),
        File(
            name="VQA_RAD Image Folder.zip",
            urls=(f"{_OSF}/5b21453986d8510011c277bc/?zip=",),
            unpack=True,
            into="VQA_RAD Image Folder",
        ),
    ),
    "hub": (Hub(repository="flaviagiammarino/vqa-rad", patterns=("data/train-*.parquet", "data/test-*.parquet")),),
}

EDITIONS = ("common", "owner", "hub")
PHRASE_TYPES = ("freeform", "para", "frame")
_COMMON_FILES = {"train": "trainset.json", "test": "testset.json"}
_OWNER_FILE, _IMAGE_FOLDERS = "vqaraddatasetpublic.json", ("images", "vqaradimagefolder", "imgs")
_SPELLING = {"ATRIB": "ATTRIB", "PRSE": "PRES"}
_NOTE_TO_ANNOTATORS = re.compile(r"\s*-\s*(open|closed)\s*$", re.IGNORECASE)


def read(root: Path, split: str, *, edition: str | None = None, skipped: list[str] | None = None) -> list[Sample]:
    """The questions of one split, in the file's order.

    Args:
        root: the folder that holds the JSON files and the image folder.
        edition: "common", "owner" or "hub"; by default the first of them that is there.

    Raises:
        DataError: a file or an image is missing, or a record breaks the format (all records are checked first).
        ConfigError: there is no such edition.
    """
    root = Path(root)
    require_split(split, SPLITS, "vqa_rad")
    require_folder(root)
    edition = edition or _edition_of(root)
    if edition not in EDITIONS:
        raise ConfigError(f"vqa_rad has no edition {edition!r}", hint=f"there are: {', '.join(EDITIONS)}")
    if edition == "hub":
        return hub.read(root, split, (split,), "vqa_rad", skipped)
    file = root / _COMMON_FILES[split] if edition == "common" else _owner_file(root)
    images, folder = Images(root), _image_folder(root)

    def samples(record: Record) -> Iterator[Sample]:
        phrase_type, owners_split = _phrase_type(record)
        row_split = owners_split if edition == "owner" else split
        if row_split != split:
            return
        image = f"{folder}/{record.text('image_name', verbatim=True)}"
        question = _NOTE_TO_ANNOTATORS.sub("", record.text("question"))
        if not question:
            raise record.broken("'question' is empty but for its ending; expected text")
        case = _optional(record, "image_case_url")
        extra = {"case_url": case, "linked": _optional(record, "qid_linked_id")}
        if edition == "common" and owners_split == "test":
            extra["published_split"] = owners_split
        yield Sample(
            id=record.text("qid"),
            split=split,
            image=image,
            path=images.find(image, record.source),
            question=question,
            answer=record.text("answer"),
            answer_type=record.answer_type(),
            question_type=_question_types(record.text("question_type")),
            organ=record.text("image_organ").lower(),
            phrase_type=phrase_type,
            group=case,
            source=record.source,
            extra={key: value for key, value in extra.items() if value},
        )

    return collect(json_items(file), samples, split, skipped, no_record(file, split))


def _phrase_type(record: Record) -> tuple[str, str]:
    """The phrase type without the owner's prefix "test_", and the split that this prefix says."""
    text = record.text("phrase_type")
    plain = text.removeprefix("test_")
    if plain not in PHRASE_TYPES:
        raise record.unexpected("phrase_type", text, f"one of {', '.join(PHRASE_TYPES)}")
    return plain, "train" if plain == text else "test"


def _question_types(text: str) -> tuple[str, ...]:
    types = (part.strip().upper() for part in text.split(","))
    return tuple(dict.fromkeys(_SPELLING.get(part, part) for part in types if part))


def _optional(record: Record, key: str) -> str:
    value = record.values.get(key)
    return value.strip() if isinstance(value, str) and value.strip() != "NULL" else ""


def _edition_of(root: Path) -> str:
    if any((root / name).is_file() for name in _COMMON_FILES.values()):
        return "common"
    if _owner_files(root):
        return "owner"
    if any(shards_in(folder, split) for folder in (root, root / "data") for split in SPLITS):
        return "hub"
    raise DataError(
        f"{root} holds no VQA-RAD: neither trainset.json nor 'VQA_RAD Dataset Public.json' nor Parquet files",
        hint="give the folder that holds one of them (VQA-RAD is free at osf.io/89kps)",
    )


def _owner_file(root: Path) -> Path:
    files = _owner_files(root)
    if not files:
        raise DataError(
            f"{root} does not hold the owner's edition, 'VQA_RAD Dataset Public.json'",
            hint="fetch it from osf.io/89kps, or read the edition 'common'",
        )
    return files[0]


def _owner_files(root: Path) -> list[Path]:
    """The owner's file, also with other spaces and capitals in its name; first the name as published."""
    files = [path for path in root.iterdir() if _plain(path.name) == _OWNER_FILE and path.is_file()]
    return sorted(files, key=lambda path: (path.name != "VQA_RAD Dataset Public.json", path.name))


def _image_folder(root: Path) -> str:
    folders = {_plain(path.name): path.name for path in sorted(root.iterdir()) if path.is_dir()}
    return next((folders[name] for name in _IMAGE_FOLDERS if name in folders), "images")


def _plain(name: str) -> str:
    """A name without spaces, underscores and capitals; its ending stays."""
    return re.sub(r"[ _-]", "", name.lower())


def write_tiny(root: Path, edition: str = "common") -> None:
    """Eight training and four test records about four images, in the layout of `edition`, with the traps above."""
    folder = "images" if edition == "common" else "VQA_RAD Image Folder"
    names = [f"synpic{number}.jpg" for number in (101, 102, 103, 104)]
    tiny_images(root / folder, names if edition != "hub" else ())
    fields = ("image_name", "image_organ", "question", "answer", "answer_type", "question_type", "phrase_type")
    train = [
        (names[0], "HEAD", "Is there a mass?", "Yes", "CLOSED", "PRES", "freeform"),
        (names[0], "HEAD", "Is/Are there a mass in the brain?", "yes", "CLOSED ", "PRSE", "frame"),
        (names[0], "HEAD", "Where is the mass?", "Left \tfrontal lobe", "OPEN", "POS, PRES", "freeform"),
        (names[1], "CHEST", "How many nodules are\tvisible?", 2, "OPEN", "COUNT", "freeform"),
        (names[1], "CHEST", "How big is/are the nodule? -open", "5.1 cm", "OPEN", "SIZE", "frame"),
        (names[2], "ABD", "What is the modality?", "X-ray", "OPEN", "MODALITY", "para"),
        (names[2], "ABD", "Are the kidneys normal? ", "no", "CLOSED", "ABN", "freeform"),
        (names[3], "CHEST", "Is the heart enlarged?", "No", "CLOSED", "Other", "para"),
    ]
    test = [
        (names[0], "HEAD", "Do you see a mass?", "Yes", "CLOSED", "PRES", "freeform"),
        (names[1], "CHEST", "What is the size of the nodule?", "5.1 cm", "OPEN", "SIZE", "para"),
        (names[2], "ABD", "Which plane is this?", "coronal", "OPEN", "PLANE", "freeform"),
        (names[3], "CHEST", "MRI or CT?", "CT", "CLOSED", "MODALITY, ATRIB", "para"),
    ]
    if edition == "hub":
        questions_by_split = {
            split: [
                (int(name[6:9]), question.lower(), str(answer).lower())
                for name, _, question, answer, _, _, phrase_type in part
                if phrase_type != "frame"
            ]
            for split, part in (("train", train), ("test", test))
        }
        hub.write(root, questions_by_split)
        return
    rows = [dict(zip(fields, row, strict=True)) for row in train + test]
    if edition == "common":
        numbered = [{"qid": number, **row} for number, row in enumerate(rows, start=1)]
        atomic_write_text(root / "trainset.json", json.dumps(numbered[: len(train)], indent=1))
        atomic_write_text(root / "testset.json", json.dumps(numbered[len(train) :], indent=1))
        return
    for number, row in enumerate(rows):
        linked = {"qid_linked_id": f"link-{number // 2}", "image_case_url": f"case-{row['image_name']}"}
        row |= {"qid": number or "0", "question_rephrase": "NULL", **linked}
        if number >= len(train):
            row["phrase_type"] = f"test_{row['phrase_type']}"
    without_frames = [row for row in rows if row["phrase_type"] != "frame"]
    atomic_write_text(root / "VQA_RAD Dataset Public.json", json.dumps(without_frames, indent=1))
