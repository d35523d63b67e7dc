"""What every baseline is, once it has learned: an answerer of questions that is kept as arrays and plain facts.

    model = Model.fit(Config(name="baselines.lookup"), Given.of(train, vocabulary))
    model.answers(samples) -> one Answer each
    model.state() -> State                      Model.load(config, state, vocabulary, folder) -> the same answers

`discern train` fits one, keeps it in a run folder, and everything else (`evaluate`, `ask`, `calibrate`, ...) works on
it as on any run. A new baseline is one new file with `Config`, `Model` and `answer`.
"""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from discern_vqa.config import Table
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.errors import RunError
from discern_vqa.files import atomic_path, atomic_write_text, read_json
from discern_vqa.fitting.given import Given, Setting, choose

FACTS = "baseline.json"


class NameTable(Table):
    """[model] of a baseline of which a recipe sets nothing."""

    name: str


class State(NamedTuple):
    """All that a fitted baseline knows: values of JSON, and arrays."""

    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def write(self, facts: Path, arrays: Path) -> None:
        """Two files, each whole or not at all; the arrays last, so that where they are the run has ended."""
        atomic_write_text(facts, json.dumps(self.facts, ensure_ascii=False))
        with atomic_path(arrays) as partial:
            save_file({name: np.ascontiguousarray(array) for name, array in self.arrays.items()}, partial)

    @classmethod
    def read(cls, facts: Path, arrays: Path) -> Self:
        """The inverse. Raises RunError for a missing or broken file."""
        try:
            return cls(read_json(facts), load_file(arrays))
        except (OSError, SafetensorError) as error:
            problem = f"{arrays} is missing or damaged: {error}"
            raise RunError(problem, hint="restore the file, or train again") from error


class Baseline(ABC):
    """A fitted baseline."""

    vocabulary: AnswerVocabulary

    @classmethod
    @abstractmethod
    def fit(cls, config: Any, given: Given) -> Self:
        """Learns; settings that the recipe leaves open are chosen on validation (`fitting.given.choose`)."""

    @classmethod
    @abstractmethod
    def load(cls, config: Any, state: State, vocabulary: AnswerVocabulary, folder: Path) -> Self:
        """The inverse of `state`. folder: the run's, for architecture files of encoders."""

    @abstractmethod
    def state(self) -> State:
        """What `load` needs to give the same answers again."""

    @abstractmethod
    def answers(self, samples: Sequence[Sample]) -> list[Answer]:
        """One for each question: the answer with a score in [0, 1], and the next best. Reads no sample's answer."""

    def forget(self, images: Collection[str]) -> None:  # noqa: B027 (most keep nothing)
        """Frees what is kept of these images: nobody asks about them again soon."""


class SamplesBaseline(Baseline, Generic[Setting]):
    """A baseline that needs nothing but samples, so that it may also stand beside other runs. A recipe sets nothing of
    it: its setting is chosen on validation out of `SETTINGS`, the best guess first."""

    SETTINGS: ClassVar[Sequence[Any]] = (None,)

    @classmethod
    @abstractmethod
    def learned(cls, setting: Setting, given: Given) -> Self:
        """From all rows, with this setting."""

    @classmethod
    def best_setting(cls, given: Given) -> Setting:
        """The one whose answers are most often right on validation."""

        def prepare(learn: Given, ask: Sequence[Sample]) -> Callable[[Setting], list[Answer]]:
            return lambda setting: cls.learned(setting, learn).answers(ask)

        return choose(cls.SETTINGS, prepare, given)

    @classmethod
    def fit(cls, config: Any, given: Given) -> Self:
        return cls.learned(cls.best_setting(given), given)

    @classmethod
    def at_once(
        cls, train: Sequence[Sample], test: Sequence[Sample], *, vocabulary: AnswerVocabulary, seed: int = 0
    ) -> list[Answer]:
        """Learns from `train` and answers `test`: the rows beside a model in `discern evaluate`."""
        return cls.fit(None, Given.of(train, vocabulary).to_answer(test, seed)).answers(test)


def counts_to(counts: Mapping[str, Mapping[int, int]]) -> NDArray[np.int64]:
    """Tables of counts as rows (number of the table, key, count), in their order."""
    rows = [(number, key, count) for number, table in enumerate(counts.values()) for key, count in table.items()]
    return np.array(rows, dtype=np.int64)


def counts_from(names: Sequence[str], rows: NDArray[np.int64]) -> dict[str, Counter[int]]:
    """The inverse of `counts_to`."""
    tables: list[Counter[int]] = [Counter() for _ in names]
    for number, key, count in rows.tolist():
        tables[number][key] = count
    return dict(zip(names, tables, strict=True))
