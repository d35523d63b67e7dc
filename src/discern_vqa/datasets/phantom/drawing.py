"""Draws a whole set: plans anatomies, draws images and masks in several processes, writes samples.jsonl."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from threadpoolctl import threadpool_limits

from discern_vqa.config import Table
from discern_vqa.data.sample import CLOSED, OPEN, SPLITS
from discern_vqa.datasets.phantom.anatomy import TEXT, Unit, invent, plan, render
from discern_vqa.datasets.phantom.candidate import Candidate, choose, is_closed
from discern_vqa.datasets.phantom.captions import caption
from discern_vqa.datasets.phantom.findings import REGIONS, Case
from discern_vqa.datasets.phantom.questions import candidates
from discern_vqa.errors import DataError
from discern_vqa.files import atomic_write_text, explained

VERSION = 12  # goes up when the same seed draws other images or asks other questions
DEFAULT_SPLITS = {"pretrain": 0.50, "train": 0.25, "validation": 0.05, "test": 0.20}
_CHUNK = 40  # anatomies that a process draws at a time

Drawn = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""The lines of samples.jsonl and of cases.jsonl about one anatomy."""


class Arguments(Table):
    """What a set consists of: the arguments of `phantom.draw` and the keys of a recipe's `[data] draw`.

    Args:
        images: number of images, shared out by `splits` (shares by split) unless `counts` states them.
        size: pixels along a side. The same seed gives the same bodies and questions at any size.
        twins: share of the images that are members of a pair.
        regions: which of "chest", "head" and "abdomen" are drawn, in equal shares.
        workers: processes; None for one per core. The result does not depend on it.
    """

    images: int = 1200
    seed: int = 0
    size: int = 128
    splits: Mapping[str, float] | None = None
    counts: Mapping[str, int] | None = None
    twins: float = 1 / 3
    regions: Sequence[str] = REGIONS
    workers: int | None = None


def draw(root: Path, arguments: Arguments) -> None:
    """Draws a phantom set into `root`: a new or empty folder, or one that holds the same set (it is drawn again).

    Raises DataError when `root` holds something else or an argument is out of range.
    """
    root, counts = Path(root), check(arguments)
    seed, size, twins, regions = arguments.seed, arguments.size, arguments.twins, arguments.regions
    about: dict[str, Any] = {"version": VERSION, "seed": seed, "size": size}
    about |= {"twins": round(twins, 6), "regions": list(regions), "counts": dict(counts)}
    _claim(root, about)
    units = plan(counts, seed, size, twins, tuple(regions))
    chunks = [units[k : k + _CHUNK] for k in range(0, len(units), _CHUNK)]
    for split in counts:
        for kind in ("images", "masks"):
            with explained(root / kind / split):
                (root / kind / split).mkdir(parents=True, exist_ok=True)
    workers = min(arguments.workers or os.cpu_count() or 1, len(chunks)) or 1
    units_drawn = list(chain.from_iterable(_map(root, chunks, workers)))
    rows = [row for unit_rows, _ in units_drawn for row in unit_rows]
    cases = [case for _, unit_cases in units_drawn for case in unit_cases]
    about["images"], about["samples"] = len(cases), len(rows)
    atomic_write_text(root / "cases.jsonl", _lines(cases))
    atomic_write_text(root / "samples.jsonl", _lines(rows))
    atomic_write_text(root / "phantom.json", json.dumps(about, indent=2) + "\n")


def check(arguments: Arguments) -> dict[str, int]:
    """The images of each split that `draw` draws. Raises DataError for what is out of range."""
    counts = shared_out(arguments.images, arguments.splits) if arguments.counts is None else arguments.counts
    for split, number in counts.items():
        if split not in SPLITS:
            raise DataError(f"there is no split {split!r} in a phantom set", hint=f"splits are: {', '.join(SPLITS)}")
        if number < 0:
            raise DataError(f"{number} images were asked for in split {split!r}", hint="give a number of 0 or more")
    seed, size, twins, regions = arguments.seed, arguments.size, arguments.twins, arguments.regions
    if seed < 0:
        raise DataError(f"a seed of {seed} was given", hint="choose a whole number of 0 or more")
    if not 32 <= size <= 1024:
        raise DataError(f"a phantom of {size} pixels was asked for", hint="choose a size between 32 and 1024")
    if not 0 <= twins <= 1:
        raise DataError(f"`twins` = {twins} was given; it is the share of images in pairs", hint="choose 0 to 1")
    if not regions or not set(regions) <= set(REGIONS):
        raise DataError(f"regions = {list(regions)} was asked for", hint=f"choose among {', '.join(REGIONS)}")
    return {split: int(counts[split]) for split in SPLITS if split in counts}


