"""The figures that the files of a run hold, as types: what `scores.json` is checked against when it is read. No torch.

A key that an earlier version did not write may be missing, and is as good as null.
"""

from typing import Annotated, Self

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
    """Figures of the same answers by answer type."""

    overall: Figure | None = None
    open: Figure | None = None
    closed: Figure | None = None
    unknown: Figure | None = None
    twins: Figure | None = None
