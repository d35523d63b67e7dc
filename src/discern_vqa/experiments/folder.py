"""OUT, the folder of an experiment: where trainings are found by their keys, and whether they are still of these data.

OUT/recipes/<key>.toml     a recipe for each training       OUT/runs/<key>/      its run folder
OUT/events.jsonl           what happened when               OUT/logs/            what the workers printed
OUT/reports/<experiment>.<recipe>/     report.md, report.json, rows.csv (and .<split>, where it is not test)
OUT/runs/<key>/done.json   what is known of a finished training, with a digest of its data
OUT/runs/<key>/answered.<split>.data   a digest of the questions that it has answered
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from discern_vqa.auxiliary_sets import auxiliary_samples, folder_of
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError, DiscernError, RunError
from discern_vqa.experiments.catalogue import Experiment
from discern_vqa.experiments.data_digest import digest_of
from discern_vqa.experiments.plan import NO_PART, Planned, Training
from discern_vqa.recipe_samples import Samples, find_root
from discern_vqa.renamed_keys import translated
from discern_vqa.run import CONFIG, WEIGHTS
from discern_vqa.scoring.stored import read_object

DONE = "done.json"
ANEW = "remove its run folder; the same command trains it anew"


@dataclass(frozen=True)
class Learned:
    """What a training learns from."""

    images: int
    texts: int


@dataclass(frozen=True)
class Grid:
    """An experiment with its planned rows."""

    experiment: Experiment
    base: str
    planned: list[Planned]
    seeds: tuple[int, ...]
    split: str = "test"
    """The one that is reported."""

    @property
    def trainings(self) -> list[Training]:
        """Those of all rows and seeds."""
        return [training for planned in self.planned for training in planned.trainings]

    @property
    def datasets(self) -> set[str]:
        """Those that the rows are asked about."""
        return {training.recipe.data.dataset for training in self.trainings}

    @property
    def normaliser(self) -> str:
        """By which answers are compared."""
        return next((training.recipe.data.normaliser for training in self.trainings), "m3ae")

    @property
    def references(self) -> list[Training]:
        """The reference row's, by seed; none where it could not be planned."""
        name = self.experiment.reference
        return [training for planned in self.planned if planned.row.name == name for training in planned.trainings]


