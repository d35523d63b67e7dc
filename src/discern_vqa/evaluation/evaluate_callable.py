"""`discern_vqa.evaluate`: a Python callable judged as `discern evaluate --model outside/function` judges it."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from discern_vqa import data_file, registry
from discern_vqa.errors import ConfigError
from discern_vqa.evaluation.evaluate_outside import evaluate_outside
from discern_vqa.outside.function import SHAPE, Function, provided
from discern_vqa.report.page import write_report
from discern_vqa.report.terminal import as_table
from discern_vqa.run_folder import CONFIG
from discern_vqa.scoring import predictions
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.toml import toml_value

RECIPE = Path("outside/function")


@dataclass(frozen=True)
class Evaluated:
    """What `discern_vqa.evaluate` found. `print` shows the table of `discern evaluate`."""

    scores: Mapping[str, Any]  # what `scores.<split>.json` holds; docs/metrics.md describes each figure
    answers: tuple[Prediction, ...]  # a row for each question: id, image, question, gold, prediction, answer type, ...
    folder: Path | None  # the run folder; None where none was named

    @property
    def accuracy(self) -> float:
        """The share of the questions that are answered right, in [0, 1]."""
        return float(self.scores["overall"]["accuracy"])

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy, clustered by image."""
        low, high = self.scores["overall"]["ci95"]
        return float(low), float(high)

    def report(self) -> Path:
        """Writes the report into the run folder, and returns its page. Raises ConfigError where no folder was named."""
        if self.folder is None:
            raise ConfigError("a report needs the run folder", hint='discern_vqa.evaluate(answer, data, out="run")')
        return write_report(self.folder, self.folder / "report")

    def __str__(self) -> str:
        return as_table(self.scores)


def evaluate(
    answer: Function,
    data: str | os.PathLike[str],
    root: str | os.PathLike[str] | None = None,
    *,
    split: str = "test",
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    baselines: bool = True,
    confidence: bool = False,
    batch: int = 8,
    settings: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
) -> Evaluated:
    """Asks a callable every question of a data set, with its own image and with those of the controls, and judges it.

    answer: takes a list of (image, question), at most `batch` of them, the images being RGB images of Pillow, and
        returns a text for each; with `confidence`, a pair of a text and a number from 0 to 1.
    data: a data set's name ("vqa_rad"), or the path of a data.toml.
    root: the data set's folder; None: it is looked for where data lie (DISCERN_DATA). Not with a data.toml.
    split: which questions are asked.
    out: the run folder to make, with the same files as the command writes; None: nothing is kept.
    resume: go on in a folder `out` that is there already. What the callable has answered there is not asked again.
    baselines: also fit the baselines on the training part of the data.
    settings: keys of the recipe, as after `--set`: "data.protocol=image_disjoint".
    say: is told what is being done.

    Raises ConfigError: `answer` cannot be called, a setting is none, `out` is there already. DataError: the data are
    not there, or broken. RunError: the callable failed, or returned something else than it should.
    """
    if not callable(answer):
        raise ConfigError(
            f"{type(answer).__name__} cannot be called; expected {SHAPE}",
            hint="of a run: discern_vqa.evaluate(lambda pairs: [a.text for a in model.ask_many(pairs)], data)",
        )
    if isinstance(settings, str | Mapping):
        raise ConfigError(
            f"settings is given as {type(settings).__name__}; expected a list of texts",
            hint='settings=["data.protocol=image_disjoint"]',
        )
    if not isinstance(data, str | os.PathLike):
        raise ConfigError(
            f"data is given as {type(data).__name__}; expected the name of a data set or the path of a data.toml",
            hint='discern_vqa.evaluate(answer, "vqa_rad")',
        )
    is_file = data_file.is_data_file(Path(data))
    if is_file and root is not None:
        raise ConfigError(f"{data} says where the data lie, and {root} is given too", hint=f"leave out {root}")
    folder = Path(out) if out is not None else None
    if folder is not None and (folder / CONFIG).is_file() and not resume:
        raise ConfigError(
            f"{folder} already holds a run", hint="add resume=True to go on with its answers, or name another folder"
        )
    with provided(answer) as name, tempfile.TemporaryDirectory(prefix="discern-") as passing:
        run = folder if folder is not None else Path(passing) / "run"
        keys = {"model.function": name, "model.batch": batch, "model.confidence": "verbal" if confidence else "none"}
        if not is_file:
            registry.reader(os.fspath(data))  # says which name is near
            keys["data.dataset"] = os.fspath(data)
        overrides = [*(f"{key}={toml_value(value)}" for key, value in keys.items()), *settings]
        where = Path(data) if is_file else Path(root) if root is not None else None
        scores = evaluate_outside(
            run, RECIPE, overrides=overrides, data=where, split=split, baselines=baselines, say=say
        )
        answers = tuple(predictions.read(run / f"predictions.{split}.jsonl"))
    return Evaluated(scores, answers, folder)
