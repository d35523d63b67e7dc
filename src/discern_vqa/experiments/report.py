"""What came out of an experiment, as plain data: every row's figures over its seeds, beside its difference from the
reference row with what chance would do to it, beside the paper's printed figures. Reads predictions files; no torch.
"""

import os
import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from discern_vqa.data.sample import CLOSED, OPEN
from discern_vqa.errors import DiscernError, RunError
from discern_vqa.experiments.curves import corrected, differences
from discern_vqa.experiments.folder import Folder, Grid
from discern_vqa.experiments.paper_settings import deviations
from discern_vqa.experiments.plan import Planned, changes
from discern_vqa.scoring import metrics, predictions
from discern_vqa.scoring.compare import Answerer, compare
from discern_vqa.scoring.intervals import interval
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.stored import read_object
from discern_vqa.version import __version__

PARTS = ("overall", OPEN, CLOSED, "twins")


def gather(grid: Grid, folder: Folder, failed: dict[str, str], command: str, date: str) -> dict[str, Any]:
    """The whole report of one experiment.

    Raises RunError when no row has an answer.
    """
    experiment = grid.experiment
    answers = {planned.row.name: files for planned in grid.planned if (files := _answers(planned, folder))}
    if not answers:
        why = next(iter(failed.values()), "nothing was trained")
        raise RunError(f"{experiment.name}: no row has an answer: {why}", hint="run the same command again")
    normalise = grid.normaliser
    some = next(iter(answers.values()))[0]
    report: dict[str, Any] = {
        "name": experiment.name, "title": experiment.title, "source": experiment.source, "claim": experiment.claim,
        "note": experiment.note, "recipe": f"{experiment.family}/{grid.base}", "split": folder.split,
        "n": len(some), "images": len({row.image for row in some}), "twin_pairs": len(metrics.twin_pairs(some)),
        "normaliser": normalise, "seeds": list(grid.seeds), "reference": experiment.reference,
        "sections": list(experiment.sections), "axis": experiment.axis,
        "rows": [_row(planned, grid, folder, failed, answers.get(planned.row.name, [])) for planned in grid.planned],
    }  # fmt: skip
    if experiment.compare:
        report |= {"tests": [], "correction": "none", "differences": differences(experiment, answers, normalise)}
    else:
        report |= _tests(answers, experiment.reference, normalise)
    for section in ("organ", "question_type"):
        if section in experiment.sections:
            report.setdefault("by", {})[section] = by_group(answers, experiment.reference, section, normalise)
    report |= _beside(grid, folder) | {"deviations": deviations(grid)}
    return report | {"command": command, "date": date, "machine": machine(), "made_with": made_with()}


def _answers(planned: Planned, folder: Folder) -> list[list[Prediction]]:
    files = [folder.answers_of(planned, training) for training in planned.trainings]
    return [predictions.read(file) for file in files if file.is_file()]


def _row(
    planned: Planned, grid: Grid, folder: Folder, failed: dict[str, str], answers: list[list[Prediction]]
) -> dict[str, Any]:
    row, experiment = planned.row, grid.experiment
    content: dict[str, Any] = {"name": row.name, "changes": changes(row), "printed": row.printed, "at": row.at}
    content |= {"line": row.line, "images": images_of(planned, grid, folder) if row.line else None}
    printed = next(other.printed for other in experiment.rows if other.name == experiment.reference)
    if row.printed and printed and row.name != experiment.reference:
        both = [key for key in row.printed if key in printed]
        content["printed_difference"] = {key: round(row.printed[key] - printed[key], 1) for key in both}
    if planned.skipped:
        return content | {"skipped": planned.skipped}
    trainings = [*planned.trainings, *(training.before for training in planned.trainings if training.before)]
    tasks = [*(training.key for training in trainings), *map(planned.task, planned.trainings)]
    if errors := [failed[task] for task in tasks if task in failed]:
        content["failed"] = errors[0]
    if not answers:
        return content
    seeds = zip(grid.seeds, planned.trainings, strict=True)
    answered = [(seed, training) for seed, training in seeds if folder.answers_of(planned, training).is_file()]
    normalise = planned.trainings[0].recipe.data.normaliser
    scores = [metrics.score(rows, normalise) for rows in answers]
    done = [folder.done(training) or {} for _, training in answered if not row.baseline]  # they are the network's
    return content | {
        "keys": [training.key for _, training in answered],
        "seeds": [seed for seed, _ in answered],
        "figures": {part: _figure(answers, scores, part, normalise) for part in PARTS
                    if all(score.get(part, {}).get("n") for score in scores)},
        "validation": spread([facts["validation"] for facts in done if "validation" in facts]),
        "seconds": spread([facts["seconds"] for facts in done if "seconds" in facts]),
    }  # fmt: skip


