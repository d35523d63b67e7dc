"""ROCO: radiological images of open-access articles with their captions, for pre-training. Two versions.

*v2* (ROCOv2, 2024; 59,958 / 9,904 / 9,927 captions):

    train_captions.csv, valid_captions.csv, test_captions.csv      ID,Caption
                                               ROCOv2_2023_train_000001,Head CT demonstrating left parotiditis.
    train_concepts.csv, ...                    ID,CUIs: ROCOv2_2023_train_000001,C0040405;C0030580
    train/ROCOv2_2023_train_000001.jpg         or train_images/...

*v1* (ROCO, 2018; 81,825 radiological captions, of which 65,419-65,423 / 8,175 / 8,176 kept their image in practice):

    data/train/radiology/captions.txt          ROCO_00002<tab> Computed tomography scan in axial view showing ...
    data/train/radiology/keywords.txt, cuis.txt, semtypes.txt      ROCO_00002<tab>keyword<tab>keyword...
    data/train/radiology/dlinks.txt            ROCO_00002<tab>wget -r ftp://.../PMC4083729.tar.gz ...<tab>g002.jpg
    data/train/radiology/images/ROCO_00002.jpg or PMC4083729_g002.jpg, as the owners' script names it
    data/train/non-radiology/...               the same for images of other kinds (`part="non-radiology"`)

Folders: train, validation (val), test, in ROOT, `data/` or `all_data/`. Files may have other endings to their names
("cuis_tp_val_revised.txt").

Every sample is a caption: "pretrain" is the train folder, "validation" and "test" are theirs. `modality` of v2 comes
from its concept of modality (C0040405 is CT). `extra` holds `cuis`, `keywords` and `semtypes` where they are; `group`
is the article, where v1 says it.

Traps: fetching v1 article by article leaves images out: a caption without its image is an error, or left out with
`missing="leave_out"`; captions begin with a space; some are of one or two words (`least_words=3` leaves those out, as
M3AE does); some are French; an article's figures may stand on both sides of the splits.

Licence: each image has its article's (CC BY or CC BY-NC); v2 as a whole CC BY-NC. Source: Pelka et al., LABELS 2018;
Rueckert et al., Scientific Data 11, 688 (2024).
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import atomic_write_text
from discern_vqa.reading.image_files import Images, MissingImage, tiny_image
from discern_vqa.reading.records import (
    Record,
    collect,
    first_present,
    is_file,
    near_file,
    no_record,
    numbered_lines,
    require_folder,
    require_split,
    shown,
)
from discern_vqa.reading.sources import Zenodo
from discern_vqa.reading.tables import named_rows

SUMMARY = "ROCO and ROCOv2: radiological images of open-access articles with their captions, for pre-training"
LICENCE = "CC BY or CC BY-NC, image by image (v2 as a whole: CC BY-NC)"
SPLITS = ("pretrain", "validation", "test")
PUBLISHED = {"pretrain": 59958, "validation": 9904, "test": 9927}
SOURCE = "at zenodo.org/records/10821435 (v2); v1 with the script of github.com/razorx89/roco-dataset"
_TABLES = tuple(f"{name}_{kind}.csv" for name in ("train", "valid", "test") for kind in ("captions", "concepts"))
_PICTURES = tuple(f"{name}_images.zip" for name in ("train", "valid", "test"))
GET = {"v2": (Zenodo(record=10821435, names=(*_TABLES, "license_information.csv", *_PICTURES)),)}

VERSIONS, PARTS = ("v2", "v1"), ("radiology", "non-radiology")
_V2 = {"pretrain": "train", "validation": "valid", "test": "test"}
_V1 = {"pretrain": ("train",), "validation": ("validation", "val"), "test": ("test",)}
_ABOVE = ("", "data", "all_data")
_MODALITIES = {
    "C0040405": "ct",
    "C1306645": "x-ray",
    "C0024485": "mri",
    "C0041618": "ultrasound",
    "C0002978": "angiography",
    "C0032743": "pet",
}
_PACKAGE = re.compile(r"(PMC[0-9]+)\.tar\.gz")


def read(
    root: Path,
    split: str,
    *,
    version: str | None = None,
    part: str = "radiology",
    least_words: int = 1,
    missing: str = "stop",
    skipped: list[str] | None = None,
) -> list[Sample]:
    """The captions of one split, in the file's order.

    Args:
        root: the folder of the set.
        split: "pretrain" (its train folder), "validation" or "test".
        version: "v2" or "v1"; by default the one that is there.
        part: of v1, "radiology" or "non-radiology".
        least_words: shorter captions are left out.
        missing: "stop" at a caption whose image is missing, or "leave_out".

    Raises:
        DataError: a file or an image is missing, or a line breaks the format (all lines are checked first).
        ConfigError: an option is none of those above.
    """
    root = Path(root)
    require_split(split, SPLITS, "roco")
    require_folder(root)
    version = version or _version_of(root)
    for name, value, known in (("version", version, VERSIONS), ("part", part, PARTS)):
        if value not in known:
            raise ConfigError(f"roco has no {name} {value!r}", hint=f"there are: {', '.join(known)}")
    leave_out = MissingImage.to_leave_out(missing)
    file = _captions(root, version, split, part)
    if version == "v2":
        rows, sample_of = named_rows(file, ("ID", "Caption")), _v2(root, split)
    else:
        rows = (Record({"line": line}, f"{file.name}:{number}", number) for number, line in numbered_lines(file))
        sample_of = _v1(root, file.parent, split)

    def samples(row: Record) -> list[Sample]:
        sample = sample_of(row)
        return [sample] if len(sample.caption.split()) >= least_words else []

    return collect(rows, samples, split, skipped, no_record(file, split), leave_out)


def present(root: Path) -> tuple[str, ...]:
    """The splits that are there. Raises DataError when `root` holds neither ROCO nor ROCOv2."""
    require_folder(root)
    return _present(root, _version_of(root))


def _present(root: Path, version: str) -> tuple[str, ...]:
    return tuple(split for split in SPLITS if _captions(root, version, split).is_file())


def _version_of(root: Path) -> str:
    for version in VERSIONS:
        if _present(root, version):
            return version
    raise DataError(
        f"{root} holds no ROCO: neither train_captions.csv nor train/radiology/captions.txt is there",
        hint=near_file(root / "train_captions.csv"),
    )


def _captions(root: Path, version: str, split: str, part: str = PARTS[0]) -> Path:
    """The file of the captions; where it is not there, the first place in which it may lie."""
    if version == "v2":
        return root / f"{_V2[split]}_captions.csv"
    return first_present([root / above / name / part for above in _ABOVE for name in _V1[split]]) / "captions.txt"


def _v2(root: Path, split: str) -> Callable[[Record], Sample]:
    name, images = _V2[split], Images(root)
    concepts: dict[str, list[str]] = {}
    table = root / f"{name}_concepts.csv"
    for row in named_rows(table, ("ID", "CUIs")) if table.exists() else ():
        if isinstance(row, Record):
            cuis = row.values.get("CUIs", "").split(";")
            concepts[row.values["ID"].strip()] = [cui.strip() for cui in cuis if cui.strip()]
    folder = first_present([root / inside for inside in (name, f"{name}_images", f"{name}_images/{name}", "images")])

    def sample(row: Record) -> Sample:
        number = row.text("ID")
        cuis = concepts.get(number, [])
        image = (folder / f"{number}.jpg").relative_to(root).as_posix()
        return Sample(
            id=number,
            split=split,
            image=image,
            path=images.find(image, row.source),
            caption=row.text("Caption"),
            modality=next((_MODALITIES[cui] for cui in cuis if cui in _MODALITIES), ""),
            source=row.source,
            extra={"cuis": cuis} if cuis else {},
        )

    return sample


def _v1(root: Path, folder: Path, split: str) -> Callable[[Record], Sample]:
    further = {  # kind -> name -> what the file of that kind lists for it
        kind: {name: [part for part in parts if part] for name, *parts in _columns(folder, kind) if name and any(parts)}
        for kind in ("keywords", "cuis", "semtypes")
    }
    links, images, base = _links(folder), Images(root), folder.relative_to(root).as_posix()

    def sample(row: Record) -> Sample:
        name, tab, caption = row.values["line"].partition("\t")
        number = name.strip()
        if not tab or not number:
            raise row.broken(f"{shown(row.values['line'])}; expected name, tab, caption")
        article, fetched = links.get(number, ("", ""))
        image = f"{base}/images/{number}.jpg"
        if fetched and not is_file(root / image):
            image = f"{base}/images/{fetched}"
        return Sample(
            id=f"{split}-{number}" if folder.name == PARTS[0] else f"{split}-other-{number}",
            split=split,
            image=image,
            path=images.find(image, row.source),
            caption=replace(row, values={"caption": caption}).text("caption"),
            group=article,
            source=row.source,
            extra={kind: lists[number] for kind, lists in further.items() if number in lists},
        )

    return sample


def _columns(folder: Path, kind: str) -> list[list[str]]:
    """The columns of keywords.txt, or keywords_tp_val_revised.txt, line by line; none where there is no such file."""
    named = re.compile(rf"{kind}(?:_[A-Za-z0-9_]+)?\.txt")
    files = [file for file in folder.glob(f"{kind}*.txt") if named.fullmatch(file.name)]
    file = min(files, key=lambda file: len(file.name), default=None)
    return [[part.strip() for part in line.split("\t")] for _, line in numbered_lines(file)] if file else []


def _links(folder: Path) -> dict[str, tuple[str, str]]:
    """Name -> (article, file name that the owners' script gives the image)."""
    links = {}
    for parts in _columns(folder, "dlinks"):
        package = _PACKAGE.search("\t".join(parts))
        if len(parts) >= 3 and package:
            links[parts[0]] = (package[1], f"{package[1]}_{parts[-1]}")
    return links


def write_tiny(root: Path, version: str = "v2") -> None:
    """Six captions about six images in the layout of `version`: a comma, a space in front, an image of another name."""
    captions_by_split = {
        "pretrain": [
            "Head CT demonstrating left parotiditis.",
            "Axial T2 image, with a mass (arrow) in the left kidney.",
            "Postoperative radiograph",
        ],
        "validation": ["Ultrasound of the liver showing a cyst."],
        "test": ["Chest radiograph with an effusion on the right.", "Coronary angiogram after stenting."],
    }
    number = 0
    for split, captions in captions_by_split.items():
        names, rows, links, concepts = [], [], [], []
        name = _V2[split] if version == "v2" else _V1[split][0]
        folder = root / name if version == "v2" else root / "data" / name / "radiology"
        for caption in captions:
            number += 1
            image = f"ROCOv2_2023_{name}_{number:06}" if version == "v2" else f"ROCO_{number:05}"
            names.append(image)
            rows.append(f'{image},"{caption}"' if version == "v2" else f"{image}\t {caption}")
            name_of_file = image
            if version == "v1":
                name_of_file = f"images/{image if number % 2 else f'PMC{number}00_g{number:03}'}"
            tiny_image(folder / f"{name_of_file}.jpg", number)
            links.append(f"{image}\twget -r ftp://x.org/PMC{number}00.tar.gz -P /path\tg{number:03}.jpg")
            concepts.append(f"{image},{'C0040405;C0030580' if number == 1 else 'C1306645'}")
        if version == "v2":
            atomic_write_text(root / f"{name}_captions.csv", "\n".join(["ID,Caption", *rows]) + "\n")
            atomic_write_text(root / f"{name}_concepts.csv", "\n".join(["ID,CUIs", *concepts]) + "\n")
        else:
            atomic_write_text(folder / "captions.txt", "\n".join(rows) + "\n")
            atomic_write_text(folder / "dlinks.txt", "\n".join(links) + "\n")
            atomic_write_text(folder / "keywords.txt", "\n".join(f"{name}\tscan\tleft" for name in names) + "\n")
