"""Fits the out-of-distribution detector of a run (`trust/ood.py`) on what it learned from, and measures it on what it
did not."""

import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from discern_vqa.data.ablated_images import ShuffledImages
from discern_vqa.data.sample import Sample
from discern_vqa.errors import DataError, RunError
from discern_vqa.evaluation.calibrate import held_out
from discern_vqa.evaluation.features import image_vectors, key_of, question_vectors
from discern_vqa.evaluation.opening import open_run
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.recipe_samples import Samples, find_root
from discern_vqa.run import WEIGHTS
from discern_vqa.scoring.metrics import figure
from discern_vqa.trust import ood
from discern_vqa.trust.calibration import digest
from discern_vqa.trust.ood import MOST, Detector, Known

T = TypeVar("T", str, tuple[str, Path])

NOISE = "noise"
IMAGE_FILES = frozenset(".png .jpg .jpeg .tif .tiff .bmp .gif .webp .dcm .nii .gz".split())
"""Endings of the files of a folder that are taken for images; whichever cannot be read stops the work."""
_NOISY = 100
"""So many held-out images are turned into noise, to see whether that is told."""


def fit_run(predictor: Predictor, train: Sequence[Sample], validation: Sequence[Sample]) -> Detector | None:
    """Writes `ood.safetensors` and `ood.json` into the run's folder, and sets `predictor.detector`.

    Images and questions of validation that are not in train are held out; where they are too few (where validation is
    made of other questions about the same images), a fifth of train is left out in turn. None: see `why_not`.
    """
    if predictor.batcher is None:
        return None
    known = _images(train)
    learned = _sampled(known.items())
    held = [key for key in _sampled(_images(validation).items()) if key[0] not in known]
    groups = {sample.image: _unit_of(sample) for sample in train}
    model, batcher = predictor.model, predictor.batcher
    image = Known.fit(
        image_vectors(model, batcher, learned),
        [groups[name] for name, _ in learned],
        image_vectors(model, batcher, held) if held else None,
    )
    asked = _sampled(_questions(train))
    new = _sampled(set(_questions(validation)) - set(_questions(train)))
    question = Known.fit(
        question_vectors(model, batcher, asked), asked, question_vectors(model, batcher, new) if new else None
    )
    if image is None and question is None:
        return None
    made = Detector(image, question, digest(predictor.run.folder / WEIGHTS))
    made.write(predictor.run.folder)
    predictor.detector = made
    if image is not None:
        keys = (held or learned)[:_NOISY]
        vectors = image_vectors(model, predictor.showing(ShuffledImages), keys)
        found = ood.measure(image, vectors, [name for name, _ in keys], "image")
        before = ood.read_figures(predictor.run.folder)["outside"]
        before.pop(NOISE, None)
        ood.write_figures(predictor.run.folder, made, {NOISE: found} | before)
    return made


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
    opened = predictor.run
    root = find_root(opened.recipe.data, data) if data is not None or not opened.root.exists() else opened.root
    train, validation = Samples(opened.recipe.data, root, opened.recipe.run.seed).learning
    say(f"what it learned from: {len(_images(train)):,} images, {len(_questions(train)):,} different questions")
    made = fit_run(predictor, train, validation or held_out(opened, root))
    if made is None:
        why = why_not(predictor, train)
        if outside:
            raise RunError(f"{run} cannot tell what is outside: {why}", hint="give the run of a model, with more data")
        return {"missing": why}
    content = ood.read_figures(opened.folder)
    found = dict(content["outside"])
    for path in outside:
        found[path.name] = measure_outside(predictor, made, path)
    return ood.write_figures(opened.folder, made, found)


def measure_outside(predictor: Predictor, made: Detector, path: Path) -> dict[str, Any]:
    """See `trust.ood.measure`; of a folder's images, or a text file's questions. Raises DataError, ImageError."""
    if path.is_dir():
        keys = [key_of(file) for file in sorted(path.rglob("*")) if file.suffix.lower() in IMAGE_FILES]
        if not keys:
            raise DataError(f"{path} holds no image", hint="a folder of PNG, JPEG, TIFF, DICOM or NIfTI files")
        if made.image is None:
            raise RunError("too few images were learned from to tell others", hint=f"it takes {ood.FEWEST}")
        vectors = image_vectors(predictor.model, predictor.batcher, keys)
        return ood.measure(made.image, vectors, [name for name, _ in keys], "image")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", hint="a folder of images, or a text file with a question a line"
        ) from error
    if not lines:
        raise DataError(f"{path} holds no question", hint="one question a line")
    if made.question is None:
        raise RunError("too few questions were learned from to tell others", hint=f"it takes {ood.FEWEST}")
    return ood.measure(made.question, question_vectors(predictor.model, predictor.batcher, lines), lines, "question")


def measure_split(predictor: Predictor, train: Sequence[Sample], samples: Sequence[Sample]) -> dict[str, Any]:
    """How much of a split it takes for something else than it learned from: {"image", "question"}, each a figure of
    what was taken for such, over the different images and questions that it had not learned from."""
    made = predictor.detector
    if made is None:
        return {}
    found = {}
    known = _images(train)
    new = [key for key in _images(samples).items() if key[0] not in known]
    if made.image is not None:
        far = made.image.distance(image_vectors(predictor.model, predictor.batcher, new)) if new else np.zeros(0)
        found["image"] = figure(far > made.image.threshold + 1e-9, [name for name, _ in new])
    if made.question is not None:
        asked = sorted(set(_questions(samples)) - set(_questions(train)))
        vectors = question_vectors(predictor.model, predictor.batcher, asked)
        far = made.question.distance(vectors) if asked else np.zeros(0)
        found["question"] = figure(far > made.question.threshold + 1e-9, asked)
    return found


def why_not(predictor: Predictor, train: Sequence[Sample]) -> str:
    """Why there is no detector."""
    if predictor.batcher is None:
        return "a baseline has no encoder that would say what is alike"
    images, asked = len(_images(train)), len(_questions(train))
    return f"it learned from {images:,} images and {asked:,} different questions; it takes {ood.FEWEST}"


def _images(samples: Sequence[Sample]) -> dict[str, Path]:
    return {sample.image: sample.path for sample in samples}


def _questions(samples: Sequence[Sample]) -> list[str]:
    """The different questions, without regard to capitals and blanks."""
    return sorted({" ".join(sample.question.lower().split()) for sample in samples if sample.question})


def _sampled(things: Iterable[T]) -> list[T]:
    """All of them in order, or as many as are kept; which ones follows from the list alone."""
    every = sorted(things)
    return every if len(every) <= MOST else sorted(random.Random(0).sample(every, MOST))


def _unit_of(sample: Sample) -> str:
    """What images of one patient share is no proof of being usual, so they are left out together."""
    return sample.group or sample.patient or sample.study or sample.image
