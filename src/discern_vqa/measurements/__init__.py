"""What `discern evaluate` measures of a run: one file for each measurement, found by its name. No torch here.

A measurement is a module of this folder with

    ORDER                 its place among the others: the keys of `scores.json` and all texts stand in this order
    measure(context)      -> {key: value} for `scores.json`; {} where there is nothing to measure

and, where it has something to show, any of

    lines(scores)         -> sentences for the terminal
    warnings(scores)      -> what a reader must know before believing the accuracy, a sentence each
    sentences(scores)     -> sentences for the summary at the top of the report
    tables(scores)        -> tables for the report
    groups(scores)        -> rows for the main table, below the model's own row

`scores` is the whole of `scores.json`; in files of older versions a key may be missing or null. Whoever has the
predictions of the baselines at hand adds the key "paired" to it (`baselines.paired_tests`). A new measurement is one
new file; there is no list to edit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from discern_vqa import registry
from discern_vqa.contracts import Measurement
from discern_vqa.data.answers import Answer
from discern_vqa.data.sample import Sample
from discern_vqa.scoring.page_tables import Table
from discern_vqa.scoring.predictions import Prediction

if TYPE_CHECKING:
    from discern_vqa.run import Run
    from discern_vqa.trust.calibration import Calibration

Scores = Mapping[str, Any]
"""The content of `scores.json`."""
Shown = Literal["real", "blank", "noise"]
"""What is shown in place of an image: itself, an empty image, or its own pixels in another order."""


class Asker(Protocol):
    """A run that is open and can be asked; `evaluation/asker.py` is one."""

    @property
    def modes(self) -> tuple[str, ...]:
        """Its ways of answering."""

    @property
    def shows(self) -> tuple[Shown, ...]:
        """What it can show in place of an image."""

    @property
    def generates_below(self) -> float:
        """The score of the best class below which the mode `hybrid` generates."""

    @property
    def unread(self) -> int:
        """How many questions of the split are longer than what the model reads of a question."""

    @property
    def baselines(self) -> Sequence[str]:
        """The names of the baselines that stand in the recipe and can learn from something."""

    @property
    def no_baselines(self) -> str:
        """Why there are none although they were wanted; else ""."""

    def answer(self, samples: Sequence[Sample], shown: Shown = "real") -> list[Answer]:
        """One answer to each of any questions, in the run's own way of answering."""

    def answers(self, mode: str) -> list[Answer]:
        """One answer to each question of the split, in this way of answering."""

    def prior_answers(self) -> list[Answer]:
        """One answer to each question of the split by the recipe's [prior] alone, without the network."""

    def baseline(self, name: str) -> list[Prediction]:
        """A baseline's predictions on the split; they are kept in the run folder."""

    def calibration(self) -> "Calibration":
        """The run's calibration, which is fitted on the held-out questions where there is none yet."""

    def out_of_distribution(self) -> dict[str, Any]:
        """How much of the split is taken for something else than the run learned from, or {"missing": why}."""


@dataclass(frozen=True)
class Context:
    """All that a measurement may use."""

    asker: Asker
    run: "Run"
    split: str
    samples: Sequence[Sample]  # the questions of the split
    rows: Sequence[Prediction]  # the run's answers to them, in the same order
    held_out: Sequence[Sample] = ()  # questions that the run did not learn from, to calibrate on
    is_calibrated: bool = False  # before this evaluation
    say: Callable[[str], None] = lambda text: None
    controls: dict[str, list[Prediction]] = field(default_factory=dict)  # `controls` fills it, `reliance` reads it

    @property
    def normalise(self) -> str:
        """How answers are compared."""
        return self.run.recipe.data.normaliser

    @property
    def folder(self) -> Path:
        """The run's."""
        return self.run.folder


@dataclass(frozen=True)
class Group:
    """Rows of the main table that belong together."""

    kind: Literal["baseline", "control", "mode"]
    title: str  # what they have in common, in lower case
    members: Mapping[str, Mapping[str, Any]]  # name -> figures by part ("overall", "open", ...)
    sees: Mapping[str, str] = field(default_factory=dict)  # name -> what it sees


def every() -> list[Measurement]:
    """All measurements, in their order."""
    modules = [registry.load("measurements", name) for name in registry.names("measurements")]
    return sorted(cast(list[Measurement], modules), key=lambda module: (module.ORDER, module.__name__))  # type: ignore[attr-defined]


def _collected(what: str, scores: Scores) -> list[Any]:
    """What the measurements that have the function `what` return, one after the other."""
    functions = [getattr(module, what, None) for module in every()]
    return [one for function in functions if function is not None for one in function(scores)]


def lines(scores: Scores) -> list[str]:
    return _collected("lines", scores)


def warnings(scores: Scores) -> list[str]:
    return _collected("warnings", scores)


def sentences(scores: Scores) -> list[str]:
    return _collected("sentences", scores)


def tables(scores: Scores) -> list[Table]:
    return _collected("tables", scores)


def groups(scores: Scores) -> list[Group]:
    """Rows for the main table, without empty groups."""
    return [group for group in _collected("groups", scores) if group.members]
