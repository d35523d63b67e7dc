"""What SLAKE marks in its images, boxes and masks of organs and findings, and the knowledge that comes with it."""

import re
from pathlib import Path

import numpy as np

from discern_vqa.errors import ConfigError, DataError
from discern_vqa.imaging.regions import Box, Region, label_map
from discern_vqa.reading.image_files import Images
from discern_vqa.reading.records import CORRECT_IT, folder_with, numbered_lines, read_json_list, require_record, shown
from discern_vqa.reading.tables import rows

FILES = {"train": ("train.json",), "validation": ("validate.json", "validation.json"), "test": ("test.json",)}
_FOLDERS = ("", "Slake1.0", "slake")
_ORGAN_LABELS = """Left Humerus Head,Right Humerus Head,Larynx,Right Femoral Head,Left Femoral Head,Brain Stem,Duodenum,
Tooth,Liver,Trachea,Left Eye,Right Eye,Rectum,Esophagus,Left Ear,Bladder,Right Ear,Left Kidney,Spinal Cord,Right Kidney,
Left Temporal Lobe,Stomach,Right Temporal Lobe,Heart,Left Mandible,Small Bowel,Right Mandible,Left Lung,Right Lung,
Spleen,Colon,Left Parotid,Right Parotid"""
_ORGANS = frozenset(_ORGAN_LABELS.replace("\n", "").split(","))


def folder_of(root: Path) -> Path:
    """`root` or the folder in it that holds the JSON files. Raises DataError when there is none."""
    return folder_with(root, _FOLDERS, FILES, "SLAKE")


def boxes_of(folder: Path) -> list[tuple[str, Box]]:
    """(label, box) of each entry of an image's detection.json; none where that file is not there."""
    file = folder / "detection.json"
    if not file.is_file():
        return []
    found: list[tuple[str, Box]] = []
    for number, entry in enumerate(read_json_list(file), start=1):
        source = f"{folder.name}/{file.name}:item {number}"
        for label, box in require_record(entry, source).values.items():
            numbers = isinstance(box, list) and all(type(side) in (int, float) for side in box)
            if not numbers or len(box) != 4 or not np.isfinite(box).all() or min(box[2:]) <= 0:
                raise DataError(
                    f"{source}: the box of {label!r} is {shown(box)}; expected [x, y, width, height]", hint=CORRECT_IT
                )
            found.append((label, (box[0], box[1], box[2], box[3])))
    return found


def regions(root: Path, image: str) -> list[Region]:
    """The organs and findings that are marked in the image `image` (as in `Sample.image`), ordered by label.

    Raises DataError when the image, its boxes or mask.txt are missing or break the format.
    """
    root = Path(root)
    folder = Images(root).find(image, "regions").parent
    parts: dict[str, list[Box]] = {}
    for label, box in boxes_of(folder):
        parts.setdefault(label, []).append(box)
    mask, named = folder / "mask.png", {}
    if mask.is_file():
        names = labels(folder_of(root))
        values = [int(value) for value in np.unique(label_map(mask)) if value]
        if unknown := [value for value in values if value not in names]:
            raise DataError(f"{mask} has the grey value {unknown[0]}, which mask.txt does not name", hint=CORRECT_IT)
        named = {names[value]: value for value in values}
    return [
        Region(
            label=label,
            is_finding=label not in _ORGANS,
            boxes=tuple(parts.get(label, ())),
            mask=mask if label in named else None,
            value=named.get(label, 0),
        )
        for label in sorted({*parts, *named})
    ]


def labels(folder: Path) -> dict[int, str]:
    """What mask.txt in `folder` names: grey value -> label. Raises DataError when a line is not "70:Liver"."""
    file, named = folder / "mask.txt", {}
    for number, line in numbered_lines(file):
        value, separator, label = line.partition(":")
        if not (separator and label.strip() and re.fullmatch(r"\s*[0-9]{1,3}\s*", value)):
            raise DataError(f"{file.name}:{number}: {shown(line)}; expected value:label", hint=CORRECT_IT)
        named[int(value)] = label.strip()
    return named


def knowledge(root: Path, language: str = "en") -> list[tuple[str, str, str]]:
    """The triples (head, relation, tail) of KG/, for questions of type KG; each once, in the order of the files.

    Raises DataError when a file is missing or a line is no triple, and ConfigError when `language` is not en or zh.
    """
    if language not in ("en", "zh"):
        raise ConfigError(f"slake has no knowledge in {language!r}", hint="there are: en, zh")
    found: dict[tuple[str, str, str], None] = {}
    for name in ("organ", "organ_rel", "disease"):
        file = folder_of(Path(root)) / "KG" / f"{'en_' if language == 'en' else ''}{name}.csv"
        for line, row in list(rows(file, delimiter="#" if language == "en" else ","))[1:]:
            parts = [part.strip() for part in row]
            if len(parts) != 3 or not all(parts):
                raise DataError(f"{file.name}:{line}: {shown(row)}; expected head, relation, tail", hint=CORRECT_IT)
            found[parts[0], parts[1], parts[2]] = None
    return list(found)
