"""What came out of an experiment, as plain data: every row's figures over its seeds, beside its difference from the
reference row with what chance would do to it, beside the paper's printed figures. Reads predictions files; no torch.
"""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from discern_vqa.data.sample import CLOSED, OPEN
from discern_vqa.errors import RunError
from discern_vqa.experiments.folder import Folder, Grid
from discern_vqa.experiments.plan import Planned, changes
from discern_vqa.scoring import metrics, predictions
from discern_vqa.scoring.compare import Answerer, compare
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.statistics import ALPHA, holm
from discern_vqa.scoring.stored import read_object
from discern_vqa.version import __version__

PARTS = ("overall", OPEN, CLOSED, "twins")


def gather(grid: Grid, folder: Folder, failed: dict[str, str], command: str, date: str) -> dict[str, Any]:
    """The whole report of one experiment.

    Raises RunError when no row has an answer.
    """
    experiment, rows = grid.experiment, []
    answers: dict[str, list[list[Prediction]]] = {}
    for planned in grid.planned:
        rows.append(_row(planned, grid, folder, failed, answers))
    if not answers:
        why = next(iter(failed.values()), "nothing was trained")
        raise RunError(f"{experiment.name}: no row has an answer: {why}", hint="run the same command again")
    normalise = grid.planned[0].trainings[0].recipe.data.normaliser if grid.planned[0].trainings else "m3ae"
    some = next(iter(answers.values()))[0]
    report: dict[str, Any] = {
        "name": experiment.name, "title": experiment.title, "source": experiment.source, "claim": experiment.claim,
        "note": experiment.note, "recipe": f"{experiment.family}/{grid.base}", "split": folder.split,
        "n": len(some), "images": len({row.image for row in some}), "twin_pairs": len(metrics.twin_pairs(some)),
        "normaliser": normalise, "seeds": list(grid.seeds), "reference": experiment.reference,
        "sections": list(experiment.sections), "rows": rows,
    }  # fmt: skip
    report |= _tests(answers, experiment.reference, normalise)
    for section, key in (("organ", "organ"), ("question_type", "question_type")):
        if section in experiment.sections:
            report.setdefault("by", {})[section] = by_group(answers, experiment.reference, key, normalise)
    report |= _beside(grid, folder)
    return report | {"command": command, "date": date, "machine": machine(), "made_with": made_with()}


def _row(
    planned: Planned, grid: Grid, folder: Folder, failed: dict[str, str], answers: dict[str, list[list[Prediction]]]
) -> dict[str, Any]:
    """A row's figures; its predictions go into `answers` when every seed has them."""
    row, experiment = planned.row, grid.experiment
    told: dict[str, Any] = {"name": row.name, "changes": changes(row), "printed": row.printed, "at": row.at}
    printed = next(one.printed for one in experiment.rows if one.name == experiment.reference)
    if row.printed and printed and row.name != experiment.reference:
        both = [key for key in row.printed if key in printed]
        told["printed_difference"] = {key: round(row.printed[key] - printed[key], 1) for key in both}
    if planned.skipped:
        return told | {"skipped": planned.skipped}
    lost = [failed[one.key] for one in planned.trainings if one.key in failed]
    lost += [failed[one.before.key] for one in planned.trainings if one.before and one.before.key in failed]
    seeds, used = [], []
    for seed, training in zip(grid.seeds, planned.trainings, strict=True):
        if folder.predictions(training).is_file():
            seeds.append(predictions.read(folder.predictions(training)))
            used.append((seed, training))
    if lost:
        told["failed"] = lost[0]
    if not seeds:
        return told
    answers[row.name] = seeds
    normalise = planned.trainings[0].recipe.data.normaliser
    scored = [metrics.score(one, normalise) for one in seeds]
    done = [folder.done(training) or {} for _, training in used]
    return told | {
        "keys": [training.key for _, training in used],
        "seeds": [seed for seed, _ in used],
        "figures": {part: spread([one[part]["accuracy"] for one in scored]) for part in PARTS
                    if all(one.get(part, {}).get("n") for one in scored)},
        "validation": spread([one["validation"] for one in done if "validation" in one]),
        "seconds": spread([one["seconds"] for one in done if "seconds" in one]),
    }  # fmt: skip


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
        {group: {"n", "images", "rows": {row: {"mean", "sd", "values"}}, "tests": {row: a test of `compare`}}}, the
        largest group first; p_holm and verdict hold for the whole table.
    """
    some = next(iter(answers.values()))[0]
    groups: dict[str, int] = {}
    for row in some:
        name = getattr(row, key) or metrics.NO_VALUE
        groups[name] = groups.get(name, 0) + 1
    found: dict[str, dict[str, Any]] = {}
    for group in sorted(groups, key=lambda name: (-groups[name], name)):
        cut = {
            name: [[row for row in seed if (getattr(row, key) or metrics.NO_VALUE) == group] for seed in seeds]
            for name, seeds in answers.items()
        }
        tests = _tests(cut, reference, normalise)["tests"]
        rights = {name: [metrics.rights(seed, normalise).mean() for seed in seeds] for name, seeds in cut.items()}
        found[group] = {
            "n": groups[group],
            "images": len({row.image for row in cut[next(iter(cut))][0]}),
            "rows": {name: spread(values) for name, values in rights.items()},
            "tests": {test["name"]: test for test in tests if test["part"] == "overall"},
        }
    every = [test for group in found.values() for test in group["tests"].values()]
    for test, p in zip(every, holm([test["p"] for test in every]), strict=True):
        test["p_holm"] = p
        better = "better" if test["difference"] > 0 else "worse"
        test["verdict"] = better if p < ALPHA else "not distinguishable"
    return found


def _beside(grid: Grid, folder: Folder) -> dict[str, Any]:
    """Baselines, controls and the vocabulary of the reference's first seed."""
    for planned in grid.planned:
        if planned.row.name == grid.experiment.reference and planned.trainings:
            path = folder.scores(planned.trainings[0])
            if path.is_file():
                scores = read_object(path, "remove it; the same command writes it anew")
                return {key: scores[key] for key in ("baselines", "controls", "vocabulary") if key in scores}
    return {}


def machine() -> str:
    """What class of machine this is; no names."""
    return f"{os.cpu_count()} CPUs ({platform.machine()}, {platform.system()}), a training on one thread"


def made_with() -> dict[str, str]:
    """The versions that matter to a figure."""
    found = {"discern-vqa": __version__, "python": platform.python_version()}
    for name in ("torch", "numpy", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # not a distribution here
            found[name] = "unknown"
    return found