def shared_out(images: int, splits: Mapping[str, float] | None) -> dict[str, int]:
    """`images` shared out over the splits in proportion to `splits`, without a remainder."""
    shares = dict(splits or DEFAULT_SPLITS)
    total = sum(shares.values())
    if images < 1 or total <= 0:
        raise DataError(
            f"there is no image to draw: {images} images by the shares {shares}", hint="ask for one image or more"
        )
    ends = np.round(np.cumsum(list(shares.values())) / total * images).astype(int)
    return dict(zip(shares, np.diff([0, *ends]).tolist(), strict=True))


def _claim(root: Path, about: dict[str, Any]) -> None:
    """Refuses a folder that holds anything but the very same set."""
    known, samples = root / "phantom.json", root / "samples.jsonl"
    if known.exists():
        there = json.loads(known.read_text("utf-8"))
        other = [f"{key} {there.get(key)} instead of {about[key]}" for key in about if there.get(key) != about[key]]
        if other:
            raise DataError(
                f"{root} already holds another phantom set ({'; '.join(other)})", hint="draw into another folder"
            )
    elif samples.exists():
        raise DataError(f"{root} already holds a data set other than a phantom set", hint="draw into another folder")


def _map(root: Path, chunks: list[list[Unit]], workers: int) -> Iterator[list[Drawn]]:
    if workers <= 1:
        yield from (_draw_chunk(root, chunk) for chunk in chunks)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(_draw_chunk, [root] * len(chunks), chunks)


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _draw_chunk(root: Path, units: list[Unit]) -> list[Drawn]:
    # On small arrays BLAS threads only wait for each other, and with two processes for a core too: 3 times as long.
    with threadpool_limits(1):
        return [_draw_unit(root, unit) for unit in units]


def _draw_unit(root: Path, unit: Unit) -> Drawn:
    members, exposure = invent(unit)
    names = ["a", "b"] if unit.pair else [""]
    fitting = [candidates(case, unit.regions) for case in members]
    shared = _pair_questions(unit, fitting) if unit.pair else []
    without = frozenset(key for key, _ in shared)
    rows, cases = [], []
    for member, (case, letter) in enumerate(zip(members, names, strict=True)):
        stem = f"{unit.number:05d}{letter}"
        pixels, masks = render(unit, case, exposure)
        image = f"images/{unit.split}/{stem}.png"
        _save(pixels, root / image, 3)
        mask_files = {name: f"masks/{unit.split}/{stem}-{name.replace(' ', '-')}.png" for name in masks}
        for name, mask in masks.items():
            _save(mask.astype(np.uint8) * 255, root / mask_files[name], 1)
        common = {"split": unit.split, "image": image, "organ": case.region, "modality": case.modality}
        common["group"] = unit.group
        random = unit.random(TEXT, member + 1)
        questions = [(question, text, "") for question, text in choose(random, fitting[member], without)]
        by_key = {question.key: question for question in fitting[member]}
        questions += [(by_key[key], text, f"{unit.group}-{key.replace(' ', '-')}") for key, text in shared]
        if unit.split == "pretrain":
            rows.append({"id": f"{unit.split}-{stem}-caption", **common, "caption": caption(random, case)})
        for number, (question, text, twin) in enumerate(questions):
            fields = _answered(question, text, twin, mask_files)
            rows.append({"id": f"{unit.split}-{stem}-{number}", **common, **fields})
        cases.append({**common, **_described(case), "masks": mask_files})
    return rows, cases


def _save(image: NDArray[np.uint8], path: Path, level: int) -> None:
    """Not atomic: a set without its samples.jsonl, which comes after all of them, is drawn again."""
    with explained(path):
        Image.fromarray(image).save(path, compress_level=level)


def _answered(question: Candidate, text: str, twin: str, masks: dict[str, str]) -> dict[str, Any]:
    """What a line of samples.jsonl says about a question; empty fields are left out."""
    row = {
        "question": text,
        "answer": question.answer,
        "answer_type": CLOSED if is_closed(text, question.answer) else OPEN,
        "question_type": [question.type],
        "twin": twin,
        "mask": masks.get(question.about, ""),
    }
    return {key: value for key, value in row.items() if value}


def _described(case: Case) -> dict[str, Any]:
    properties = ("side", "zone", "size", "count")
    findings = [
        {"kind": finding.kind.name} | {name: getattr(finding, name) for name in properties} for finding in case.findings
    ]
    return {"sequence": case.sequence, "contrast": case.contrast, "marker": case.marker, "findings": findings}


def _pair_questions(unit: Unit, fitting: list[list[Candidate]]) -> list[tuple[str, str]]:
    """One or two questions that fit both members and whose answers differ: (key, wording)."""
    random = unit.random(TEXT)
    first, second = ({question.key: question for question in side} for side in fitting)
    differing = [
        key
        for key in first
        if key in second and first[key].answer != second[key].answer and first[key].wordings == second[key].wordings
    ]
    order = [differing[k] for k in random.permutation(len(differing))][: int(random.integers(1, 3))]
    return [(key, str(random.choice(first[key].wordings))) for key in order]
