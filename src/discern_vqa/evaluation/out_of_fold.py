"""Out-of-fold predictions: what a run's recipe answers to training questions that it has not learned from.

A run that learned from everything has no question left on which its confidence could be measured. So its recipe is
trained k times more, each time without a k-th of what the run learned from, and each of these trainings answers the
questions that it did not see. Together they answer each question once, none of them learned. The confidence that is
fitted on these answers is that of models which saw (k - 1)/k of the data, so that it errs on the careful side.
"""

from collections.abc import Callable
from pathlib import Path

from discern_vqa.config import Recipe
from discern_vqa.data.sample import Sample
from discern_vqa.errors import RunError
from discern_vqa.evaluation.opening import data_root, open_run, samples_of
from discern_vqa.files import atomic_write_text
from discern_vqa.recipe_check import without_none
from discern_vqa.recipe_samples import Samples
from discern_vqa.run import WEIGHTS, Run, has_begun
from discern_vqa.scoring import predictions
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.toml import as_toml
from discern_vqa.training.train import train
from discern_vqa.trust.calibration import FEWEST

FOLDER, FILE = "out_of_fold", "predictions.out_of_fold.jsonl"
"""In the run's folder: a run for each fold, and the answers of all of them."""


def predict_out_of_fold(
    run: Run, folds: int, data: Path | None = None, say: Callable[[str], None] = lambda text: None
) -> list[Prediction]:
    """Trains the recipe of a run once for each fold, into `<run>/out_of_fold`, and writes what they answer to the
    questions left out, as `predictions.out_of_fold.jsonl`. A fold that was trained before is not trained again, and one
    that was interrupted goes on.

    Raises RunError where questions are held out anyway, or where no fold of them would be unseen; DataError for too few
    images or questions.
    """
    reading = samples_of(run, data)
    if len(reading.held_out()) >= FEWEST:
        raise RunError(
            f"{run.folder} has held {len(reading.held_out()):,} questions out: no fold needs to be trained",
            hint=f"discern calibrate {run.folder}",
        )
    if not run.recipe.is_baseline and run.recipe.run.select == "best":
        raise RunError(
            f"{run.folder} chose its epoch on held-out questions; the training of a fold has none to choose on, so that"
            " its answers would be those of another model",
            hint=f"discern train {run.folder / 'recipe.toml'} --set data.refit=train+validation --set run.select=last"
            " --out REFIT, with as many epochs as were best; then: discern calibrate REFIT --folds 5",
        )
    began_from = run.began_from()
    _refuse_learned_before(run, began_from)
    recipe = run.folder / FOLDER / "recipe.toml"
    atomic_write_text(recipe, _without_a_fold(run.recipe))
    root = data_root(run, data)
    parts = [_fold(run, root, fold, folds) for fold in range(folds)]  # too few images: before anything is trained
    rows: list[Prediction] = []
    for fold, asked in enumerate(parts):
        folder = run.folder / FOLDER / f"{fold + 1}_of_{folds}"
        say(f"fold {fold + 1} of {folds}: {len(asked):,} questions are left out")
        if not (folder / WEIGHTS).is_file():
            train(
                recipe,
                data=root,
                from_run=began_from,
                overrides=[f"data.out_of_fold=[{fold}, {folds}]"],
                out=folder,
                resume=has_begun(folder),
                quiet=True,
            )
        rows += predictions.from_answers(asked, open_run(folder, calibrated=False).answer(asked))
    predictions.write(run.folder / FILE, rows)
    return rows


def trained_folds(run: Run) -> list[Path]:
    """The folders of the trainings without a fold, where all of one number of folds are there (of several numbers the
    largest); none otherwise."""
    ended = {weights.parent.name for weights in (run.folder / FOLDER).glob(f"*_of_*/{WEIGHTS}")}
    numbers = sorted({int(name.rpartition("_")[2]) for name in ended}, reverse=True)
    for folds in numbers:
        names = [f"{fold + 1}_of_{folds}" for fold in range(folds)]
        if ended.issuperset(names):
            return [run.folder / FOLDER / name for name in names]
    return []


def _fold(run: Run, root: Path, fold: int, folds: int) -> list[Sample]:
    choice = run.recipe.data.model_copy(update={"out_of_fold": (fold, folds)})
    return Samples(choice, root, run.recipe.run.seed).fold()


def _without_a_fold(recipe: Recipe) -> str:
    """The run's recipe as a file of its own, which begins from the run that is named beside it."""
    tables = without_none(recipe.to_json())
    tables["run"]["after"] = ""
    tables["data"]["root"] = ""
    return as_toml(tables)


def _refuse_learned_before(run: Run, began_from: Path | None) -> None:
    """Raises RunError where the weights that a training begins with have learned from the questions of every fold."""
    name = run.recipe.data.dataset
    while began_from is not None:
        before = Run.open(began_from)
        choice = before.recipe.data
        auxiliary = {entry.partition(":")[0] for entry in choice.auxiliary}
        if name in auxiliary or (choice.dataset == name and choice.split == "train"):
            raise RunError(
                f"{run.folder} began with {began_from}, which has learned from the training questions of {name}: no"
                " fold of them would be unseen",
                hint=f"discern calibrate {run.folder} --on HELD_OUT.jsonl (its predictions on questions of your own)",
            )
        began_from = before.began_from()
