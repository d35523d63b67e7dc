"""Controls: the model's questions with a picture that is not the right one, and why one cannot be had. No torch here.

A model that does as well without the right picture does not look at it. Four wrong pictures, each with its own sense:

    blank_image         none at all: what is still right comes from the question
    noise_image         the picture's own points in another order: its greys without its shapes
    shuffled_image      another picture of the split, often of the same organ: a kind of picture the model knows
    wrong_organ_image   a picture of the split that shows another organ: nothing that is asked about is in it

docs/metrics.md says what is made of them (`reliance`, `mirror`).
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from discern_vqa.data.sample import Sample

Pictures = Literal["real", "blank", "noise"]


@dataclass(frozen=True)
class Control:
    """What is asked instead of the samples at `places`.

    Args:
        places: (n,) which of the samples are asked about.
        asked: (n,) the same questions, with the image that is shown instead.
        pictures: what the image source shows for that image.
        missing: why the control (or a part of it) cannot be had, "" where it can.
    """

    places: tuple[int, ...]
    asked: tuple[Sample, ...]
    pictures: Pictures = "real"
    missing: str = ""


def controls(samples: Sequence[Sample], seed: int = 0) -> dict[str, Control]:
    """Every control of these questions, by name; one without places cannot be had here."""
    everyone, asked = tuple(range(len(samples))), tuple(samples)
    return {
        "blank_image": Control(everyone, asked, "blank"),
        "noise_image": Control(everyone, asked, "noise"),
        "shuffled_image": _shuffled(samples, seed),
        "wrong_organ_image": _wrong_organ(samples, seed),
    }


def shuffled(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """Each sample with another image of the same list: images trade places in a cycle, so none keeps its own.

    Raises ValueError for samples of one image: there is no other.
    """
    images = list(dict.fromkeys(sample.image for sample in samples))
    if len(images) < 2:
        raise ValueError(f"{len(images)} image cannot be exchanged for another one")
    random.Random(seed).shuffle(images)
    other = dict(zip(images, images[1:] + images[:1], strict=True))
    paths = {sample.image: sample.path for sample in samples}
    return [_showing(sample, other[sample.image], paths) for sample in samples]


def wrong_organ(samples: Sequence[Sample], seed: int) -> dict[int, Sample]:
    """Position -> the sample with an image about which no question names the same organ; those that have none are out.

    An image is drawn from all that qualify, the same for all questions about an image.
    """
    organs: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        if sample.organ:
            organs[sample.image].add(sample.organ)
    images, paths = sorted(organs), {sample.image: sample.path for sample in samples}
    kinds = {image: frozenset(organs[image]) for image in images}
    there = {kind: [image for image in images if not kind & kinds[image]] for kind in set(kinds.values())}
    rng = random.Random(seed)
    other = {image: rng.choice(there[kinds[image]]) for image in images if there[kinds[image]]}
    return {
        place: _showing(sample, other[sample.image], paths)
        for place, sample in enumerate(samples)
        if sample.image in other
    }


def _shuffled(samples: Sequence[Sample], seed: int) -> Control:
    if len({sample.image for sample in samples}) < 2:
        return Control((), (), missing="the split has one image, and so no other to show")
    return Control(tuple(range(len(samples))), tuple(shuffled(samples, seed)))


def _wrong_organ(samples: Sequence[Sample], seed: int) -> Control:
    found, named = wrong_organ(samples, seed), {sample.organ for sample in samples if sample.organ}
    if not named:
        return Control((), (), missing="the data name no organ")
    if not found:
        only = f"the data name one organ only, {next(iter(named))}"
        return Control((), (), missing=only if len(named) == 1 else "every image shows an organ of every other")
    rest = len(samples) - len(found)
    missing = f"{rest:,} of {len(samples):,} questions are about images without a known organ" if rest else ""
    return Control(tuple(found), tuple(found.values()), missing=missing)


def _showing(sample: Sample, image: str, paths: Mapping[str, Path]) -> Sample:
    return replace(sample, image=image, path=paths[image])
