"""`discern experiment`: trains every row with every seed, then opens the test split, then reports.

Several experiments in one OUT (`folder`) share the trainings that they have in common. A finished training is kept;
one that was killed goes on from its checkpoint; what failed is tried again by the same command.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from discern_vqa import registry
from discern_vqa.config import read_recipe
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.experiments import catalogue
from discern_vqa.experiments.folder import DONE, Folder, Grid, forget_other_questions, same_data
from discern_vqa.experiments.plan import Training, base_of, plan
from discern_vqa.experiments.process_pool import Outcome, Task, work
from discern_vqa.files import atomic_write_text
from discern_vqa.lock import locked
from discern_vqa.reading import split_files
from discern_vqa.recipe_samples import find_root


def prepare(names: Sequence[str], on: str, seeds: Sequence[int]) -> list[Grid]:
    """Every experiment's rows, resolved and checked. Raises ConfigError; nothing has started then."""
    grids: list[Grid] = []
    for name in dict.fromkeys(names):
        experiment = catalogue.load(name)
        if experiment.name in [grid.experiment.name for grid in grids]:
            raise ConfigError(
                f"two experiments are named {experiment.name!r}, and their reports would be one",
                hint="rename one of the files, or give them to two commands with an --out each",
            )
        base = base_of(experiment, on)
        grids.append(Grid(experiment, base.name, plan(experiment, base, seeds), tuple(seeds)))
    return grids


def run(
    grids: Sequence[Grid],
    out: Path,
    *,
    data: Path | None = None,
    workers: int = 1,
    split: str = "test",
    say: Callable[[str], None] = print,
) -> dict[str, str]:
    """Trains, then answers `split`. Returns what failed: a training's key (with ":states": of its states) to its error.

    The split that is reported is opened after the last training of all grids has ended: nothing is chosen on it. Raises
    ConfigError, before anything starts, when a row's data set has no such split.
    """
    out = Path(out)
    _check_split(grids, split)
    with locked(out):
        folder = Folder(out, data, split)
        labels = labelled(grids)
        failed = _train(folder, labels, workers, say)
        folder.note("opens", split=split, trained=len(labels) - len(failed), failed=len(failed))
        forget_other_questions(folder, labels, say)
        failed |= _answer(folder, grids, labels, failed, workers, say)
        failed |= _states(folder, grids, labels, failed, workers, say)
    return failed


def _check_split(grids: Sequence[Grid], split: str) -> None:
    """Raises ConfigError when the data of a row have no such split, as far as can be told before they are opened."""
    choices = [training.recipe.data for grid in grids for row in grid.planned for training in row.trainings]
    for dataset, index in dict.fromkeys((choice.dataset, choice.index) for choice in choices):
        known = split_files.parts(Path(index)) if index else registry.load("datasets", dataset).SPLITS
        if split not in known:
            raise ConfigError(f"--split {split!r}: {dataset} has none", hint=f"it has: {', '.join(known)}")


def labelled(grids: Sequence[Grid]) -> dict[str, tuple[Training, str]]:
    """Every training by its key, seed by seed, what a row needs before it; each with a label for people."""
    found: dict[str, tuple[Training, str]] = {}
    places = [(place, grid, row) for grid in grids for row in grid.planned for place in range(len(row.trainings))]
    for place, grid, row in sorted(places, key=lambda one: one[0]):
        training = row.trainings[place]
        label = f"{grid.experiment.name} / {row.row.name}, seed {grid.seeds[place]}"
        if training.before is not None:
            found.setdefault(training.before.key, (training.before, f"{label} (pre-training)"))
        found.setdefault(training.key, (training, label))
    return found


def _train(
    folder: Folder, labels: dict[str, tuple[Training, str]], workers: int, say: Callable[[str], None]
) -> dict[str, str]:
    """Trains what is not there yet."""
    tasks = []
    for training, label in labels.values():
        recipe = folder.out / "recipes" / training.file
        atomic_write_text(recipe, training.text(label))
        if read_recipe(recipe).to_json() != training.recipe.to_json() | _after(training):
            raise RunError(f"{recipe} does not say what was meant", hint="this is a bug of ours; please report it")
        done = folder.done(training)
        same_data(folder, training, done)
        if done is None:
            tasks.append((training, label))
    kept = len(labels) - len(tasks)
    say(f"{len(labels)} trainings" + (f", {kept} of them are there already" if kept else ""))
    if tasks:
        for training, _ in labels.values():  # phantoms are drawn here, once, and not by each worker
            find_root(training.recipe.data, folder.data)
    for training, _ in tasks:  # only now, since nothing may be refused once one of them is written
        atomic_write_text(folder.begun_with(training), folder.data_digest(training) + "\n")
    failed: dict[str, str] = {}

    def told(outcome: Outcome, done: int, total: int) -> None:
        if outcome.error:
            failed[outcome.task.id] = outcome.error
            folder.note("failed", key=outcome.task.id, label=outcome.task.label, error=outcome.error)
            say(f"[{done:3d}/{total}] {outcome.task.label}: FAILED: {outcome.error}")
            return
        told_of = {"key": outcome.task.id, "seconds": round(outcome.seconds, 1), **outcome.answer}
        told_of["data"] = folder.data_digest(labels[outcome.task.id][0])
        atomic_write_text(folder.out / "runs" / outcome.task.id / DONE, json.dumps(told_of))
        folder.note("trained", label=outcome.task.label, **told_of)
        validation = f"validation {told_of['validation']:.3f}, " if "validation" in told_of else ""
        say(f"[{done:3d}/{total}] {outcome.task.label}: {validation}{outcome.seconds:.0f} s")

    asked = [_training_task(folder, training, label) for training, label in tasks]
    work(asked, workers, folder.out / "logs", told)
    return failed


