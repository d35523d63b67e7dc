"""`discern calibrate`: a run's confidence is fitted on questions that it did not learn from, and kept in its folder."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError, DiscernError, RunError
from discern_vqa.evaluation import out_of_fold
from discern_vqa.evaluation.opening import open_run, samples_of
from discern_vqa.evaluation.out_of_fold import predict_out_of_fold
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.run import WEIGHTS, Run
from discern_vqa.scoring import predictions
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.trust.calibration import (
    COVERAGE,
    FILE,
    Calibration,
    count_shared,
    digest,
    nothing_held_out,
    refuse_few,
    refuse_shared,
    what_can_be_done,
)

NAMED = 3
VALIDATION = "predictions.validation.jsonl"
_MAY_DIFFER = (
    *(f"data.{key}" for key in ("root", "validation_ratio", "validation_by", "validation_from")),
    *(f"run.{key}" for key in ("select", "seed", "epochs", "patience")),
    *(f"run.{key}" for key in ("save_every", "threads", "trackers", "baselines")),
)
"""What a run may have otherwise than one that lends it its validation: the part held out and what follows from it, and
what changes no answer."""


def calibrate_run(
    run: Path,
    *,
    on: Path | None = None,
    data: Path | None = None,
    coverage: float = COVERAGE,
    target: float | None = None,
    folds: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Calibration, list[Prediction]]:
    """Fits on the run's own validation questions, or on the predictions `on`; writes `calibration.json`.

    folds: fits on out-of-fold predictions instead (`out_of_fold`), after so many trainings; 0: does not.
    on: a predictions file of held-out questions, or another run's folder (its validation predictions are taken: the
    same recipe with a validation part, for a run that learned from everything). data: the data set's folder, if it
    moved.

    Returns the calibration and the predictions that it was fitted on. Raises RunError where nothing was held out or the
    other run is of another recipe, DataError for too few questions, or for some of the run's own test predictions.
    """
    run = Path(run)
    if on is not None:
        opened, file = Run.open(run), on
        about: dict[str, Any] = {"what": "held-out", "file": file.name}
        if on.is_dir():
            _refuse_another_recipe(opened, Run.open(on))
            file = on / VALIDATION
            about |= {"file": VALIDATION, "borrowed_from": on.resolve().name}
            if not file.is_file():
                raise RunError(f"{on} has no {VALIDATION}", hint=f"first: discern calibrate {on}")
        rows = predictions.read(file)
        test = run / "predictions.test.jsonl"
        if test.is_file():
            refuse_shared(rows, predictions.read(test), f"the test questions of {run}")
        if not on.is_dir():
            _refuse_learned(opened, rows, data, say)
        return _fit(run, rows, opened.recipe.data.normaliser, coverage, target, about), rows
    opened = Run.open(run)
    if opened.recipe.is_outside and not opened.recipe.model.has_score:  # before the model is asked for nothing
        raise RunError(
            f"{run} asks a model for answers without a score, and only scores can be calibrated",
            hint="evaluate another run with --set model.confidence=verbal (docs/outside_models.md)",
        )
    if folds and opened.recipe.is_outside:
        raise RunError(
            f"--folds trains a run anew, and {run} is somebody else's model, which is never trained",
            hint=what_can_be_done(run, is_outside=True),
        )
    if folds:
        rows = predict_out_of_fold(opened, folds, data, say)
        about = {"what": "out-of-fold", "file": out_of_fold.FILE, "folds": folds}
        return _fit(run, rows, opened.recipe.data.normaliser, coverage, target, about), rows
    validation = samples_of(opened, data).held_out()
    if not validation:
        raise RunError(nothing_held_out(run), hint=what_can_be_done(run, is_outside=opened.recipe.is_outside))
    refuse_few(len(validation))  # before the model is loaded
    predictor = open_run(run, calibrated=False)  # what is there may be broken or out of date
    say(f"{len(validation):,} validation questions")
    return from_validation(predictor, validation, coverage, target)


def from_validation(
    predictor: Predictor, validation: Sequence[Sample], coverage: float = COVERAGE, target: float | None = None
) -> tuple[Calibration, list[Prediction]]:
    """The same for a run that is open already; its answers are kept as `predictions.validation.jsonl`."""
    folder = predictor.run.folder
    rows = predictions.from_answers(validation, predictor.answer(validation))
    predictions.write(folder / VALIDATION, rows)
    about = {"what": "validation", "file": VALIDATION}
    return _fit(folder, rows, predictor.run.recipe.data.normaliser, coverage, target, about), rows


def _refuse_learned(run: Run, rows: Sequence[Prediction], data: Path | None, say: Callable[[str], None]) -> None:
    """Raises DataError when the run has learned from some of these; where its data are not at hand, it is said."""
    try:
        train, _ = samples_of(run, data).learning
    except DiscernError:
        say(f"the training questions of {run.folder} are not at hand, so nobody checks that these are none of them")
        return
    if learned := count_shared(rows, train):
        raise DataError(
            f"{run.folder} has learned from {learned:,} of the {len(rows):,} questions: of those it is always sure",
            hint="give questions that it has not seen; another run's validation is named by its folder: --on OTHER_RUN",
        )


def _refuse_another_recipe(run: Run, other: Run) -> None:
    """Raises RunError unless both are of one recipe and one vocabulary: a confidence is the model's that gave it."""
    ours, theirs = _flat(run.recipe.to_json()), _flat(other.recipe.to_json())
    keys = [key for key in ours | theirs if key not in _MAY_DIFFER and ours.get(key) != theirs.get(key)]
    if run.vocabulary.answers != other.vocabulary.answers:
        keys.append("the answers of the vocabulary")
    if keys:
        named = ", ".join(keys[:NAMED]) + (f" and {len(keys) - NAMED} more" if len(keys) > NAMED else "")
        raise RunError(
            f"{other.folder} is of another recipe than {run.folder}: they differ in {named}",
            hint=f"discern train {run.folder / 'recipe.toml'} --set data.validation_ratio=0.1 --out OTHER_RUN",
        )


def _flat(table: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """The entries of nested tables by their dotted names."""
    entries: dict[str, Any] = {}
    for key, value in table.items():
        entries |= _flat(value, f"{before}{key}.") if isinstance(value, Mapping) else {f"{before}{key}": value}
    return entries


def _fit(
    folder: Path, rows: list[Prediction], normalise: str, coverage: float, target: float | None, about: dict[str, Any]
) -> Calibration:
    made = Calibration.fit(rows, normalise, coverage, target, {**about, "weights": digest(folder / WEIGHTS)})
    made.write(folder / FILE)
    return made
