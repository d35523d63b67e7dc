"""Fits the out-of-distribution detector of a run (`trust/ood.py`) on what it learned from, and measures it on what it
did not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from discern_vqa.data.ablated_images import ShuffledImages
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError, RunError
from discern_vqa.evaluation import ood_folds
from discern_vqa.evaluation.features import image_vectors, key_of, question_vectors
from discern_vqa.evaluation.ood_folds import images_of, questions_of, sampled, trained_encoders
from discern_vqa.evaluation.opening import open_run, samples_of
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.imaging.endings import is_image_name
from discern_vqa.run import WEIGHTS
from discern_vqa.scoring.metrics import figure
from discern_vqa.trust import ood
from discern_vqa.trust.calibration import digest
from discern_vqa.trust.ood import Detector, Known

NOISE = "noise"
_NOISY = 100  # so many held-out images are turned into noise, to see whether that is told


def fit_run(
    predictor: Predictor, train: Sequence[Sample], validation: Sequence[Sample], *, none_held_out: bool = False
) -> Detector | None:
    """Writes `ood.safetensors` and `ood.json` into the run's folder, and sets `predictor.detector`.

    Images and questions of validation that are not in train are held out; where they are too few (where validation is
    made of other questions about the same images), a fifth of train is left out in turn. None: see `why_not`.

    none_held_out: the run learned from everything. An encoder that was trained has then learned every image, and a
    fifth of them is no more like new ones than the rest: only the trainings of `out_of_fold` tell how far new ones are.
    """
    if predictor.batcher is None:
        return None
    familiar = images_of(train)
    learned = sampled(familiar.items())
    held = [key for key in sampled(images_of(validation).items()) if key[0] not in familiar]
    # What images of one patient share is no proof of being usual, so they are left out together.
    groups = {sample.image: sample.group or sample.patient or sample.study or sample.image for sample in train}
    model, batcher = predictor.model, predictor.batcher
    trained = trained_encoders(predictor) if none_held_out else frozenset()
    image = (
        ood_folds.known(predictor, "image", learned)
        if "image" in trained
        else Known.fit(
            image_vectors(model, batcher, learned),
            [groups[name] for name, _ in learned],
            image_vectors(model, batcher, held) if held else None,
        )
    )
    questions = sampled(questions_of(train))
    new = sampled(set(questions_of(validation)) - set(questions_of(train)))
    question = (
        ood_folds.known(predictor, "question", questions)
        if "question" in trained
        else Known.fit(
            question_vectors(model, batcher, questions),
            questions,
            question_vectors(model, batcher, new) if new else None,
        )
    )
    known = {kind: side for kind, side in (("image", image), ("question", question)) if side is not None}
    if not known:
        return None
    folder = predictor.run.folder
    detector = predictor.detector = Detector(known, digest(folder / WEIGHTS))
    outside = detector.measured_before(folder)
    if image is not None:
        keys = (held or learned)[:_NOISY]
        vectors = image_vectors(model, predictor.showing(ShuffledImages), keys)
        outside = {NOISE: ood.measure(image, vectors, [name for name, _ in keys], "image")} | {
            name: figures for name, figures in outside.items() if name != NOISE
        }
    detector.write(folder, outside)
    return detector


def fit_and_measure(
    run: Path,
    outside: Sequence[Path] = (),
    data: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Fits the detector of a run anew, and measures it on folders of images and text files of questions, a line each.

    Returns what `ood.json` holds then.
    """
    predictor = open_run(run, calibrated=False)
    folder, reading = predictor.run.folder, samples_of(predictor.run, data)
    train, validation = reading.learning
    say(f"what it learned from: {len(images_of(train)):,} images, {len(questions_of(train)):,} different questions")
    held = validation or reading.held_out()
    detector = fit_run(predictor, train, held, none_held_out=not held)
    if detector is None:
        why = why_not(predictor, train)
        if outside:
            raise RunError(f"{run} cannot tell what is outside: {why}", hint="give the run of a model, with more data")
        return {"missing": why}
    figures = ood.read_figures(folder)["outside"]
    figures |= {path.name: measure_outside(predictor, detector, path) for path in outside}
    return detector.write(folder, figures)


def measure_outside(predictor: Predictor, made: Detector, path: Path) -> dict[str, Any]:
    """See `trust.ood.measure`; of a folder's images, or a text file's questions. Raises DataError, ImageError."""
    if path.is_dir():
        kind, keys = "image", [key_of(file) for file in sorted(path.rglob("*")) if is_image_name(file.name)]
        if not keys:
            raise DataError(f"{path} holds no image", hint="a folder of PNG, JPEG, TIFF, DICOM or NIfTI files")
        names = [name for name, _ in keys]
    else:
        kind, names = "question", _lines(path)
    if kind not in made.known:
        raise RunError(f"too few {ood.KINDS[kind]} were learned from to tell others", hint=f"it takes {ood.FEWEST}")
    model, batcher = predictor.model, predictor.batcher
    vectors = image_vectors(model, batcher, keys) if path.is_dir() else question_vectors(model, batcher, names)
    return ood.measure(made.known[kind], vectors, names, kind)


def _lines(path: Path) -> list[str]:
    """The questions of a text file. Raises DataError."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", hint="a folder of images, or a text file with a question a line"
        ) from error
    if not lines:
        raise DataError(f"{path} holds no question", hint="one question a line")
    return lines


def measure_split(predictor: Predictor, train: Sequence[Sample], samples: Sequence[Sample]) -> dict[str, Any]:
    """How much of a split it takes for something else than it learned from: {"image", "question"}, each a figure of
    what was taken for such, over the different images and questions that it had not learned from."""
    known = predictor.detector.known if predictor.detector else {}
    model, batcher, familiar = predictor.model, predictor.batcher, images_of(train)
    figures = {}
    if "image" in known:
        new = [key for key in images_of(samples).items() if key[0] not in familiar]
        distance = known["image"].distance(image_vectors(model, batcher, new)) if new else np.zeros(0)
        figures["image"] = figure(known["image"].is_outside(distance), [name for name, _ in new])
    if "question" in known:
        asked = sorted(set(questions_of(samples)) - set(questions_of(train)))
        distance = known["question"].distance(question_vectors(model, batcher, asked)) if asked else np.zeros(0)
        figures["question"] = figure(known["question"].is_outside(distance), asked)
    return figures


def why_not(predictor: Predictor, train: Sequence[Sample]) -> str:
    """Why there is no detector."""
    if predictor.batcher is None:
        return "a baseline, or somebody else's model, has no encoder here that would say what is alike"
    images, asked = len(images_of(train)), len(questions_of(train))
    if min(images, asked) >= ood.FEWEST and trained_encoders(predictor):
        return (
            "it has held nothing out, and its encoders have learned every image and question: how far new ones are is"
            f" not known (measured by: discern calibrate {predictor.run.folder} --folds 5)"
        )
    return f"it learned from {images:,} images and {asked:,} different questions; it takes {ood.FEWEST}"
