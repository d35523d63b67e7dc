"""Which samples a recipe learns from and which it is tested on. The test rows of a recipe are read by `evaluate`
alone; learning gets train and validation, and nothing else leaves this file."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from discern_vqa import registry
from discern_vqa.config import DataConfig
from discern_vqa.data.answers import NORMALISERS, AnswerVocabulary
from discern_vqa.data.fault import Fault
from discern_vqa.data.folds import without_fold
from discern_vqa.data.sample import Sample
from discern_vqa.data.splits import hold_out_validation, image_disjoint
from discern_vqa.errors import ConfigError, DataError
from discern_vqa.files import explained
from discern_vqa.paths import cache_dir, find_data
from discern_vqa.reading import split_files
from discern_vqa.reading.options import require_fit
from discern_vqa.reading.records import parse_json, present_splits, read_text


def find_root(choice: DataConfig, given: Path | None = None) -> Path:
    """The data set's folder: `given` (`--data`), the recipe's `root`, a drawn phantom set, or wherever data lies."""
    if given is not None or choice.root:
        root = given or Path(choice.root)
        # A single file is a data set too (neutral JSONL).
        return root if root.is_file() else find_data(choice.dataset, root)
    if choice.dataset == "phantom" and choice.draw:
        return _drawn(choice.draw)
    return find_data(choice.dataset)


class Samples:
    """The samples of a recipe. Each split is read from disk once, when it is first wanted.

    Args:
        choice: the recipe's [data]. root: the data set's folder. seed: of what is held out for validation.
        may_lack_training: nothing is learned from a data set that has no such split, in place of an error: it is only
            asked, and by somebody else's model.
    """

    def __init__(self, choice: DataConfig, root: Path, seed: int = 0, may_lack_training: bool = False) -> None:
        self.choice, self.root, self.seed = choice, root, seed
        self._may_lack_training = may_lack_training and choice.protocol == "usual"
        self.reader = registry.reader(choice.dataset)
        self.faults = faults_of(choice)
        self._splits: dict[str, list[Sample]] = {}
        self._limit = choice.limit or None

    @cached_property
    def learning(self) -> tuple[list[Sample], list[Sample]]:
        """(train, validation): the data set's own validation split when it has one (and the recipe takes it), else held
        out of train. Without the fold that `data.out_of_fold` leaves out, and then without a validation part."""
        if self.choice.out_of_fold is None:
            return self._whole_learning
        fold, folds = self.choice.out_of_fold
        return without_fold(self._whole_learning[0], folds, fold, self.choice.validation_by)[0], []

    def fold(self) -> list[Sample]:
        """The questions of the fold that `data.out_of_fold` leaves out; none where it leaves out none."""
        if self.choice.out_of_fold is None:
            return []
        fold, folds = self.choice.out_of_fold
        return without_fold(self._whole_learning[0], folds, fold, self.choice.validation_by)[1]

    @cached_property
    def _whole_learning(self) -> tuple[list[Sample], list[Sample]]:
        choice, excluded = self.choice, excluded_images(self.choice)
        train = [sample for sample in self.learnable if Path(sample.image).name not in excluded]
        validation: list[Sample] = []
        if any(fault.chooses_on_test for fault in self.faults):
            validation = self.test("test")
        elif choice.refit == "none" and choice.validation_ratio and any(not sample.is_caption for sample in train):
            usual = choice.protocol == "usual" and choice.split == "train"
            if usual and choice.validation_from == "own" and "validation" in self._present():
                validation = self.read("validation")
            if not validation:
                ratio, by = choice.validation_ratio, choice.validation_by
                train, validation = hold_out_validation(train, ratio, by, self.seed)
        return part_of_images(train, choice.train_share)[: self._limit], _questions(validation)[: self._limit]

    def unused_validation(self) -> str:
        """What a user should know of the data set's own validation questions where this recipe does not choose on them;
        "" where it does, learns from them, or there are none."""
        choice = self.choice
        if choice.protocol != "usual" or choice.refit != "none" or "validation" not in self._present():
            return ""
        own = {sample.id for sample in _questions(self.read("validation"))}
        _, validation = self.learning
        if not own or own & {sample.id for sample in validation}:
            return ""
        kept = "" if validation else "; they are left for `discern calibrate`"
        way = 'data.validation_from="own"' if choice.validation_ratio else "a data.validation_ratio above 0"
        return (
            f"the data set's own {len(own):,} validation questions are not learned from, and nothing is chosen on "
            f"them{kept} ({way} chooses on them, data.refit learns from them too)"
        )

    def held_out(self) -> list[Sample]:
        """The questions that are not learned from: those of validation, or, where a recipe holds none out, the data
        set's own validation split. None where the set has none: no such part of its index, no such files, no such
        row."""
        _, validation = self.learning
        elsewhere = self.choice.protocol == "usual" and self.choice.refit == "none" and "validation" in self._present()
        if validation or not elsewhere:
            return validation
        return _questions(self.read("validation"))[: self._limit]

    def test(self, split: str) -> list[Sample]:
        """The questions that `evaluate` asks."""
        choice = self.choice
        split_files.require_no_protocol(choice.protocol, choice.index)
        if split not in (known := self._known()):
            raise ConfigError(f"{choice.dataset} has no split {split!r}", hint=f"it has: {', '.join(known)}")
        if split == "validation" and choice.refit != "none":
            raise ConfigError(
                f"the split {split!r} was learned from ([data] refit = {choice.refit!r}): nothing is measured on it",
                hint="evaluate a run of the same recipe with --set data.refit=none",
            )
        if choice.protocol == "image_disjoint" and split == "test":
            _, samples = image_disjoint(self._pooled(), choice.folds, choice.fold, seed=0)
        else:
            samples = self.read(split)
        if not (questions := _questions(samples)):
            raise DataError(f"{self.root}: the split {split!r} has no question", hint="choose another with --split")
        return questions[: self._limit]

    @cached_property
    def learnable(self) -> list[Sample]:
        """All that may be learned from, before validation is held out of it."""
        if self._may_lack_training and self.choice.split not in self._present():
            return []
        samples = self._learnable(self.choice.split)
        if self.choice.refit != "none" and self.choice.protocol == "usual" and "validation" in self._present():
            samples = samples + self.read("validation")
        return samples

    def vocabulary(self) -> list[Sample]:
        """The samples whose answers and words make the vocabularies: the whole training split (what is held out of it
        included) and those of the other data sets that the recipe names. Never validation or test files, unless that
        fault is imitated."""
        choice, samples = self.choice, self.learnable
        for fault in self.faults:
            for split in fault.vocabulary(self.reader.SPLITS):
                samples = samples + self.read(split)
        for name in choice.vocabulary_from:
            if name == choice.dataset:
                others = self._learnable("train")
            else:
                folder = other_folder(name, self.root, "vocabulary_from", "take it out of the recipe's list")
                changes = {"dataset": name, "split": "train", "index": "", "options": {}}
                others = Samples(choice.model_copy(update=changes), folder).learnable
            least = choice.vocabulary_min_count.get(name, 1)
            samples = samples + (others if least == 1 else _frequent(others, least, choice.normaliser))
        return samples

    def answer_vocabulary(self) -> AnswerVocabulary:
        """The vocabulary of the answers of `vocabulary`."""
        questions, choice = _questions(self.vocabulary()), self.choice
        answers, kinds = [sample.answer for sample in questions], [sample.answer_type for sample in questions]
        return AnswerVocabulary.from_answers(answers, choice.normaliser, choice.min_count, kinds)

    def read(self, split: str) -> list[Sample]:
        """A split as its reader gives it."""
        if split not in self._splits:
            choice = self.choice
            if split not in (known := self._known()):
                hint = f"it has: {', '.join(known)}"
                raise ConfigError(f"[data] split = {split!r}: {choice.dataset} has none", hint=hint)
            hint = f"see the docstring of discern_vqa.datasets.{choice.dataset}.read"
            require_fit(choice.dataset, self.reader.read, choice.options, "[data] options: ", hint)
            if choice.index:
                self._splits |= split_files.read(self.reader, self.root, Path(choice.index), choice.options)
            else:
                self._splits[split] = self.reader.read(self.root, split, **choice.options)
        return self._splits[split]

    def _learnable(self, split: str) -> list[Sample]:
        choice = self.choice
        split_files.require_no_protocol(choice.protocol, choice.index)
        if choice.protocol == "image_disjoint" and split == "train":
            return image_disjoint(self._pooled(), choice.folds, choice.fold, seed=0)[0]
        return self.read(split)

    def _pooled(self) -> list[Sample]:
        splits = [split for split in present_splits(self.reader, self.root) if split != "pretrain"]
        return [sample for split in splits for sample in self.read(split)]

    def _known(self) -> tuple[str, ...]:
        """The splits that can be named."""
        return split_files.parts(Path(self.choice.index)) if self.choice.index else self.reader.SPLITS

    def _present(self) -> tuple[str, ...]:
        """The splits that can be read: the index's where the recipe names one, else those whose files are there."""
        return self._known() if self.choice.index else present_splits(self.reader, self.root)


