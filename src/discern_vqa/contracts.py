"""What each kind of part has to have, as types that mypy checks. A part is a module of its folder, found by its name
(`registry`): `datasets/` holds a Reader each, `models/` a Model, `objectives/` an Objective, `baselines/` a BaselineRow
or a FittedBaseline or both, `outside/` an Outside, `explanations/` an ExplanationMethod, `audit/` an AuditCheck,
`measurements/` a Measurement. docs/adding.md walks through each of them; `tests/test_contracts.py` holds every module
that is there against its contract.

Nothing is imported here when the program runs, so that every room may use this file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from discern_vqa.asking.requests import OutsideModel
    from discern_vqa.asking.tables import AskedTable
    from discern_vqa.audit.inputs import AuditInputs
    from discern_vqa.bases import ModelBase, ModelConfig, ObjectiveBase, ObjectiveConfig
    from discern_vqa.config import Table
    from discern_vqa.data.answers import Answer
    from discern_vqa.data.batch import Inputs
    from discern_vqa.data.sample import Sample
    from discern_vqa.fitting.fitted import Baseline as Fitted
    from discern_vqa.imaging.regions import Region
    from discern_vqa.measurements import Context

Json = dict[str, Any]
"""What `json.dumps` takes: figures and texts by name."""


class Reader(Protocol):
    """A data set. Optional: `SOURCE` and `GET` (where it can be downloaded), `WHOLE`, `LEFT_OUT`, `present`,
    `regions`."""

    __name__: str
    SUMMARY: str  # its name and what it holds, in one line
    LICENCE: str  # under what it may be used

    @property
    def SPLITS(self) -> tuple[str, ...]:
        """Those that `read` knows."""

    @property
    def PUBLISHED(self) -> Mapping[str, int]:
        """Questions by split as its paper says; empty where it does not."""

    @property
    def read(self) -> Callable[..., list[Sample]]:
        """(root: Path, split: str, **options) -> the samples of a split, in the file's order. Raises DataError.

        All readers take `skipped`: given a list, broken records are left out, and what is wrong with each is appended.
        """

    @property
    def write_tiny(self) -> Callable[..., None]:
        """(root: Path, ...) writes a small set in the layout that `read` reads."""


@runtime_checkable
class MarksRegions(Protocol):
    """A reader of a data set in which regions of the images are marked."""

    @property
    def regions(self) -> Callable[[Path, str], list[Region]]:
        """(root, image) -> the marked regions of an image. Raises DataError, ImageError."""


class Model(Protocol):
    """A network that answers questions; see `bases.ModelBase` for its methods and `bases.ModelConfig` for its table."""

    @property
    def Config(self) -> type[ModelConfig]:
        """[model] of a recipe."""

    @property
    def Model(self) -> type[ModelBase]:
        """Made by `Model(config, answers=, vocabulary=, length=, text_ids=, <part>_folder= ...)`."""


class Outside(Protocol):
    """A way to ask somebody else's model; see `asking.requests.OutsideModel`."""

    @property
    def Config(self) -> type[AskedTable]:
        """[model] of a recipe."""

    @property
    def Model(self) -> Callable[[Any], OutsideModel]:
        """Made by `Model(config)`. Raises ConfigError where it cannot be asked."""


class Objective(Protocol):
    """A way of learning; see `bases.ObjectiveBase` and `bases.ObjectiveConfig`."""

    @property
    def Config(self) -> type[ObjectiveConfig]:
        """[objective] of a recipe."""

    @property
    def Objective(self) -> type[ObjectiveBase[Any, Any]]:
        """Made by `Objective(config, model)`."""


@runtime_checkable
class BaselineRow(Protocol):
    """A baseline that answers next to a run, from samples alone."""

    @property
    def answer(self) -> Callable[..., list[Answer]]:
        """(train, test, *, vocabulary, seed) -> one answer for each test question; reads no test answer."""


@runtime_checkable
class StatesBaseline(BaselineRow, Protocol):
    """A baseline row that learns from the states of the run's encoders: `answer` also takes `batcher` and `learn`."""

    NEEDS_STATES: bool  # True


@runtime_checkable
class FittedBaseline(Protocol):
    """A baseline that can be trained by itself and kept in a run folder; see `fitting.fitted.Baseline`."""

    @property
    def Config(self) -> type[Table]:
        """[model] of a recipe."""

    @property
    def Model(self) -> type[Fitted]:
        """Made by `Model.fit(config, given)`, opened by `Model.load`."""


class ExplanationMethod(Protocol):
    """A way to show what an answer hangs on."""

    SUMMARY: str  # what it shows, in one line

    def offered(self, model: ModelBase) -> bool:
        """Whether it makes sense for this model."""

    def explain(self, model: ModelBase, inputs: Inputs, answer: Tensor) -> Tensor:
        """(B, h, w): more = more of the answer. inputs.image: pixels (U, 3, size, size); answer: (B,) classes."""


class AuditCheck(Protocol):
    """A check of a data set. Optional: `verdict` and `notes`, sentences about what was found."""

    __name__: str
    TITLE: str  # above its lines

    def check(self, inputs: AuditInputs) -> Json:
        """The figures."""

    def lines(self, found: Json) -> list[str]:
        """The figures to read in a terminal."""


@runtime_checkable
class HasVerdict(Protocol):
    """An audit check that can find flaws."""

    def verdict(self, found: Json) -> list[str]:
        """A sentence for each flaw."""


@runtime_checkable
class HasNotes(Protocol):
    """An audit check that finds what a user should know although it is no flaw."""

    def notes(self, found: Json) -> list[str]:
        """A sentence for each."""


class Measurement(Protocol):
    """Something that `discern evaluate` measures of a run (`measurements`). Optional: `lines`, `warnings`, `sentences`,
    `tables`, `groups`."""

    ORDER: int  # its place among the others

    def measure(self, context: Context) -> Mapping[str, Any]:
        """The value of each key of `scores.json` that it fills, ready for JSON."""
