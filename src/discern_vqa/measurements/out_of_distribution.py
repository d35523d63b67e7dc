"""Out-of-distribution detection: how much of the split is taken for something else than the run was trained on, and
how well foreign images and questions are told. `trust/ood.py` says how; the key in `scores.json` is "scope".
"""

from collections.abc import Mapping
from typing import Any

from discern_vqa.measurements import Context, Scores
from discern_vqa.scoring.schema import Count, Ends, Figure, Known, Share
from discern_vqa.scoring.stored import Stored
from discern_vqa.trust import ood

ORDER = 100


class Outside(Stored):
    """How well one kind of foreign images or questions is told from those that the run learned from."""

    what: str
    n: Count
    inside: Count
    auroc: Share
    ci95: Ends
    caught: Figure


class Taken(Stored):
    """What of the split is taken for something else."""

    image: Known | None = None
    question: Known | None = None


class Detection(Stored):
    """The file `ood.json`, and "split"."""

    accepted: Share = 0.0
    split: Taken | None = None
    outside: dict[str, Outside] | None = None


class Schema(Stored):
    """See `measurements`."""

    scope: Detection | None = None


def measure(context: Context) -> Mapping[str, Any]:
    """What `ood.json` holds, with "split"; or {"missing": why there is none}."""
    return {"scope": context.asker.out_of_distribution()}


def lines(scores: Scores) -> list[str]:
    """A sentence for images, for questions, and for each kind of foreign ones."""
    return ood.lines(scores.get("scope"))


def sentences(scores: Scores) -> list[str]:
    """The same."""
    return [f"{line[0].upper()}{line[1:]}." for line in lines(scores)]
