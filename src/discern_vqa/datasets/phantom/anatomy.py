"""One anatomy: what its one or two images show, how they are exposed, and the drawing of them.

Each kind of randomness has a stream of its own, so that the images of a pair share body, pose, exposure and noise.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from discern_vqa.data.sample import SPLITS
from discern_vqa.datasets.phantom import abdomen, chest, head
from discern_vqa.datasets.phantom.canvas import Canvas, Exposure, Mask, Pose, expose
from discern_vqa.datasets.phantom.findings import (
    NUMBERS,
    REGIONS,
    Case,
    Finding,
    Kind,
    cells,
    changed,
    draw_findings,
    kinds,
    pair_differences,
)

_ANATOMY, _EXPOSURE, _FINDINGS, TEXT, _NOISE = range(5)  # streams of randomness


@dataclass(frozen=True)
class Unit:
    """One anatomy: a single image, or an image pair."""

    seed: int
    split: str
    number: int
    pair: bool
    size: int
    regions: tuple[str, ...] = REGIONS

    @property
    def group(self) -> str:
        return f"{self.split}-{self.number:05d}"

    def random(self, stream: int, member: int = 0) -> np.random.Generator:
        return np.random.default_rng([self.seed, SPLITS.index(self.split), self.number, stream, member])


def plan(
    counts: Mapping[str, int], seed: int, size: int, twins: float, regions: tuple[str, ...] = REGIONS
) -> list[Unit]:
    """The anatomies of every split: `counts[split]` images, of which a share `twins` are members of a pair."""
    share = twins / (2 - twins)  # of anatomies that are drawn twice
    units = []
    for split, images in counts.items():
        number, left = 0, images
        while left > 0:
            pair = left > 1 and math.floor((number + 1) * share + 1e-9) > math.floor(number * share + 1e-9)
            units.append(Unit(seed, split, number, pair, size, regions))
            number, left = number + 1, left - (2 if pair else 1)
    return units


def invent(unit: Unit) -> tuple[list[Case], Exposure]:
    """What the unit's one or two images show, and how they are exposed."""
    random = unit.random(_FINDINGS)
    region = unit.regions[unit.number % len(unit.regions)]
    modality, sequence, contrast = "x-ray", "x-ray", False
    if region == "abdomen":
        modality, sequence, contrast = "ct", "ct", bool(random.random() < 0.5)
    if region == "head":
        sequence = str(random.choice(["ct", "ct", "ct", "ct", "t1", "t2", "flair"]))
        modality = "ct" if sequence == "ct" else "mri"
    marker = ("L", "R", "")[int(random.integers(3))]
    available = kinds(region, modality)
    number = int(random.choice(len(NUMBERS), p=NUMBERS))
    case = Case(region, modality, sequence, contrast, marker, ())
    exposure = _exposure(unit, region, modality, marker)
    if not unit.pair:
        return [replace(case, findings=draw_findings(random, available, number))], exposure
    for _ in range(100):
        pair = _image_pair(random, case, available)
        if pair is not None:
            return pair, exposure
    raise AssertionError("no image pair could be drawn in 100 attempts")


def _image_pair(random: np.random.Generator, case: Case, available: Sequence[Kind]) -> list[Case] | None:
    """Two cases that differ in one finding, in random order; None when two findings would share a place."""
    (subject,) = draw_findings(random, available, 1)
    way = str(random.choice(pair_differences(subject)))
    other = changed(random, subject, way, available)
    rest: tuple[Finding, ...] = ()
    if way != "kind" and random.random() < 0.5:
        rest = draw_findings(random, available, 1, (subject,))[1:]
        if other is not None and any(not cells(other).isdisjoint(cells(finding)) for finding in rest):
            return None
    findings = ((subject, *rest), rest if other is None else (other, *rest))
    pair = [replace(case, findings=of_member) for of_member in findings]
    return pair[:: 1 if random.random() < 0.5 else -1]


def _exposure(unit: Unit, region: str, modality: str, marker: str) -> Exposure:
    random = unit.random(_EXPOSURE)
    draw = random.uniform
    noise = {"x-ray": (0.010, 0.022), "ct": (0.012, 0.028), "mri": (0.010, 0.024)}[modality]
    shading = {"x-ray": 0.02, "ct": 0.0, "mri": 0.05}[modality]
    borders = [draw(0.01, 0.06) if region == "chest" and random.random() < 0.35 else 0.0 for _ in range(4)]
    return Exposure(
        gain=draw(0.92, 1.08),
        offset=draw(-0.015, 0.03),
        gamma=draw(0.88, 1.14),
        blur=draw(0.35, 0.75),
        noise=draw(*noise),
        shading=shading,
        marker=marker,
        marker_place=(draw(0.035, 0.08), draw(0.05, 0.14)),
        borders=(borders[0] * 0.6, borders[1] * 0.6, borders[2], borders[3]),
    )


def render(unit: Unit, case: Case, exposure: Exposure) -> tuple[NDArray[np.uint8], dict[str, Mask]]:
    """The 8-bit image of a case, and the mask of each finding by its kind's name."""
    random = unit.random(_ANATOMY)
    draw = random.uniform
    turn = 0.05 if case.region == "chest" else 0.09
    stretch = draw(0.94, 1.03)
    wide, high = (1.04, 1.12) if case.region == "abdomen" else (1.0, 1.0)
    pose = Pose(
        turn=float(draw(-turn, turn)),
        shift=(float(draw(-0.045, 0.045)), float(draw(-0.04, 0.04))),
        scale=(float(stretch * wide * draw(0.97, 1.03)), float(stretch * high * draw(0.97, 1.03))),
    )
    canvas = Canvas(unit.size, pose, random)
    if case.region == "chest":
        masks = chest.draw(canvas, random, case.findings)
    elif case.region == "head":
        masks = head.draw(canvas, random, case.findings, case.sequence)
    else:
        masks = abdomen.draw(canvas, random, case.findings, case.contrast)
    return expose(canvas.image, exposure, unit.random(_NOISE)), masks