class Folder:
    """OUT: where trainings are found by their keys. `data`: a folder that the command names, of the set `dataset`; a
    pre-training on another set finds its own."""

    def __init__(self, out: Path, data: Path | None, split: str, dataset: str = "") -> None:
        self.out, self.data, self.split, self.dataset = out, data, split, dataset
        self._digests: dict[str, str] = {}
        self._counts: dict[str, Learned] = {}

    def data_of(self, training: Training) -> Path | None:
        """The folder that the command names for this training's data; None: it is looked for where data lies."""
        return self.data if self.dataset in ("", training.recipe.data.dataset) else None

    def run(self, training: Training) -> Path:
        return self.out / "runs" / training.key

    def done(self, training: Training) -> dict[str, Any] | None:
        """What is known of a finished training; None before it is."""
        path = self.run(training) / DONE
        if not (path.is_file() and (self.run(training) / WEIGHTS).is_file()):
            return None
        content = read_object(path, ANEW)
        if content.get("key") != training.key:
            return None
        _same_settings(self.run(training) / CONFIG, training)
        return content

    def digest(self, training: Training, what: Literal["learned", "asked"]) -> str:
        """A digest of the data that it learns from and is chosen on, for which the test split is not read, or of the
        questions that are reported, as they are now; "" where they cannot be read, which its own training tells."""
        choice = training.recipe.data
        key = what + json.dumps(choice.model_dump(mode="json"), sort_keys=True)
        if key not in self._digests:
            try:
                samples = Samples(choice, find_root(choice, self.data_of(training)))
                if what == "learned":
                    parts = [*samples.learning, *_auxiliary(samples)]
                else:
                    parts = [samples.test(self.split)]
                self._digests[key] = digest_of(chain(*parts))
            except DiscernError:
                self._digests[key] = ""
        return self._digests[key]

    def learned(self, training: Training) -> "Learned":
        """How many images and texts it learns from, those of auxiliary sets included."""
        choice, seed = training.recipe.data, training.recipe.run.seed
        key = json.dumps([choice.model_dump(mode="json"), seed], sort_keys=True)
        if key not in self._counts:
            samples = Samples(choice, find_root(choice, self.data_of(training)), seed)
            learned = [*chain(samples.learning[0], *_auxiliary(samples))]
            self._counts[key] = Learned(len({sample.image for sample in learned}), len(learned))
        return self._counts[key]

    def begun_with(self, training: Training) -> Path:
        """Where the digest of its data stands while it is trained."""
        return self.out / "recipes" / f"{training.key}.data"

    def answered(self, training: Training) -> Path:
        """Where the digest of the questions stands that it has answered."""
        return self.run(training) / f"answered.{self.split}.data"

    def answers_of(self, planned: Planned, training: Training) -> Path:
        """The answers of a row with one of its trainings."""
        if planned.row.baseline:
            return self.run(training) / "baselines" / f"{planned.row.baseline}.{self.split}.jsonl"
        return self.predictions(training)

    def predictions(self, training: Training, mode: str = "") -> Path:
        """Its answers on the split that is reported; `mode`: in this way of answering, else in its recipe's."""
        return self.run(training) / f"predictions.{self.split}{mode and f'.{mode}'}.jsonl"

    def answers(self, training: Training) -> list[Path]:
        """All answers to that split that are there, its own in every mode and those of baselines beside it, and what
        was made of them."""
        run = self.run(training)
        kinds = [f"{name}.{self.split}.*" for name in ("predictions", "scores", "features")]
        return [file for kind in (*kinds, f"baselines/*.{self.split}.jsonl") for file in run.glob(kind)]

    def scores(self, training: Training) -> Path:
        """Its scores, beside baselines; of the reference's first seed only."""
        return self.run(training) / f"scores.{self.split}.json"

    def states(self, training: Training) -> Path:
        """How the states of the reported questions lie, for the section `features`."""
        return self.run(training) / f"features.{self.split}.json"

    def report(self, grid: Grid) -> Path:
        """Where the experiment's report goes; a split that is not test has one of its own."""
        split = "" if self.split == "test" else f".{self.split}"
        return self.out / "reports" / f"{grid.experiment.name}.{grid.base}{split}"

    def note(self, event: str, **more: Any) -> None:
        """A line of events.jsonl."""
        line = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "event": event, **more}
        with open(self.out / "events.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _auxiliary(samples: Samples) -> list[list[Sample]]:
    """What is learned from of each auxiliary set that the recipe names, but for those that may be missing and are."""
    choice, sets = samples.choice, []
    for entry in choice.auxiliary:
        try:
            folder = folder_of(entry, samples.root)
        except DataError:
            if choice.auxiliary_missing == "without":
                continue
            raise
        sets.append(auxiliary_samples(choice, entry, folder, samples.answer_vocabulary()))
    return sets


def _same_settings(config: Path, training: Training) -> None:
    """Raises RunError when a finished run was made with other settings than its recipe means now: a default has
    changed since."""
    made, meant = translated(read_object(config, ANEW), str(config)), training.recipe.to_json()
    if isinstance(name := made.get("data", {}).get("auxiliary"), str):  # it was the name of one set
        made["data"]["auxiliary"] = [name] if name else []
    if training.recipe.data.auxiliary_missing == "without":  # some may have been nowhere
        present = made.get("data", {}).get("auxiliary", [])
        meant["data"]["auxiliary"] = [entry for entry in meant["data"]["auxiliary"] if entry in present]
    changed = [
        f"[{table}] {key}"
        for table, settings in meant.items()
        for key in settings.keys() & made.get(table, {}).keys()
        if settings[key] != made[table][key] and (table, key) != ("data", "root") and key not in NO_PART
    ]
    if changed:
        raise RunError(
            f"{config.parent} was trained with other settings: {', '.join(sorted(changed))}",
            hint="choose another --out; this one is of an earlier version",
        )


def same_data(folder: Folder, training: Training, done: dict[str, Any] | None) -> None:
    """Raises RunError when a run was made of, or begun with, other data than it would get now. One that says nothing
    of its data, of an earlier version, is taken as it is."""
    begun = folder.begun_with(training)
    then = str((done or {}).get("data", ""))
    if done is None and begun.is_file() and (folder.run(training) / CONFIG).is_file():
        then = begun.read_text(encoding="utf-8").strip()
    if then and (now := folder.digest(training, "learned")) and now != then:
        raise RunError(
            f"{folder.run(training)} was trained on other data than --data names now",
            hint="choose another --out, or give the --data that it was begun with",
        )


def forget_other_questions(folder: Folder, labels: dict[str, tuple[Training, str]], say: Callable[[str], None]) -> None:
    """Takes away what was answered to a split that has changed since, so that it is answered anew. An answer of an
    earlier version, which says nothing of its questions, is taken as it is."""
    changed = []
    for training, _ in labels.values():
        digest, now = folder.answered(training), folder.digest(training, "asked") if folder.answers(training) else ""
        if now and digest.is_file() and digest.read_text(encoding="utf-8").strip() != now:
            changed.append(training)
    for file in [file for training in changed for file in folder.answers(training)]:
        file.unlink()
    if changed:
        say(f"{folder.split} is not what it was when {len(changed)} rows answered it; they answer it anew")
        folder.note("changed", split=folder.split, rows=[training.key for training in changed])
