"""What the models are asked for beside answers: heat maps and similar cases.

A task names its question, so that its image can be taken to wherever the models are, and what it gives is plain:
whoever reads that needs no torch.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from discern_vqa.data.answers import Answer
from discern_vqa.errors import DiscernError

if TYPE_CHECKING:
    from discern_vqa.dicom_out.reported import HeatMap
    from discern_vqa.serve.answerer import Answerer, Question


class Preparing(DiscernError):
    """What was asked for is still being made, beside the answers; asked again later it is there."""


class Task(Protocol):
    """One piece of work for the models, about the image of one question."""

    @property
    def question(self) -> "Question": ...

    def by(self, answerer: "Answerer") -> Any:
        """The result. Raises DiscernError."""


@dataclass(frozen=True)
class Explanation:
    """An answer with its map (h, w) over the square that the model sees; the fields of `/v1/explanations`."""

    answer: Answer
    explained: str
    method: str
    summary: str
    grid: NDArray[Any]
    measured: str
    hit_rate: dict[str, Any] | None


@dataclass(frozen=True)
class SimilarCase:
    """A training question that is like what was asked; path: its image, None where the training images are not here."""

    image: str
    question: str
    answer: str
    image_similarity: float
    question_similarity: float
    path: Path | None


@dataclass(frozen=True)
class Explain:
    """Gives an `Explanation`."""

    question: "Question"
    method: str

    def by(self, answerer: "Answerer") -> Explanation:
        made = answerer.explain(self.question, self.method)
        rate = answerer.hit_rate(self.question.run, self.method)
        return Explanation(made.answer, made.explained, made.method, made.summary, made.grid, made.measured, rate)


@dataclass(frozen=True)
class DrawHeat:
    """Gives the map over the image as it is shown, for a DICOM object."""

    question: "Question"
    method: str

    def by(self, answerer: "Answerer") -> "HeatMap":
        return answerer.heat(self.question, self.method)


@dataclass(frozen=True)
class FindSimilar:
    """Gives the most similar training cases, best first."""

    question: "Question"
    count: int

    def by(self, answerer: "Answerer") -> list[SimilarCase]:
        return answerer.similar(self.question, self.count)
