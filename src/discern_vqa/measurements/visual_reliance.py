"""The controls under the names of others: Visual Reliance Score and Image Sensitivity of arXiv 2603.03437. No torch.

As its authors describe them (the paper's own formulas were not at hand), of the same questions with the right image and
with another one of the data set:

    VRS = share right with the right image - share right with another one, in [-1, 1]
    IS  = share of the answers that change with the image, right or wrong

and beside them how much of the accuracy is kept with an empty image, which the paper states in its text. Their other
image is drawn at random; ours (`controls`, `shuffled_image`) trades places, so that no question keeps its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from discern_vqa.data.normalisers import normaliser
from discern_vqa.measurements import Context, Scores
from discern_vqa.measurements.reliance import gap
from discern_vqa.scoring.metrics import figure, rights
from discern_vqa.scoring.page_tables import Cell, Table, in_percent, percent
from discern_vqa.scoring.predictions import Prediction

ORDER = 32
SHUFFLED, BLANK = "shuffled_image", "blank_image"


def measure(context: Context) -> Mapping[str, Any]:
    """{"visual_reliance": {"vrs": {"n", "points", "ci95"}, "image_sensitivity": figure, "kept_with_blank": {"n",
    "share", "ci95"}}}; {} where no other image could be shown."""
    shuffled, blank = context.controls.get(SHUFFLED), context.controls.get(BLANK)
    if not shuffled:
        return {}
    same, images = normaliser(context.normalise), [row.image for row in context.rows]

    right = rights(context.rows, context.normalise).astype(float)

    def against(name: str, wrong: Sequence[Prediction]) -> dict[str, Any]:
        return gap(right, {name: rights(wrong, context.normalise).astype(float)}, images)

    pairs = zip(context.rows, shuffled, strict=True)
    changed = np.array([same(row.prediction) != same(other.prediction) for row, other in pairs], dtype=bool)
    vrs = against(SHUFFLED, shuffled)
    found: dict[str, Any] = {
        "vrs": {key: vrs[key] for key in ("n", "points", "ci95")},
        "image_sensitivity": figure(changed, images),
    }
    lost = against(BLANK, blank) if blank else None
    if lost and lost["share"] is not None:
        ends = [1 - end for end in reversed(lost["share_ci95"])] if lost["share_ci95"] else None
        found["kept_with_blank"] = {"n": lost["n"], "share": 1 - lost["share"], "ci95": ends}
    return {"visual_reliance": found}


def tables(scores: Scores) -> list[Table]:
    found = scores.get("visual_reliance") or {}
    if not found:
        return []
    vrs, kept = found["vrs"], found.get("kept_with_blank")
    rows: list[list[Cell]] = [
        ["Visual Reliance Score (VRS)", vrs["n"], in_percent(vrs["points"], vrs["ci95"], signed=True)],
        [
            "Image Sensitivity (IS)",
            found["image_sensitivity"]["n"],
            percent(found["image_sensitivity"]),
        ],
        *([["accuracy kept with an empty image", kept["n"], in_percent(kept["share"], kept["ci95"])]] if kept else []),
    ]
    note = (
        "The controls by the names of arXiv 2603.03437, as its authors describe them: VRS is the accuracy with the "
        "right image less that with another one, IS the share of answers that change with the image; in percentage "
        "points and %. The paper draws the other image at random; here images trade places"
    )
    return [Table("visual_reliance", "The controls by other names", ["", "n", "figure"], rows, note)]
