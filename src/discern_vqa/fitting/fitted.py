"""What every baseline is, once it has learned: an answerer of questions that is kept as arrays and plain facts.

    given = Given.of(train, vocabulary, by="image")
    model = Model.fit(Config(), given)          model.answers(samples) -> one Answer each
    model.state() -> State                      Model.load(config, state, vocabulary, folder) -> the same answers

`discern train` fits one, keeps it in a run folder, and everything else (`evaluate`, `ask`, `calibrate`, ...) works on
it as on any run. A new baseline is one new file with `Config`, `Model` and `answer`.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from discern_vqa.config import Table
from discern_vqa.data.answers import Answer, AnswerVocabulary
from discern_vqa.data.sample import Sample
from discern_vqa.errors import RunError
from discern_vqa.files import atomic_path, atomic_write_text, from_json
from discern_vqa.fitting.shared import known_rows, stands

FACTS = "baseline.json"


@dataclass(frozen=True)
class Given:
    """What a baseline learns from.

    Args:
        rows: training questions whose answer is in the vocabulary.
        places: (n,) the answers' places in it.
        vocabulary: the answers that can be given.
        by: how a validation part is held out out of the rows to choose settings on: single questions, or whole images.
        held_out: questions to choose settings on instead, where the recipe holds some out.
        seed: of the random choice.
        weights: the folder of a pre-trained image encoder, for baselines that see images.
    """

    rows: list[Sample]
    places: NDArray[np.int64]
    vocabulary: AnswerVocabulary
    by: Literal["question", "image"] = "image"
    held_out: tuple[Sample, ...] = ()
    seed: int = 0
    weights: Path | None = None

    @classmethod
    def of(cls, train: Sequence[Sample], vocabulary: AnswerVocabulary, **more: Any) -> Self:
        """Of these training samples those that teach something. Raises DataError when none does."""
        rows, places = known_rows(train, vocabulary)
        return cls(rows, places, vocabulary, **more)


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
            content = from_json(facts.read_bytes())
            if not isinstance(content, dict):
                raise RunError(f"{facts} is broken: expected an object", hint="restore the file, or train again")
            return cls(content, load_file(arrays))
        except (OSError, ValueError, SafetensorError) as error:
            raise RunError(f"{facts.parent}: {facts.name} or {arrays.name} is missing or damaged: {error}",
                           hint="restore the file, or train again") from error  # fmt: skip


class Baseline(ABC):
    """A fitted baseline."""

    CONFIG: ClassVar[type[Table]]
    vocabulary: AnswerVocabulary

    @classmethod
    @abstractmethod
    def fit(cls, config: Any, given: Given) -> Self:
        """Learns; settings that the recipe leaves open are chosen on validation (`fitting.shared.choose`)."""

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

    @classmethod
    def at_once(
        cls, train: Sequence[Sample], test: Sequence[Sample], *, vocabulary: AnswerVocabulary, seed: int = 0
    ) -> list[Answer]:
        """Learns from `train` and answers `test`: the rows beside a model in `discern evaluate`.

        Settings are chosen on a validation that stands to the rest as `test` stands to `train`: of the test split only
        the images' names are looked at, and never an answer.
        """
        given = Given.of(train, vocabulary, seed=seed)
        given = Given(given.rows, given.places, vocabulary, stands(given.rows, test), seed=seed)
        return cls.fit(cls.CONFIG(), given).answers(test)


def counts_to(counts: Mapping[str, Mapping[int, int]]) -> NDArray[np.int64]:
    """Tables of counts as rows (number of the table, key, count), in their order."""
    rows = [(number, key, count) for number, found in enumerate(counts.values()) for key, count in found.items()]
    return np.array(rows, dtype=np.int64)


def counts_from(names: Sequence[str], rows: NDArray[np.int64]) -> dict[str, dict[int, int]]:
    """The inverse of `counts_to`."""
    counts: dict[str, dict[int, int]] = {name: {} for name in names}
    tables = list(counts.values())
    for number, key, count in rows.tolist():
        tables[number][key] = count
    return counts