def images_of(planned: Planned, grid: Grid, folder: Folder) -> float | None:
    """How many images the row has learned from, on the axis of the experiment's curve; the mean of the seeds, where
    they hold other images out. None where that cannot be read."""
    if not planned.trainings:
        return None
    before = grid.experiment.axis == "pre-training"
    learned = [training.before if before else training for training in planned.trainings]
    try:
        return float(np.mean([folder.learned(training).images if training else 0 for training in learned]))
    except DiscernError:
        return None


def _figure(
    answers: list[list[Prediction]], scores: Sequence[dict[str, Any]], part: str, normalise: str
) -> dict[str, Any]:
    """The seeds' accuracies, and the interval over images of their mean (none of image pairs)."""
    figure = spread([score[part]["accuracy"] for score in scores]) or {}
    if part == "twins":
        return figure
    inside = [part in ("overall", row.answer_type) for row in answers[0]]
    rights = np.mean([metrics.rights(rows, normalise) for rows in answers], axis=0)[inside]
    images = [row.image for row, is_inside in zip(answers[0], inside, strict=True) if is_inside]
    return figure | {"ci95": list(interval(rights, images))}


def spread(values: Sequence[float]) -> dict[str, Any] | None:
    """Mean and standard deviation (n - 1) of the seeds' figures; None of none."""
    if not values:
        return None
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": sd, "values": [float(value) for value in values]}


def _tests(answers: dict[str, list[list[Prediction]]], reference: str, normalise: str) -> dict[str, Any]:
    """Every row against the reference; all tests of the table are corrected together."""
    if reference not in answers or len(answers) < 2:
        return {"tests": [], "correction": "none"}
    order = [reference, *(name for name in answers if name != reference)]
    compared = compare([Answerer(name, tuple(answers[name])) for name in order], normalise)
    return {"tests": compared["tests"], "correction": compared["correction"]}


def by_group(
    answers: dict[str, list[list[Prediction]]], reference: str, key: str, normalise: str
) -> dict[str, dict[str, Any]]:
    """Each group's figures of every row, and the tests against the reference, corrected over all groups and rows.

    Returns:
        {group: {"n", "images", "rows": {row: {"mean", "sd", "values", "ci95"}}, "tests": {row: a test of `compare`}}},
        the largest group first; p_holm and verdict hold for the whole table.
    """

    def group_of(row: Prediction) -> str:
        return getattr(row, key) or metrics.NO_VALUE

    groups = Counter(map(group_of, next(iter(answers.values()))[0]))
    found: dict[str, dict[str, Any]] = {}
    for group in sorted(groups, key=lambda name: (-groups[name], name)):
        cut = {
            name: [[row for row in seed if group_of(row) == group] for seed in seeds] for name, seeds in answers.items()
        }
        tests = _tests(cut, reference, normalise)["tests"]
        found[group] = {
            "n": groups[group],
            "images": len({row.image for row in cut[next(iter(cut))][0]}),
            "rows": {name: _of_group(seeds, normalise) for name, seeds in cut.items()},
            "tests": {test["name"]: test for test in tests if test["part"] == "overall"},
        }
    every = [test for group in found.values() for test in group["tests"].values()]
    corrected(every)
    for test in every:
        test["ci95"] = None  # it was corrected for the tests of its own group alone
    return found


def _of_group(seeds: list[list[Prediction]], normalise: str) -> dict[str, Any]:
    """A row's figures within a group, with the interval over images of their mean."""
    rights = [metrics.rights(rows, normalise) for rows in seeds]
    low_high = interval(np.mean(rights, axis=0), [row.image for row in seeds[0]])
    return (spread([float(right.mean()) for right in rights]) or {}) | {"ci95": list(low_high)}


def _beside(grid: Grid, folder: Folder) -> dict[str, Any]:
    for path in map(folder.scores, grid.references[:1]):
        if path.is_file():
            scores = read_object(path, "remove it; the same command writes it anew")
            return {key: scores[key] for key in ("baselines", "controls", "vocabulary") if key in scores}
    return {}


def machine() -> str:
    """What class of machine this is; no names."""
    return f"{os.cpu_count()} CPUs ({platform.machine()}, {platform.system()}), a training on one thread"


def made_with() -> dict[str, str]:
    """The versions that matter to a figure."""
    programs = {name: version(name) for name in ("torch", "numpy", "scipy")}
    return {"discern-vqa": __version__, "python": platform.python_version()} | programs
