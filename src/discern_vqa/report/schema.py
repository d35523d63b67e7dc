"""What the report relies on in each file of a run folder; whatever else a file holds is let through. No torch.

A key that an earlier version did not write may be missing, and is as good as null.
"""

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from discern_vqa.scoring.stored import Stored

Share = Annotated[float, Field(ge=0, le=1 + 1e-9)]
Count = Annotated[int, Field(ge=0)]
Ends = Annotated[list[float], Field(min_length=2, max_length=2)]


class Figure(Stored):
    """docs/metrics.md: a share of n with its interval; of nothing, null."""

    n: Count | None = None
    correct: Annotated[float, Field(ge=0)] | None = None
    accuracy: Share | None = None
    ci95: Ends | None = None


class Known(Figure):
    """A figure that says of how many."""

    n: Count
    correct: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if self.n and self.accuracy is None:
            raise ValueError(f"an accuracy, since n is {self.n}")
        return self


class Part(Stored):
    """Figures of the same answers by answer type; a control may be of another shape."""

    overall: Figure | None = None
    open: Figure | None = None
    closed: Figure | None = None
    unknown: Figure | None = None
    twins: Figure | None = None


class Compared(Part):
    """A baseline's."""

    overall: "_Reached"


class _Reached(Figure):
    accuracy: Share | None


class Candidates(Stored):
    n: Count


class Mode(Part):
    """One way of answering; which other figures it has says what it can answer."""

    candidates: Candidates | None = None


class Gap(Stored):
    """What the right picture adds: `scoring/reliance.py`."""

    n: Count
    points: float | None = None
    against: str | None = None
    ci95: Ends | None = None
    share: float | None = None
    share_ci95: Ends | None = None
    accuracy: Share | None = None
    without: Share | None = None

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if self.n and (self.points is None or self.against is None):
            raise ValueError(f"points and against, since n is {self.n}")
        return self


class Reliance(Stored):
    overall: Gap | None = None
    open: Gap | None = None
    closed: Gap | None = None
    unknown: Gap | None = None
    by: dict[str, dict[str, Gap]] | None = None


class Turned(Stored):
    """A group of the mirror test."""

    n: Count
    in_table: Count
    plain: Known
    mirrored: Known
    both: Known
    followed: Known

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if self.followed.n and self.followed.ci95 is None:
            raise ValueError(f"followed with an interval, since its n is {self.followed.n}")
        return self


class Mirror(Stored):
    answer_names_side: Turned | None = None
    question_names_side: Turned | None = None


class Outside(Stored):
    """How well one kind of foreign pictures or questions is told from the run's own."""

    what: str
    n: Count
    inside: Count
    auroc: Share
    ci95: Ends
    caught: Figure


class Accepted(Stored):
    image: Known | None = None
    question: Known | None = None


class Scope(Stored):
    accepted: Share = 0.0
    split: Accepted | None = None
    outside: dict[str, Outside] | None = None


class Vocabulary(Stored):
    size: Count
    coverage: Share


class Calibrated(Stored):
    missing: str = ""


class Scores(Part):
    """`scores.<split>.json`."""

    n: Annotated[int, Field(ge=1)]
    images: Count | None = None
    normaliser: str = "m3ae"
    protocol: str = ""
    mode: str | None = None
    overall: Known
    open: Known
    closed: Known
    unknown: Known | None = None
    twins: Known | None = None
    imitates: list[str] | None = None
    by: dict[str, dict[str, Figure]] | None = None
    baselines: dict[str, Compared] | None = None
    controls: dict[str, Part] | None = None
    modes: dict[str, Mode] | None = None
    protocols: dict[str, Part] | None = None
    reliance: Reliance | None = None
    mirror: Mirror | None = None
    scope: Scope | None = None
    vocabulary: Vocabulary | None = None
    calibration: Calibrated | None = None


class Data(Stored):
    dataset: str | None = None
    root: str | None = None


class Named(Stored):
    name: str = "model"


class Environment(Stored):
    threads: int | None = None
    versions: dict[str, Any] | None = None


class Config(Stored):
    """`config.json`."""

    data: Data | None = None
    model: Named | None = None
    run: Stored | None = None
    environment: Environment | None = None


class Learned(Stored):
    """A line of `metrics.jsonl`."""

    step: Count = 0
    epoch: Count = 0


class Questions(Stored):
    questions: Count | None = None


class Audit(Stored):
    """`audit.json`: the checks' own figures are told by each check, if it can."""

    class Counts(Stored):
        train: Questions | None = None

    verdict: list[str] | None = None
    counts: Counts | None = None


Compared.model_rebuild()
