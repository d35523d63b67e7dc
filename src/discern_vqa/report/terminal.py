"""Anybody's `predictions.jsonl` to figures, and figures to a table for the terminal. No torch here.

The words are those of docs/metrics.md. What is said of each measurement stands in its own file (`measurements/`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from discern_vqa import measurements
from discern_vqa.measurements import Scores
from discern_vqa.measurements.merged import counted
from discern_vqa.scoring.metrics import check_parts, score, shown_parts
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.tables import GAP, aligned, cell
from discern_vqa.trust.calibration import describe_rows

COLUMN_TITLES = {"twins": "image pairs"}


def score_rows(rows: Sequence[Prediction], path: Path, normalise: str = "m3ae") -> dict[str, Any]:
    """The scores of a predictions file, whose rows these are; see `metrics.score`.

    Raises ConfigError for a normaliser that does not exist.
    """
    scores = {"file": Path(path).name} | score(rows, normalise)
    check_parts(scores, str(path))
    scores["merged"] = counted(rows, normalise)
    scores["confidence"] = describe_rows(rows, normalise)
    return scores


def as_table(scores: Scores, name: str = "model") -> str:
    """The figures as lines of plain text: a row for the model and each row of the measurements' groups; then what each
    measurement says, and the warnings."""
    columns = shown_parts(scores)
    rows: list[list[str]] = [
        ["", *(COLUMN_TITLES.get(column, column) for column in columns)],
        ["n", *(f"{scores[column]['n']:,}" for column in columns)],
        [name, *(cell(scores[column]) for column in columns)],
    ]
    for group in measurements.groups(scores):
        rows.append([group.title])
        rows += [
            [f"{GAP}{member}", *(_cell(figures.get(column), scores[column]) for column in columns)]
            for member, figures in group.members.items()
        ]
    lines = [_headline(scores), "", *aligned(rows), ""]
    for by, figures in (scores.get("by") or {}).items():
        if figures:
            lines.append(f"by {by.replace('_', ' ')}: {', '.join(_short(key, figures[key]) for key in figures)}")
    lines += measurements.lines(scores)
    lines += [f"WARNING: {warning}" for warning in measurements.warnings(scores)]
    return "\n".join(lines)


def _cell(one: Mapping[str, Any] | None, model: Mapping[str, Any]) -> str:
    """A figure, with its n where it is of fewer questions than the model's."""
    return cell(one) + (f" (n {one['n']:,})" if one and one.get("n") and one["n"] != model["n"] else "")


def _headline(scores: Scores) -> str:
    what = scores.get("split") or scores.get("file") or "predictions"
    images = f" about {scores['images']:,} images" if "images" in scores else ""
    how = f", answers compared by {scores['normaliser']!r}" if "normaliser" in scores else ""
    return f"{what}: {scores['n']:,} questions{images}{how}; accuracy in % [95 % interval, clustered by image]"


def _short(name: str, figure: Mapping[str, Any]) -> str:
    return f"{name} {100 * figure['accuracy']:.1f} (n {figure['n']:,})"
