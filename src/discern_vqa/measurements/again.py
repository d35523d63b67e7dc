"""Again: the same questions asked several times, or with other prompts. How far does an answer hang on chance, and how
far on the wording? Only of somebody else's model (`outside/`), which may draw its words at random. No torch here.

Whoever asks it writes the further answers as `again/<name>.<split>.jsonl`, with the names "repeat 2", ... and "prompt
2", ...; the run's own answers are the first of either kind.
"""

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discern_vqa.data.normalisers import normaliser
from discern_vqa.measurements import Context, Scores
from discern_vqa.scoring import predictions
from discern_vqa.scoring.metrics import figure, rights
from discern_vqa.scoring.page_tables import Cell, Table, percent
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.tables import cell

ORDER = 45
REPEAT, PROMPT = "repeat", "prompt"
_TITLES = {REPEAT: "asked again", PROMPT: "asked with other prompts"}


def write(folder: Path, name: str, split: str, rows: Sequence[Prediction]) -> None:
    """Keeps the answers of one round in a run's folder."""
    predictions.write(_file(folder, name, split), rows)


def drop(folder: Path, split: str) -> None:
    """Takes away the rounds of an earlier evaluation, which may have been of other prompts."""
    for path in (folder / "again").glob(f"*.{glob.escape(split)}.jsonl"):
        path.unlink()


def _file(folder: Path, name: str, split: str) -> Path:
    return folder / "again" / f"{name.replace(' ', '_')}.{split}.jsonl"


def measure(context: Context) -> Mapping[str, Any]:
    """{"again": {kind: see `compared`}}; {} where there is no further round."""
    found = {}
    ids = [row.id for row in context.rows]
    for kind in (REPEAT, PROMPT):
        rounds = [list(context.rows)]
        while (path := _file(context.folder, f"{kind} {len(rounds) + 1}", context.split)).is_file():
            rows = predictions.read(path)
            if [row.id for row in rows] != ids:  # an earlier evaluation's, of other questions
                break
            rounds.append(rows)
        if len(rounds) > 1:
            found[kind] = compared(rounds, context.normalise)
    return {"again": found} if found else {}


def compared(rounds: Sequence[Sequence[Prediction]], normalise: str) -> dict[str, Any]:
    """How far several rounds of answers to the same questions differ.

    Returns:
        {"rounds", "accuracies": of each, "same": figure of the questions to which all rounds give the same answer,
        right or wrong, "always", "ever": figures of those that all rounds, and that any round, answers right}.
        Clustered by image.
    """
    same = normaliser(normalise)
    images = np.array([row.image for row in rounds[0]], dtype=str)
    right = np.stack([rights(rows, normalise) for rows in rounds])
    agree = np.array([len({same(row.prediction) for row in answers}) == 1 for answers in zip(*rounds, strict=True)])
    return {
        "rounds": len(rounds),
        "accuracies": right.mean(axis=1).tolist(),
        "same": figure(agree, images),
        "always": figure(np.all(right, axis=0), images),
        "ever": figure(np.any(right, axis=0), images),
    }


def lines(scores: Scores) -> list[str]:
    return [
        f"{_TITLES[kind]}, {found['rounds']} rounds: {_range(found)} right; {cell(found['same'])} of the questions get "
        f"the same answer in all of them"
        for kind, found in (scores.get("again") or {}).items()
    ]


def sentences(scores: Scores) -> list[str]:
    return [f"{line[0].upper()}{line[1:]}." for line in lines(scores)]


def warnings(scores: Scores) -> list[str]:
    """A sentence where rounds differ by more than half the width of the accuracy's interval: then one round says
    little."""
    ends = scores["overall"].get("ci95")
    texts = []
    for kind, found in (scores.get("again") or {}).items():
        spread = max(found["accuracies"]) - min(found["accuracies"])
        if ends and spread > (ends[1] - ends[0]) / 2:
            cause = "its own randomness" if kind == REPEAT else "the wording of the prompt"
            texts.append(f"{cause} moves the accuracy by {100 * spread:.1f} percentage points ({_range(found)})")
    return texts


def tables(scores: Scores) -> list[Table]:
    rows: list[list[Cell]] = [
        [_TITLES[kind], found["rounds"], 100 * min(found["accuracies"]), 100 * max(found["accuracies"]),
         percent(found["same"]), percent(found["always"]), percent(found["ever"])]
        for kind, found in (scores.get("again") or {}).items()
    ]  # fmt: skip
    columns = ["", "rounds", "lowest accuracy", "highest", "same answer", "always right", "right at least once"]
    note = "The same questions about the same images; in %"
    return [Table("again", "The same questions again", columns, rows, note)] if rows else []


def _range(found: Mapping[str, Any]) -> str:
    return f"{100 * min(found['accuracies']):.1f} to {100 * max(found['accuracies']):.1f} %"
