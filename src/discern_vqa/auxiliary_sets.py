"""Auxiliary data sets of a recipe (`data.auxiliary`): what is learned from in addition to the recipe's own set."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from discern_vqa import registry
from discern_vqa.config import DataConfig, auxiliary_name
from discern_vqa.data.answers import AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.recipe_samples import excluded_images, other_folder, part_of_images

_NAMES = ("id", "image", "group", "patient", "study", "twin", "source")
"""What of a sample names something of its set."""


def folder_of(entry: str, root: Path) -> Path:
    """Where an auxiliary set lies: next to `root`, or wherever data lies. Raises DataError when it is in neither."""
    return other_folder(auxiliary_name(entry), root, "auxiliary", "learn without it: --set data.auxiliary=")


def auxiliary_samples(choice: DataConfig, entry: str, folder: Path, answers: AnswerVocabulary) -> list[Sample]:
    """The samples of one auxiliary set in `folder`, as many and which the recipe says: of the recipe's own split where
    the set has one of that name, else its training questions. Captions come from "pretrain" alone. Their names (images,
    patients, questions) get the set's name in front, so that no two sets' are taken for one.

    Raises DataError when no answer is in the vocabulary.
    """
    reader, name, excluded = registry.reader(entry.partition(":")[0]), auxiliary_name(entry), excluded_images(choice)
    split = choice.split if choice.split in reader.SPLITS else "train"
    samples = [sample for sample in reader.read(folder, split) if Path(sample.image).name not in excluded]
    if split == "train":
        samples = [sample for sample in samples if not sample.is_caption]
    samples = part_of_images(samples, choice.train_share)
    known = [sample.is_caption or answers.index(sample.answer) >= 0 for sample in samples]
    if not any(known):
        raise DataError(
            f"{folder}: none of its training questions has an answer that is in the vocabulary of {choice.dataset}",
            hint=f"take {entry!r} out of the recipe's data.auxiliary",
        )
    rows = [row for row, is_known in enumerate(known) if is_known or choice.auxiliary_outside == "keep"]
    if choice.auxiliary_limit:
        # Known answers first, then the rest, each in an order drawn once and for all. The word is part of the seed.
        drawn = random.Random("beside").sample(rows, len(rows))
        rows = sorted(sorted(drawn, key=lambda row: not known[row])[: choice.auxiliary_limit])
    return [_named_after(name, samples[row]) for row in rows]


def _named_after(name: str, sample: Sample) -> Sample:
    changes: dict[str, Any] = {key: f"{name}:{value}" for key in _NAMES if (value := getattr(sample, key))}
    return replace(sample, **changes)


def refuse_leak(choice: DataConfig, before: DataConfig, from_run: Path, takes_table: bool) -> None:
    """Raises ConfigError where an earlier run, from which this recipe goes on, has seen what this recipe tests on: it
    learned from the same data set, or (where its vocabulary is taken over) from that set's answers, and
    the set in another way."""
    name = choice.dataset
    is_auxiliary = name in map(auxiliary_name, before.auxiliary)
    learned = is_auxiliary or (name == before.dataset and before.split == "train")
    in_table = takes_table and name in (before.dataset, *before.vocabulary_from)
    if not (learned or in_table):
        return
    usual = choice.protocol == "usual" and not choice.index
    keys = ("protocol", "index") if usual else ("protocol", "index", "folds", "fold")
    different = [key for key in keys if getattr(choice, key) != getattr(before, key)]
    if is_auxiliary and not usual:  # an auxiliary set is split as it was published
        different = ["protocol"]
    own_validation = choice.validation_from == "own" and "validation" in registry.reader(name).SPLITS
    if is_auxiliary and usual and choice.validation_ratio and not own_validation:
        raise ConfigError(
            f"{from_run} was learned from all training questions of {name}, of which this recipe holds some out to "
            "choose on",
            hint=f"train it anew without {name} in data.auxiliary, or hold nothing out: --set data.validation_ratio=0",
        )
    if different:
        wanted = " ".join(f"--set data.{key}={getattr(choice, key)}" for key in keys if getattr(choice, key) != "")
        if is_auxiliary:
            wanted = f"a list data.auxiliary without {name}"
        what = "was learned from questions" if learned else "has a vocabulary with answers"
        or_else = "" if learned else ", or begin the vocabulary anew: --set run.answer_head=per_dataset"
        raise ConfigError(
            f"{from_run} {what} about images that this recipe tests on: there {name} is split in another way "
            f"({', '.join(f'[data] {key}' for key in different)})",
            hint=f"train it anew with {wanted}{or_else}",
        )
