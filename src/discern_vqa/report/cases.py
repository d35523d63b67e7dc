"""The report's examples: which questions are shown (by rule, never by hand), and their images as data URIs. No torch.

Images are at most 320 pixels wide and high. Heat maps and outlines are layers of their own over the image, so
that the reader can take them away.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from discern_vqa.data.answers import Answer, normaliser
from discern_vqa.data.judged import Verdict
from discern_vqa.errors import ImageError
from discern_vqa.imaging.image_ref import file_of
from discern_vqa.imaging.images import open_image
from discern_vqa.pages import data_uri
from discern_vqa.report.read import RunFiles
from discern_vqa.scoring.metrics import rights, twin_pairs
from discern_vqa.scoring.predictions import Prediction

SIDE = 320
_HEAT_SIDE = 160  # a heat map is smooth: the browser may enlarge it
_COOL, _HOT = np.array([255.0, 190.0, 60.0]), np.array([225.0, 35.0, 40.0])
_OUTLINE = (34, 211, 238, 255)


@dataclass(frozen=True)
class Case:
    """One question as a card: the row, whether it is right, and its image ("" where there is none) with layers."""

    row: Prediction
    right: bool
    picture: str
    gone: str  # why there is no picture, where that is known
    is_wide: bool
    heat: str
    outline: str
    bars: list[tuple[str, float, bool]]  # answer, score, whether it is the true one
    verdict: Verdict | None = None  # None where the run is neither calibrated nor has a detector
    by: str = ""  # the run that answered, where several did

    @property
    def tags(self) -> list[str]:
        row = self.row
        return [tag for tag in (row.organ, row.question_type, row.answer_type, row.phrase_type) if tag]


@dataclass(frozen=True)
class Group:
    """Cards under one heading; `rule` says how they were chosen. The images of a pair come together."""

    title: str
    rule: str
    sets: list[list[Case]]


def gallery(run: RunFiles, most: int = 24) -> list[Group]:
    """Up to `most` cards: image pairs, confident mistakes, confident right answers."""
    right = rights(run.rows, run.scores.get("normaliser", "m3ae"))
    maker = _CardMaker(run, right)
    pairs = _spread_pairs(maker)[: most // 6]
    left = most - 2 * len(pairs)
    wrong = _spread(maker, np.flatnonzero(~right).tolist())[: left // 2]
    good = _spread(maker, np.flatnonzero(right).tolist())[: left - len(wrong)]
    per_image = "one per image, the question types in turn"
    first = [
        *(["those with a heat map"] if run.heat else []),
        *(["those that it answers"] if run.calibration or run.within else []),
    ]
    per_image += f"; {' and '.join(first)} first" if first else ""
    groups = [
        Group(
            "Image pairs",
            "two images that differ in one finding, the same question: who does not look cannot get both right. "
            "Pairs with both right and pairs with a mistake in turn",
            [[maker.case(i) for i in pair[:2]] for pair in pairs],
        ),
        Group("Mistakes, the most confident first", per_image, [[maker.case(i)] for i in wrong]),
        Group("Right answers, the most confident first", per_image, [[maker.case(i)] for i in good]),
    ]
    # A page whose first example is an answer withheld shows nothing of what the model does.
    shown = [group for group in groups if group.sets]
    return sorted(shown, key=lambda group: maker.abstains(group.sets[0][0].row))


def disagreements(runs: Sequence[RunFiles], names: Sequence[str], most: int = 6) -> list[Group]:
    """Questions that just one of the first two runs has right, up to `most` of each kind; a card for every run.

    runs: they answer the same questions; names: what each is called on the page.
    """
    how = runs[0].scores.get("normaliser", "m3ae")
    rows = [{row.id: row for row in run.rows} for run in runs]
    lined = [replace(run, rows=[by_id[row.id] for row in runs[0].rows]) for run, by_id in zip(runs, rows, strict=True)]
    right = [rights(run.rows, how) for run in lined]
    makers = [_CardMaker(run, is_right) for run, is_right in zip(lined, right, strict=True)]
    groups = []
    for winner, loser in ((0, 1), (1, 0)):
        only = [i for i in range(len(lined[0].rows)) if right[winner][i] and not right[loser][i]]
        chosen = _spread(makers[loser], only)[:most]
        cards = [[replace(maker.case(i), by=name) for maker, name in zip(makers, names, strict=True)] for i in chosen]
        rule = f"{len(only):,} of {len(lined[0].rows):,} questions; those that {names[loser]} is surest about first"
        groups.append(Group(f"{names[winner]} is right, {names[loser]} is not", rule, cards))
    return [group for group in groups if group.sets]


def _spread(maker: "_CardMaker", places: Sequence[int]) -> list[int]:
    """Those that are answered first, those with a heat map before others, then the confident ones; one per image,
    taking the question types in turn."""
    run = maker.run
    ranked = sorted(places, key=lambda i: (maker.comes_late(run.rows[i]), -(run.rows[i].score or 0.0)))
    by_type: dict[str, list[int]] = {}
    images: set[str] = set()
    for place in ranked:
        row = run.rows[place]
        if row.image not in images:
            images.add(row.image)
            by_type.setdefault(row.question_type, []).append(place)
    return in_turn(by_type.values())


def _spread_pairs(maker: "_CardMaker") -> list[list[int]]:
    """Pairs whose first question is answered, and those with a heat map, before others; both right and not both right
    in turn; one pair per image."""
    run = maker.run
    pairs = sorted(twin_pairs(run.rows).values(), key=lambda pair: maker.comes_late(run.rows[pair[0]]))
    images: set[str] = set()
    kinds: dict[bool, list[list[int]]] = {True: [], False: []}
    for pair in pairs:
        if run.rows[pair[0]].image not in images:
            images.update(run.rows[i].image for i in pair)
            kinds[bool(maker.right[pair].all())].append(pair)
    piles = [pile for pile in kinds.values() if pile]
    return in_turn(sorted(piles, key=lambda pile: maker.comes_late(run.rows[pile[0][0]])))


def in_turn(piles: Iterable[list[Any]]) -> list[Any]:
    """One of each pile, then the second of each, and so on; None is in no pile."""
    return [item for turn in zip_longest(*piles) for item in turn if item is not None]


class _CardMaker:
    """Makes cards of rows; each image is encoded once."""

    def __init__(self, run: RunFiles, right: np.ndarray) -> None:
        self.run, self.right = run, right
        self.same = normaliser(run.scores.get("normaliser", "m3ae"))
        self.pictures: dict[str, tuple[str, tuple[int, int]]] = {}

    def case(self, place: int) -> Case:
        row = self.run.rows[place]
        picture, size = self._picture(row.image)
        true = {self.same(text) for text in row.truths}
        grid = self.run.heat.get(row.id, {}).get("grid")
        return Case(
            row=row,
            right=bool(self.right[place]),
            picture=picture,
            gone="" if picture else self.run.places()[1],
            is_wide=size[0] >= size[1],
            heat=_heat(grid, size) if grid and picture else "",
            outline=self._outline(row.mask, size) if row.mask and picture else "",
            bars=[(text, score, self.same(text) in true) for text, score in row.alternatives[:4]],
            verdict=self._verdict(row),
        )

    def comes_late(self, row: Prediction) -> tuple[bool, bool]:
        """Whether an example is better shown after others: nothing is answered, or there is no heat map."""
        return self.abstains(row), row.id not in self.run.heat

    def abstains(self, row: Prediction) -> bool:
        """Whether `ask` would rather not give this answer."""
        verdict = self._verdict(row)
        return verdict is not None and verdict.abstains

    def _verdict(self, row: Prediction) -> Verdict | None:
        """What `ask` would say of this answer."""
        within, calibration = self.run.within.get(row.id), self.run.calibration
        if row.score is None or (within is None and calibration is None):
            return None
        answer = Answer(row.prediction, row.score, row.alternatives, row.others, mode=row.mode, within=within)
        return (calibration.judge(answer) if calibration is not None else answer).verdict

    def _picture(self, image: str) -> tuple[str, tuple[int, int]]:
        if image not in self.pictures:
            opened = self._open(image)
            if opened is not None:
                opened.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
            self.pictures[image] = ("", (0, 0)) if opened is None else (data_uri(opened, quality=85), opened.size)
        return self.pictures[image]

    def _outline(self, mask: str, size: tuple[int, int]) -> str:
        opened = self._open(mask)
        if opened is None:
            return ""
        scale = SIDE / max(size)  # small images are enlarged by the browser; the line stays thin
        width, height = (max(1, round(side * scale)) for side in size)
        inside = opened.convert("L").point(lambda value: 255 if value else 0).resize((width, height))
        inside = inside.point(lambda value: 255 if value > 127 else 0)
        rim = np.asarray(inside.filter(ImageFilter.MaxFilter(5))) > np.asarray(inside)
        layer = np.zeros((*rim.shape, 4), dtype=np.uint8)
        layer[rim] = _OUTLINE
        return data_uri(Image.fromarray(layer), "PNG", optimize=True)

    def _open(self, name: str) -> Image.Image | None:
        """An image or a mask; None where it is nowhere or unreadable: the card says why."""
        try:
            path = self._below_root(name) or self.run.places()[0].get(name)
            return open_image(path) if path is not None else None
        except ImageError:
            return None

    def _below_root(self, name: str) -> Path | None:
        """Where most data sets have it: at its name below their folder. Nothing outside of that folder."""
        root = self.run.root
        if root is None or not root.is_dir():
            return None
        path = (root / name).resolve()
        return path if path.is_relative_to(root.resolve()) and file_of(path).is_file() else None


def _heat(grid: list[list[float]], size: tuple[int, int]) -> str:
    """The map as a transparent layer, scaled to its own least and greatest value.

    The grid covers the square that models look at: the image with its borders padded to equal sides.
    """
    values = np.asarray(grid, dtype=np.float64)
    values = values - values.min()
    values = values / (values.max() or 1.0)
    scale = _HEAT_SIDE / max(size)
    width, height = (max(1, round(side * scale)) for side in size)
    smooth = Image.fromarray((255 * values).astype(np.uint8)).resize((_HEAT_SIDE, _HEAT_SIDE), Image.Resampling.BICUBIC)
    left, top = (_HEAT_SIDE - width) // 2, (_HEAT_SIDE - height) // 2
    shown = np.asarray(smooth.crop((left, top, left + width, top + height)), dtype=np.float64) / 255
    layer = np.empty((height, width, 4), dtype=np.uint8)
    layer[..., :3] = _COOL + shown[..., None] * (_HOT - _COOL)
    layer[..., 3] = 190 * shown**1.2
    return data_uri(Image.fromarray(layer), "PNG", optimize=True)
