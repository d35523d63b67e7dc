"""An overview of a data set: a contact sheet for each modality, organ and question type, and a page of all of them.

The images of a sheet are drawn at random from all that have the value. Below each image is one question with its
answer. The page shows the same images with the whole text.
"""

import random
import re
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from PIL import Image

from discern_vqa.audit.page import fill, small_image
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError, ImageError
from discern_vqa.files import atomic_write_text
from discern_vqa.imaging.images import open_image
from discern_vqa.imaging.sheet import draw_sheet

BY = ("modality", "organ", "question_type", "split")
_COLUMNS = 8
_SIDE = 160
_MOST_SHEETS = 24  # of one kind, the most frequent values first


def write_preview(
    samples: Mapping[str, Sequence[Sample]], out: Path, name: str, by: Sequence[str], images: int = 40, seed: int = 0
) -> Path:
    """Writes `out/<kind>-<value>.png` for each value of each kind, and `out/index.html`; returns the page's path.

    Args:
        by: kinds, of `BY`; those of which the set says nothing are passed over.
        images: at most so many on a sheet.

    Raises:
        ConfigError: there is no such kind.
        DataError: the set says nothing of any kind, or none of its images can be opened.
    """
    for kind in by:
        if kind not in BY:
            raise ConfigError(f"there are no sheets by {kind!r}", hint=f"there are: {', '.join(BY)}")
    rows = [row for part in samples.values() for row in part]
    kinds = []
    for kind in by:
        groups = _groups(rows, kind)
        drawn = list(groups.items())[:_MOST_SHEETS]
        files_of = _file_names(kind, [value for value, _ in drawn])
        sheets = [_sheet(value, members, out / files_of[value], images, seed) for value, members in drawn]
        if shown := [sheet for sheet in sheets if sheet["cells"]]:
            kinds.append({"kind": kind.replace("_", " "), "sheets": shown, "more": max(0, len(groups) - _MOST_SHEETS)})
    if not kinds:
        raise DataError(
            f"no sheet can be drawn: {name} says nothing of {', '.join(by) or 'nothing'}, or no image can be opened",
            hint="--by split makes a sheet of each split, whatever the data set says",
        )
    page = out / "index.html"
    atomic_write_text(page, fill("preview.html.j2", name=name, kinds=kinds))
    return page


def _groups(rows: Sequence[Sample], kind: str) -> dict[str, list[Sample]]:
    """The samples of each value, the most frequent value first."""
    groups: dict[str, list[Sample]] = {}
    for row in rows:
        value = row.kind if kind == "question_type" else getattr(row, kind)
        if value:
            groups.setdefault(value, []).append(row)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))


def _sheet(value: str, rows: Sequence[Sample], file: Path, most: int, seed: int) -> dict[str, Any]:
    """One sheet: as many different images as there are, up to `most`; images that cannot be opened are passed over."""
    by_image: dict[str, list[Sample]] = {}
    for row in rows:
        by_image.setdefault(row.image, []).append(row)
    draw = random.Random(f"{seed} {value}")
    shown: list[tuple[Sample, Image.Image]] = []
    unreadable = 0
    for image in draw.sample(sorted(by_image), len(by_image)):
        if len(shown) == most:
            break
        sample = draw.choice(by_image[image])
        try:
            shown.append((sample, open_image(sample.path)))
        except ImageError:
            unreadable += 1  # said on the page; `discern data audit` names them
    if shown:
        texts = [row.caption if row.is_caption else f"{row.question} {row.answer}" for row, _ in shown]
        draw_sheet([(image, text) for (_, image), text in zip(shown, texts, strict=True)], file, _COLUMNS)
    return {
        "value": value,
        "file": file.name,
        "questions": len(rows),
        "images": len(by_image),
        "unreadable": unreadable,
        "cells": [
            {"uri": small_image(image, _SIDE, _SIDE), "image": row.image, "words": row.question or row.caption}
            | {"answer": row.answer}
            for row, image in shown
        ],
    }


def _file_names(kind: str, values: Sequence[str]) -> dict[str, str]:
    """A file name for each value, its letters and digits kept; two values never share one."""
    names: dict[str, str] = {}
    for value in values:
        plain = f"{kind}-{re.sub(r'[^a-z0-9]+', '_', value.lower()).strip('_') or 'value'}"
        tried = (f"{plain}{f'_{number}' if number > 1 else ''}.png" for number in count(1))
        names[value] = next(name for name in tried if name not in names.values())
    return names
