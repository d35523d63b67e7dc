"""Out-of-distribution detection: how much of the split is taken for something else than the run was trained on, and
how well foreign images and questions are told. `trust/ood.py` says how; the key in `scores.json` is "scope".
"""

from collections.abc import Mapping
from typing import Any

from discern_vqa.measurements import Context, Scores
from discern_vqa.trust import ood

ORDER = 100


def measure(context: Context) -> Mapping[str, Any]:
    """What `ood.json` holds, with "split"; or {"missing": why there is none}."""
    return {"scope": context.asker.out_of_distribution()}


def lines(scores: Scores) -> list[str]:
    """A sentence for images, for questions, and for each kind of foreign ones."""
    return ood.lines(scores.get("scope"))


def sentences(scores: Scores) -> list[str]:
    return [f"{line[0].upper()}{line[1:]}." for line in lines(scores)]
