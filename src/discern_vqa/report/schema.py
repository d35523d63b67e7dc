"""What the report relies on in each file of a run folder; whatever else a file holds is let through. No torch.

A key that an earlier version did not write may be missing, and is as good as null. Each measurement says itself what is
relied on of its part of `scores.json`.
"""

from typing import Annotated, Any

from pydantic import Field, create_model

from discern_vqa.measurements import every
from discern_vqa.scoring.schema import Count, Figure, Known, Part
from discern_vqa.scoring.stored import Stored


class _Core(Part):
    """The accuracies of `scores.json`, which are there whatever else is measured."""

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
    by: dict[str, dict[str, Figure]] | None = None


def scores_schema() -> type[Stored]:
    """`scores.<split>.json`: the accuracies, and the keys of every measurement."""
    return create_model("Scores", __base__=(_Core, *(measurement.Schema for measurement in every())))


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
