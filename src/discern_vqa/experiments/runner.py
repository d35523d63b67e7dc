"""`discern experiment`: trains every row with every seed, then opens the test split, then reports.

Several experiments in one OUT (`folder`) share the trainings that they have in common. A finished training is kept;
one that was killed goes on from its checkpoint; what failed is tried again by the same command.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from discern_vqa import registry
from discern_vqa.errors import ConfigError
from discern_vqa.experiments import catalogue
from discern_vqa.experiments.folder import DONE, Folder, Grid, forget_other_questions, same_data
from discern_vqa.experiments.plan import Training, base_of, plan
from discern_vqa.experiments.process_pool import Outcome, Task, work
from discern_vqa.files import atomic_write_text
from discern_vqa.lock import locked
from discern_vqa.reading import split_files
from discern_vqa.recipe_samples import find_root


def prepare(
    names: Sequence[str], on: str, seeds: Sequence[int], split: str = "", *, data: Path | None = None
) -> list[Grid]:
    """Every experiment's rows, those of collections too, resolved and checked. split: the one that is reported; none:
    each experiment's own. data: a data.toml whose set all recipes learn from. Raises ConfigError; nothing has started
    then."""
    grids: list[Grid] = []
    for name in catalogue.singles(names):
        experiment = catalogue.load(name)
        if experiment.name in [grid.experiment.name for grid in grids]:
            raise ConfigError(
                f"two experiments are named {experiment.name!r}, and their reports would be one",
                hint="rename one of the files, or give them to two commands with an --out each",
            )
        base = base_of(experiment, on, data)
        planned = plan(experiment, base, seeds)
        grids.append(Grid(experiment, base.name, planned, tuple(seeds), split or experiment.split))
    return grids


def run(
    grids: Sequence[Grid],
    out: Path,
    *,
    data: Path | None = None,
    workers: int = 1,
    split: str = "",
    say: Callable[[str], None] = print,
) -> dict[str, str]:
    """Trains, then answers `split`; none: each grid's own. Returns what failed: a training's key to its error (with
    ":states": that of its states, with a baseline's name: that of the baseline on its features).

    The splits that are reported are opened after the last training of all grids has ended: nothing is chosen on them.
    Raises ConfigError, before anything starts, when a row's data set has no such split, or `data` is one folder for
    several data sets.
    """
    grids = [replace(grid, split=split or grid.split) for grid in grids]
    for grid in grids:
        _check_split(grid)
    dataset = _named_by(data, grids)
    with locked(Path(out)):
        splits = list(dict.fromkeys(grid.split for grid in grids))
        command = _Command(Folder(Path(out), data, splits[0], dataset), labelled(grids), workers, say)
        command.train()
        for name in splits:
            reported = [grid for grid in grids if grid.split == name]
            command.folder = Folder(Path(out), data, name, dataset)
            command.answer(reported)
            command.find_states(reported)
    return command.failed


def _check_split(grid: Grid) -> None:
    """Raises ConfigError when the data of a row have no such split, as far as can be told before they are opened."""
    choices = [training.recipe.data for training in grid.trainings]
    for dataset, index in dict.fromkeys((choice.dataset, choice.index) for choice in choices):
        known = split_files.parts(Path(index)) if index else registry.reader(dataset).SPLITS
        if grid.split not in known:
            raise ConfigError(f"--split {grid.split!r}: {dataset} has none", hint=f"it has: {', '.join(known)}")


def _named_by(data: Path | None, grids: Sequence[Grid]) -> str:
    """The data set whose folder is `data`; "" without one."""
    datasets = sorted(set().union(*(grid.datasets for grid in grids)))
    if data is not None and len(datasets) > 1:
        raise ConfigError(
            f"--data {data} is one folder, and these experiments are about {' and '.join(datasets)}",
            hint=f"leave out --data; put the folders {' and '.join(datasets)} into a folder that DISCERN_DATA names",
        )
    return datasets[0] if data is not None and datasets else ""


def open_folder(out: Path, data: Path | None, grid: Grid) -> Folder:
    """The folder as the report of one grid reads it."""
    return Folder(out, data, grid.split, _named_by(data, [grid]))


def labelled(grids: Sequence[Grid]) -> dict[str, tuple[Training, str]]:
    """Every training by its key, seed by seed, what a row needs before it; each with a label for people."""
    labels: dict[str, tuple[Training, str]] = {}
    rows = [(grid, row) for grid in grids for row in grid.planned if row.trainings]
    for place in range(max((len(grid.seeds) for grid, _ in rows), default=0)):
        for grid, row in rows:
            training = row.trainings[place]
            label = f"{grid.experiment.name} / {row.row.name}, seed {grid.seeds[place]}"
            if training.before is not None:
                labels.setdefault(training.before.key, (training.before, f"{label} (pre-training)"))
            labels.setdefault(training.key, (training, label))
    return labels


@dataclass
class _Command:
    """One command in a folder: what its workers do, one kind of task after the other, and what has failed."""

    folder: Folder
    labels: dict[str, tuple[Training, str]]
    workers: int
    say: Callable[[str], None]
    failed: dict[str, str] = field(default_factory=dict)
    trained: int = 0

    def train(self) -> None:
        """Trains what is not there yet."""
        folder, trainings = self.folder, [training for training, _ in self.labels.values()]
        missing = []
        for training, label in self.labels.values():
            atomic_write_text(folder.out / "recipes" / training.file, training.text(label))
            done = folder.done(training)
            same_data(folder, training, done)
            if done is None:
                missing.append(training)
        there = len(trainings) - len(missing)
        self.say(f"{len(trainings)} trainings" + (f", {there} of them are there already" if there else ""))
        for training in trainings if missing else ():  # phantoms are drawn here, once, and not by each worker
            find_root(training.recipe.data, folder.data_of(training))
        for training in missing:  # only now, since nothing may be refused once one of them is written
            atomic_write_text(folder.begun_with(training), folder.digest(training, "learned") + "\n")

        def trained(outcome: Outcome) -> str:
            facts = {"key": outcome.task.id, "seconds": round(outcome.seconds, 1), **outcome.answer}
            facts["data"] = folder.digest(self.labels[outcome.task.id][0], "learned")
            atomic_write_text(folder.out / "runs" / outcome.task.id / DONE, json.dumps(facts))
            folder.note("trained", label=outcome.task.label, **facts)
            validation = f"validation {facts['validation']:.3f}, " if "validation" in facts else ""
            return f"{validation}{outcome.seconds:.0f} s"

        self._work([self._training_task(training) for training in missing], trained, "FAILED")
        self.trained = len(trainings) - len(self.failed)

    def _training_task(self, training: Training) -> Task:
        folder, before = self.folder, training.before
        request = {
            "do": "train",
            "recipe": str(folder.out / "recipes" / training.file),
            "data": _text(folder.data_of(training)),
            "from": str(folder.run(before)) if before is not None else None,
            "out": str(folder.run(training)),
        }
        needs = (before.key,) if before is not None and folder.done(before) is None else ()
        return Task(training.key, self.labels[training.key][1], request, needs)

    def answer(self, grids: Sequence[Grid]) -> None:
        """Answers the reported split with every finished row; the references' first seeds with baselines and
        controls."""
        folder = self.folder
        folder.note("opens", split=folder.split, trained=self.trained, failed=len(self.labels) - self.trained)
        forget_other_questions(folder, self.labels, self.say)
        whole = {training.key for grid in grids for training in grid.references[:1]}
        modes = {training.key for grid in _asking("modes", grids) for training in grid.trainings}
        tasks = {}
        rows = [(row, training) for grid in grids for row in grid.planned for training in row.trainings]
        for training in (training for row, training in rows if not row.row.baseline):
            key = training.key
            files = [folder.predictions(training)]
            files += [folder.scores(training)] if key in whole else []
            files += [folder.predictions(training, "classify")] if key in modes else []
            if key not in self.failed and not all(file.is_file() for file in files):
                request = {"do": "answer", "whole": key in whole, "modes": key in modes} | self._asked_of(training)
                tasks[key] = Task(key, self.labels[key][1], request)
        for row, training in rows:
            key, name = row.task(training), row.row.baseline
            if name and training.key not in self.failed and not folder.answers_of(row, training).is_file():
                request = {"do": "baseline", "name": name} | self._asked_of(training)
                tasks[key] = Task(key, f"{self.labels[training.key][1]} ({name})", request)

        def answered(outcome: Outcome) -> str:
            training = self.labels[outcome.task.id.partition(":")[0]][0]
            atomic_write_text(folder.answered(training), folder.digest(training, "asked") + "\n")
            return ""

        if tasks:
            self.say(f"all trainings have ended; opening {folder.split}: {len(tasks)} rows answer")
        self._work(list(tasks.values()), answered, "no answers")

    def find_states(self, grids: Sequence[Grid]) -> None:
        """How the states of the reported questions lie, for the experiments that ask for it."""
        tasks = {}
        for training in (training for grid in _asking("features", grids) for training in grid.trainings):
            file, key = self.folder.states(training), f"{training.key}:states"
            if training.key not in self.failed and not file.is_file():
                request = {"do": "features", "out": str(file)} | self._asked_of(training)
                tasks[key] = Task(key, f"{self.labels[training.key][1]} (states)", request)
        self._work(list(tasks.values()), lambda outcome: "", "FAILED")

    def _asked_of(self, training: Training) -> dict[str, Any]:
        folder = self.folder
        return {"run": str(folder.run(training)), "split": folder.split, "data": _text(folder.data_of(training))}

    def _work(self, tasks: Sequence[Task], done: Callable[[Outcome], str], failing: str) -> None:
        """Has the tasks done. done: keeps what came out of a task, and returns what is to be said of it; failing: what
        is said of a task that failed."""

        def told(outcome: Outcome, number: int, total: int) -> None:
            task, error = outcome.task, outcome.error
            if error:
                self.failed[task.id] = error
                self.folder.note("failed", key=task.id, label=task.label, error=error)
            if line := f"{failing}: {error}" if error else done(outcome):
                self.say(f"[{number:3d}/{total}] {task.label}: {line}")

        if tasks:
            work(tasks, self.workers, self.folder.out / "logs", told)


def _text(path: Path | None) -> str | None:
    return str(path) if path else None


def _asking(section: str, grids: Sequence[Grid]) -> list[Grid]:
    return [grid for grid in grids if section in grid.experiment.sections]