def excluded_images(choice: DataConfig) -> frozenset[str]:
    """The file names that `data.exclude` leads to. Raises DataError for a file that holds none."""
    names: set[str] = set()
    for given in choice.exclude:
        file = Path(given)
        content = parse_json(read_text(file), str(file), hint="correct the list")
        if isinstance(content, dict) and isinstance(content.get("against"), dict):
            content = content["against"].get("exclude")  # an audit's findings
        if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
            raise DataError(
                f"[data] exclude: {file} holds no image names",
                hint="give a JSON list of them, or: discern data audit SET ROOT --against OTHER ROOT2 --json FILE",
            )
        names |= {Path(name).name for name in content}
    return frozenset(names)


def _frequent(samples: list[Sample], least: int, normaliser: str) -> list[Sample]:
    """The questions whose answer occurs at least so often among them."""
    normalise = NORMALISERS[normaliser]
    questions = _questions(samples)
    counts = Counter(normalise(sample.answer) for sample in questions)
    return [sample for sample in questions if counts[normalise(sample.answer)] >= least]


def other_folder(name: str, root: Path, key: str, way_out: str) -> Path:
    """The folder of another data set: in the folder in which `root` lies, or wherever data lies.

    Raises DataError when it is in neither, naming the recipe's `key` and the `way_out`.
    """
    near = root.resolve().parent / name
    try:
        return near if near.is_dir() else find_data(name)
    except DataError as error:
        hint = f"put it into {near}, or its parent folder into DISCERN_DATA; or {way_out}"
        raise DataError(f"[data] {key} = {name!r}: {error}", hint=hint) from error


