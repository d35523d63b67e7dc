"""Splits that keep apart what belongs together: a validation part out of train, and image-disjoint folds. No torch.

What belongs together is found as connected components: samples share a component when they share an image, a group
(case, anatomy), a patient, a study or an image pair. Each component goes to one part as a whole, so that none of these
is divided between two parts.
The same samples, numbers and seed give the same split whatever the order of the samples.
"""

import random
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Literal

from discern_vqa.data.answers import normaliser
from discern_vqa.data.rephrased import link_of
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError


def hold_out_validation(
    samples: Sequence[Sample], ratio: float, by: Literal["image", "question"] = "image", seed: int = 0
) -> tuple[list[Sample], list[Sample]]:
    """(train, validation): about `ratio` of the questions, and no more, become validation, both in the order of
    `samples`, the training split. Raises DataError when there is too little to take the part from.

    `by` "image" holds out whole images with their captions, which train then does not show. "question" mirrors
    VQA-RAD's usual test split, whose images are all in train: validation consists of questions that are no template
    re-phrasings. Their re-phrasings stay in train. A question is not separated from its repetitions and its paraphrase
    (same image, type and answer).
    """
    if not ratio:
        return list(samples), []
    units = components(samples) if by == "image" else question_units(samples)
    wanted = ratio * sum(not sample.is_caption for sample in samples)
    chosen: set[int] = set()
    taken = 0
    for unit in _shuffled(units, samples, seed):
        questions = sum(not samples[place].is_caption for place in unit)
        if questions and taken + questions <= wanted:
            taken += questions
            chosen.update(unit)
    if not taken:
        raise DataError(
            f"no validation part of {ratio:.0%} can be held out of {len(samples)} samples by {by}",
            hint="raise the ratio, hold out by 'question', or give more data",
        )
    train = [sample for place, sample in enumerate(samples) if place not in chosen]
    validation = [replace(sample, split="validation") for place, sample in enumerate(samples) if place in chosen]
    return train, validation


def image_disjoint(
    samples: Sequence[Sample], folds: int, fold: int, seed: int = 0
) -> tuple[list[Sample], list[Sample]]:
    """(train, test) of one of `folds` folds, with no image, group or image pair in both.

    `samples` are those of all splits. The fold's images are its test images; train is every sample of the other images.
    Of the test images only questions as people asked them are tested: template re-phrasings ("frame") and captions of
    test images are in neither part. The folds are balanced by the number of questions, and together test every
    such question once.

    Raises ConfigError when there is no such fold, DataError when there are fewer independent groups of images than
    folds.
    """
    if folds < 2 or not 0 <= fold < folds:
        raise ConfigError(
            f"there is no fold {fold} of {folds}; expected at least 2 folds and 0 <= fold < folds",
            hint="use 5 folds and fold 0, 1, 2, 3, 4",
        )
    units = components(samples)
    if len(units) < folds:
        raise DataError(
            f"{len(units)} independent groups of images cannot be divided into {folds} folds", hint="use fewer folds"
        )
    loads, test_places = [0] * folds, set()

    def load(unit: list[int]) -> int:
        return sum(is_evaluated(samples[place]) for place in unit)

    for unit in sorted(_shuffled(units, samples, seed), key=load, reverse=True):
        lightest = loads.index(min(loads))
        loads[lightest] += load(unit)
        if lightest == fold:
            test_places.update(unit)
    train = [replace(sample, split="train") for place, sample in enumerate(samples) if place not in test_places]
    test = [replace(samples[place], split="test") for place in sorted(test_places) if is_evaluated(samples[place])]
    return train, test


def components(samples: Sequence[Sample]) -> list[list[int]]:
    """The places of the samples that are connected by image, group, patient, study or image pair: a list for each
    component."""
    names = ("image", "group", "patient", "study", "twin")
    keys = [[(name, key) for name in names if (key := getattr(sample, name))] for sample in samples]
    return connected(keys)


def is_evaluated(sample: Sample) -> bool:
    """Whether an evaluation split asks it: a question as people asked it, no template re-phrasing and no caption."""
    return not sample.is_caption and sample.phrase_type != "frame"


def question_units(samples: Sequence[Sample]) -> list[list[int]]:
    """What may be held out by question: questions with their repetitions and paraphrases, without re-phrasings.

    A question and its paraphrase are connected by the data set's own link (`extra["linked"]`) where it has one.
    Elsewhere a paraphrase ("para") is connected with the questions of the same image, type and answer.
    """
    plain = normaliser("m3ae")
    keys: list[list[Hashable]] = []
    for sample in samples:
        about = (sample.image, plain(sample.question))
        bonds: list[Hashable] = [("question", *about)]
        if sample.twin:
            bonds.append(("twin", sample.twin))
        if linked := link_of(sample):
            bonds.append(("linked", linked))
        elif sample.phrase_type in ("freeform", "para"):
            bonds.append(("answer", sample.image, sample.kind, plain(sample.answer)))
        keys.append(bonds)
    return [unit for unit in connected(keys) if all(is_evaluated(samples[place]) for place in unit)]


def connected(keys: Sequence[Sequence[Hashable]]) -> list[list[int]]:
    """Union-find: places that share a key, directly or through others, form one list; in order of appearance."""
    parent = list(range(len(keys)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = place = parent[parent[place]]
        return place

    first: dict[Hashable, int] = {}
    for place, shared in enumerate(keys):
        for key in shared:
            parent[root(place)] = root(first.setdefault(key, place))
    units: dict[int, list[int]] = defaultdict(list)
    for place in range(len(keys)):
        units[root(place)].append(place)
    return list(units.values())


def _shuffled(units: list[list[int]], samples: Sequence[Sample], seed: int) -> list[list[int]]:
    """The units in an order that depends on the seed and on the samples' ids alone."""
    ordered = sorted(units, key=lambda unit: min(samples[place].id for place in unit))
    random.Random(seed).shuffle(ordered)
    return ordered