def _training_task(folder: Folder, training: Training, label: str) -> Task:
    before = training.before
    request = {
        "do": "train",
        "recipe": str(folder.out / "recipes" / training.file),
        "data": str(folder.data) if folder.data else None,
        "from": str(folder.run(before)) if before is not None else None,
        "out": str(folder.run(training)),
    }
    needs = (before.key,) if before is not None and folder.done(before) is None else ()
    return Task(training.key, label, request, needs)


def _after(training: Training) -> dict[str, Any]:
    """The one difference of a written recipe: the name of the file before it."""
    run = training.recipe.to_json()["run"]
    return {"run": run | {"after": training.before.file if training.before else ""}}


def _answer(
    folder: Folder, grids: Sequence[Grid], labels: dict[str, tuple[Training, str]], failed: dict[str, str],
    workers: int, say: Callable[[str], None],
) -> dict[str, str]:  # fmt: skip
    """Answers the reported split with every finished row; the references' first seeds with baselines and controls."""
    whole = {
        row.trainings[0].key for grid in grids for row in grid.planned
        if row.row.name == grid.experiment.reference and row.trainings
    }  # fmt: skip
    rows = {training.key: training for grid in grids for row in grid.planned for training in row.trainings}
    modes = {
        training.key for grid in grids if "modes" in grid.experiment.sections
        for row in grid.planned for training in row.trainings
    }  # fmt: skip
    tasks = []
    for key, training in rows.items():
        have = folder.predictions(training).is_file() and (key not in whole or folder.scores(training).is_file())
        if key in modes:
            have = have and (folder.run(training) / f"predictions.{folder.split}.classify.jsonl").is_file()
        if key in failed or have:
            continue
        request = {
            "do": "answer", "run": str(folder.run(training)), "split": folder.split, "whole": key in whole,
            "modes": key in modes, "data": str(folder.data) if folder.data else None,
        }  # fmt: skip
        tasks.append(Task(key, labels[key][1], request))
    errors: dict[str, str] = {}

    def told(outcome: Outcome, done: int, total: int) -> None:
        if outcome.error:
            errors[outcome.task.id] = outcome.error
            folder.note("failed", key=outcome.task.id, label=outcome.task.label, error=outcome.error)
            say(f"[{done:3d}/{total}] {outcome.task.label}: no answers: {outcome.error}")
            return
        training = rows[outcome.task.id]
        atomic_write_text(folder.answered(training), folder.asked_digest(training) + "\n")

    if tasks:
        say(f"all trainings have ended; opening {folder.split}: {len(tasks)} rows answer")
        work(tasks, workers, folder.out / "logs", told)
    return errors


def _states(
    folder: Folder, grids: Sequence[Grid], labels: dict[str, tuple[Training, str]], failed: dict[str, str],
    workers: int, say: Callable[[str], None],
) -> dict[str, str]:  # fmt: skip
    """How the states of the reported questions lie, for the experiments that ask for it."""
    asking = [grid for grid in grids if "features" in grid.experiment.sections]
    tasks = {}
    for training in (one for grid in asking for row in grid.planned for one in row.trainings):
        out = folder.states(training)
        if training.key not in failed and not out.is_file():
            request = {
                "do": "features", "run": str(folder.run(training)), "split": folder.split, "out": str(out),
                "data": str(folder.data) if folder.data else None,
            }  # fmt: skip
            tasks[training.key] = Task(training.key, f"{labels[training.key][1]} (states)", request)
    found = work(list(tasks.values()), workers, folder.out / "logs", lambda one, done, total: None) if tasks else {}
    for one in found.values():
        if one.error:
            say(f"{one.task.label}: FAILED: {one.error}")
    return {f"{key}:states": one.error for key, one in found.items() if one.error}