def faults_of(choice: DataConfig) -> list[Fault]:
    """The faults of published programs that the recipe imitates (`lab/faults.py`)."""
    return [registry.load("lab", "faults").FAULTS[name]() for name in choice.imitate]


def imitated(choice: DataConfig) -> list[str]:
    """What a reader must know of the faults that are imitated, a sentence each."""
    return [f"imitates {name}: {fault.says}" for name, fault in zip(choice.imitate, faults_of(choice), strict=True)]


def evaluated(choice: DataConfig, samples: list[Sample], batch: int) -> list[Sample]:
    """What is scored of the samples of an evaluation split: all, unless a fault is imitated that leaves some out."""
    for fault in faults_of(choice):
        samples = fault.evaluated(samples, batch)
    return samples


def part_of_images(samples: list[Sample], share: float) -> list[Sample]:
    """The samples of this share of the images (at least one), chosen by digests of their names."""
    if share == 1:
        return samples
    names = sorted({sample.image for sample in samples}, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    chosen = set(names[: max(1, round(share * len(names)))])
    return [sample for sample in samples if sample.image in chosen]


def _questions(samples: list[Sample]) -> list[Sample]:
    return [sample for sample in samples if not sample.is_caption]


def _drawn(arguments: dict[str, Any]) -> Path:
    """The phantom set of these arguments, drawn once into the user's cache."""
    from discern_vqa.datasets import phantom
    from discern_vqa.datasets.phantom.drawing import VERSION

    key = hashlib.sha256(json.dumps([VERSION, arguments], sort_keys=True).encode()).hexdigest()[:12]
    root = cache_dir() / "phantom" / key
    if not (root / "samples.jsonl").is_file():
        partial = root.with_name(f".{root.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        draw: Callable[..., None] = phantom.draw
        draw(partial, **arguments)
        shutil.rmtree(root, ignore_errors=True)
        with explained(root):
            partial.replace(root)
    return root
