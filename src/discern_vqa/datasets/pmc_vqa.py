"""PMC-VQA: multiple-choice questions about figures of open-access articles, written by a language model from captions.

Two versions, each one table for train and one for test, and a folder of figures:

*v2*: `train_2.csv` (152,603), `test_2.csv` (33,430), `images_2.zip`: figures of one panel. Here `Answer` is a letter.

    index,Figure_path,Caption,Question,Choice A,Choice B,Choice C,Choice D,Answer,split
    0,PMC8253797_Fig4_11.jpg,"A slightly altered cell...",What is shown?,A neuron,A fibre,...,...,B,train

*v1*: `train.csv`, `test.csv` (50,000), `test_clean.csv` (2,000 of them, checked by hand), `images.zip`. Here `Answer`
is the answer's text and `Answer_label` the letter; choices begin with their letter ("A:Diffuse uptake pattern").

    Figure_path,Question,Answer,Choice A,Choice B,Choice C,Choice D,Answer_label
    PMC1064097_F1.jpg,What is the uptake pattern in the breast?,Focal uptake pattern,A:Diffuse...,B:Focal...,...,B

`choices` are the four texts without their letters, `answer` is the right one's text. `answer_type` is "": the set is
asked with its choices or without, and says neither open nor closed. `group` is the article ("PMC1064097"): its
figures are related and often alike. `extra["figure_caption"]` is v2's caption: it gives the answer away.

The figures lie in `images/`, `images_2/` or `figures/` (or `images_2/figures/`), as the archives unpack.

Traps: older files spell the column "Anwser"; some rows of v1 have an `Answer` that differs from the choice of their
letter: the letter's choice is taken, and `extra["published_answer"]` keeps the text; train and test may share articles;
many figures are charts or micrographs. A row whose figure is missing is an error, or left out with
`missing="leave_out"`.

Licence: CC BY-SA, as the set's card says; its articles are CC0 or CC BY. Source: Zhang et al., arXiv 2305.10415.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading.image_files import Images, MissingImage, tiny_images
from discern_vqa.reading.records import Record, collect, near_file, no_record, require_folder, require_split
from discern_vqa.reading.sources import Hub
from discern_vqa.reading.tables import named_rows

SUMMARY = "PMC-VQA: multiple-choice questions about figures of open-access articles (v2: 186,033; v1: 227,000)"
LICENCE = "CC BY-SA"
SPLITS = ("train", "test")
PUBLISHED = {"train": 152603, "test": 33430}
SOURCE = "on the hub, RadGenome/PMC-VQA"
_HUB = "RadGenome/PMC-VQA"
GET = {
    "v2": (Hub(repository=_HUB, patterns=("train_2.csv", "test_2.csv", "images_2.zip")),),
    "v1": (Hub(repository=_HUB, patterns=("train.csv", "test.csv", "test_clean.csv", "images.zip")),),
}

VERSIONS = ("v2", "v1", "v1_clean")
_FILES = {
    "v2": {"train": "train_2.csv", "test": "test_2.csv"},
    "v1": {"train": "train.csv", "test": "test.csv"},
    "v1_clean": {"train": "train.csv", "test": "test_clean.csv"},
}
_FOLDERS = {
    "v2": ("images_2", "figures", "images", "images_2/figures", "images_2/images_2"),
    "v1": ("images", "figures", "images/images"),
}
_LETTERS = "ABCD"
_ARTICLE = re.compile(r"PMC[0-9]+")


def read(
    root: Path, split: str, *, version: str | None = None, missing: str = "stop", skipped: list[str] | None = None
) -> list[Sample]:
    """The questions of one split, in the file's order.

    Args:
        root: the folder of the tables and figures.
        version: "v2", "v1" or "v1_clean" (v1 with the checked test part); by default the first that is there.
        missing: "stop" at a row whose figure is missing, or "leave_out".

    Raises:
        DataError: a file or a figure is missing, or a row breaks the format (all rows are checked first).
        ConfigError: there is no such version, or `missing` is neither of the two.
    """
    root = Path(root)
    require_split(split, SPLITS, "pmc_vqa")
    require_folder(root)
    version = version or _version_of(root)
    if version not in VERSIONS:
        raise ConfigError(f"pmc_vqa has no version {version!r}", hint=f"there are: {', '.join(VERSIONS)}")
    file, folder = root / _FILES[version][split], _figures(root, version)
    images, leave_out = Images(root), MissingImage.to_leave_out(missing)

    def samples(row: Record) -> Iterator[Sample]:
        name = row.text("Figure_path", verbatim=True).strip()
        choices = tuple(_choice(row, letter) for letter in _LETTERS)
        published = (row.values.get("Answer") or row.values.get("Anwser") or "").strip()
        label = (row.values.get("Answer_label") or published).strip().upper()
        if label not in tuple(_LETTERS):
            key = "Answer_label" if row.values.get("Answer_label") else "Answer"
            raise row.unexpected(key, label, "one of A, B, C, D")
        answer = choices[_LETTERS.index(label)]
        article = _ARTICLE.match(name)
        differs = published.upper() != label and " ".join(published.split()) != answer
        extra = {
            "label": label,
            "figure_caption": " ".join((row.values.get("Caption") or "").split()),
            "published_answer": published if differs else "",
        }
        yield Sample(
            id=f"{split}-{row.values.get('index') or row.number}",
            split=split,
            image=f"{folder}/{name}",
            path=images.find(f"{folder}/{name}", row.source),
            question=row.text("Question"),
            answer=answer,
            choices=choices,
            group=article[0] if article else "",
            source=row.source,
            extra={key: value for key, value in extra.items() if value},
        )

    rows = named_rows(file, ("Figure_path", "Question", "Choice A", "Choice B", "Choice C", "Choice D"))
    return collect(rows, samples, split, skipped, no_record(file, split), leave_out)


def present(root: Path) -> tuple[str, ...]:
    """The splits of the default version whose tables are there. Raises DataError when `root` holds no PMC-VQA."""
    require_folder(root)
    files = _FILES[_version_of(root)]
    return tuple(split for split in SPLITS if (root / files[split]).is_file())


def _version_of(root: Path) -> str:
    for version, files in _FILES.items():
        if any((root / name).is_file() for name in files.values()):
            return version
    raise DataError(f"{root} holds no PMC-VQA: no train_2.csv, no train.csv", hint=near_file(root / "train_2.csv"))


def _figures(root: Path, version: str) -> str:
    """The folder of the figures: of the places where they may lie, the last that is there and holds images."""
    places = _FOLDERS["v2" if version == "v2" else "v1"]
    there = [place for place in places if (root / place).is_dir()]
    return next((place for place in there if next((root / place).glob("*.*"), None)), there[0] if there else places[0])


def _choice(row: Record, letter: str) -> str:
    key = f"Choice {letter}"
    plain = re.sub(rf"^\s*{letter}\s*[:.]\s*", "", row.values.get(key, ""))
    return replace(row, values={key: plain}).text(key)


def write_tiny(root: Path, version: str = "v2") -> None:
    """Four training and three test rows about five figures in the layout of `version`, with the traps above."""
    train = [
        ("PMC11_F1.jpg", "What is the uptake pattern?", "Diffuse", "Focal, left", "None", "Both", "B"),
        ("PMC11_F1.jpg", "Which organ is shown?", "Breast", "Lung", "Liver", "Brain", "A"),
        ("PMC11_F2.jpg", "What does the arrow  show?", "A cyst", "A mass", "A vessel", "A clip", "D"),
        ("PMC22_F1.jpg", "Which stain was used?", "H&E", "PAS", "Giemsa", "Gram", "C"),
    ]
    test = [
        ("PMC33_F1.jpg", "What is the modality?", "CT", "MRI", "PET", "X-ray", "A"),
        ("PMC33_F1.jpg", "What is shown?", "A bone", "A muscle", "A nerve", "A tendon", "D"),
        ("PMC44_F1.jpg", "Which plane is it?", "Axial", "Coronal", "Sagittal", "Oblique", "C"),
    ]
    folder = "images_2" if version == "v2" else "images"
    tiny_images(root / folder, sorted({row[0] for row in train + test}))
    for split, rows in (("train", train), ("test", test)):
        if version == "v2":
            lines = ["index,Figure_path,Caption,Question,Choice A,Choice B,Choice C,Choice D,Answer,split"]
            for number, (name, question, a, b, c, d, label) in enumerate(rows):
                lines.append(
                    f'{number},{name},"What it shows, in words.",{question}, {a} ,"{b}",{c},{d},{label},{split}'
                )
        else:
            lines = ["Figure_path,Question,Anwser,Choice A,Choice B,Choice C,Choice D,Answer_label"]
            for name, question, a, b, c, d, label in rows:
                answer = dict(zip(_LETTERS, (a, b, c, d), strict=True))[label]
                stated = "Gram stain" if answer == "Giemsa" else answer
                lines.append(f'{name},{question},"{stated}",A:{a},"B: {b}",C:{c}, D:{d},{label}')
        atomic_write_text(root / _FILES[version][split], "\n".join(lines) + "\n")
