"""Controls: the model's questions with an image that is not the right one, and why one is left out. No torch here.

A model that does as well without the right image does not look at it. Four wrong images, each with its own sense:

    blank_image         an empty image: what is still right comes from the question
    noise_image         the image's own pixels in another order: its greys without its shapes
    shuffled_image      another image of the split, often of the same organ: a kind of image the model knows
    wrong_organ_image   an image of the split that shows another organ: nothing that is asked about is in it

docs/metrics.md says what is made of them (`reliance`, `mirror`).
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import Sample
from discern_vqa.measurements import Context, Group, Scores, Shown
from discern_vqa.scoring import predictions
from discern_vqa.scoring.metrics import brief
from discern_vqa.scoring.page_tables import Table, table_of

ORDER = 20
SEES = {
    "blank_image": "the model, shown an empty image",
    "noise_image": "the model, shown the image's own pixels in another order",
    "shuffled_image": "the model, shown another question's image",
    "wrong_organ_image": "the model, shown another organ",
}


def measure(context: Context) -> Mapping[str, Any]:
    """{"controls": {name: figures}, "controls_left_out": {name: why}}. The answers of each control are kept as
    `controls/<control>.<split>.jsonl`."""
    figures, left_out = {}, {}
    for name, control in controls(context.samples).items():
        can_show = control.shown in context.asker.shows
        if control.missing or not can_show:
            left_out[name] = control.missing or "a baseline's images cannot be exchanged for noise"
        if control.places and can_show:
            asked = [context.samples[place] for place in control.places]
            rows = predictions.from_answers(asked, context.asker.answer(control.asked, control.shown))
            predictions.write(context.folder / "controls" / f"{name}.{context.split}.jsonl", rows)
            context.controls[name] = rows
            figures[name] = brief(rows, context.normalise)
    return {"controls": figures, "controls_left_out": left_out}


def lines(scores: Scores) -> list[str]:
    return [f"left out: {name}: {why}" for name, why in (scores.get("controls_left_out") or {}).items()]


def warnings(scores: Scores) -> list[str]:
    """A sentence for each control that reaches the model's interval; none where `reliance` has a paired interval, since
    that decides."""
    model = scores["overall"]
    paired = ((scores.get("reliance") or {}).get("overall") or {}).get("ci95")
    if not model.get("ci95") or paired:
        return []
    low, high = model["ci95"]
    reached = {name: (one.get("overall") or {}).get("accuracy") for name, one in (scores.get("controls") or {}).items()}
    return [
        f"the image hardly matters to this model: {name} reaches {100 * accuracy:.1f}, the model's interval is "
        f"{100 * low:.1f} to {100 * high:.1f}"
        for name, accuracy in reached.items()
        if accuracy is not None and accuracy >= low
    ]


def tables(scores: Scores) -> list[Table]:
    table = table_of("controls_left_out", "Controls that were left out", scores.get("controls_left_out") or {})
    return [table] if table else []


def groups(scores: Scores) -> list[Group]:
    members = scores.get("controls") or {}
    return [Group("control", "controls (the model, without the right image)", members, SEES)]


@dataclass(frozen=True)
class Control:
    """What is asked instead of the samples at `places`."""

    places: tuple[int, ...]  # (n,)
    asked: tuple[Sample, ...]  # (n,) the same questions, with the image that is shown instead
    shown: Shown = "real"
    missing: str = ""  # why the control (or a part of it) is left out


def controls(samples: Sequence[Sample], seed: int = 0) -> dict[str, Control]:
    """Every control of these questions, by name; one without places is left out."""
    everyone, asked = tuple(range(len(samples))), tuple(samples)
    no_other = Control((), (), missing="the split has one image, and so no other to show")
    has_other = len({sample.image for sample in samples}) > 1
    return {
        "blank_image": Control(everyone, asked, "blank"),
        "noise_image": Control(everyone, asked, "noise"),
        "shuffled_image": Control(everyone, tuple(shuffled(samples, seed))) if has_other else no_other,
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
    candidates = {kind: [image for image in images if not kind & kinds[image]] for kind in set(kinds.values())}
    rng = random.Random(seed)
    replacement = {image: rng.choice(candidates[kinds[image]]) for image in images if candidates[kinds[image]]}
    return {
        position: _showing(sample, replacement[sample.image], paths)
        for position, sample in enumerate(samples)
        if sample.image in replacement
    }


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
