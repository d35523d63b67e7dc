"""Out-of-distribution limits of a run that learned from everything with encoders that were trained: each training of
`out_of_fold` measures how far, in its own encoder's space, the images and questions are that were left out of it."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from discern_vqa.data.sample import Sample
from discern_vqa.evaluation.features import image_vectors, question_vectors
from discern_vqa.evaluation.opening import open_run, samples_of
from discern_vqa.evaluation.out_of_fold import trained_folds
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.trust.ood import MOST, Known

T = TypeVar("T", str, tuple[str, Path])


def trained_encoders(predictor: Predictor) -> frozenset[str]:
    """Of "image" and "question" those whose vectors (`features`) come from an encoder that the run trained."""
    model, batcher = predictor.model, predictor.batcher
    trained = {"image"} if not predictor.run.recipe.model.image.frozen or model.image.trains_last else set()
    return frozenset(trained | ({"question"} if batcher.texts is None else set()))


def known(predictor: Predictor, kind: str, learned: Sequence[T]) -> Known | None:
    """What is like `learned` (names and paths of images, or questions), measured by the trainings without a fold; None
    where there are none, or where they left too little out."""
    folds = [_measured(folder, predictor.run.root, kind) for folder in trained_folds(predictor.run)]
    return Known.out_of_fold(_vectors(predictor, kind, learned), folds) if folds else None


def _measured(folder: Path, data: Path, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of what the training of a fold learned from, and of what was left out of it and is new to it."""
    predictor = open_run(folder, calibrated=False)
    reading = samples_of(predictor.run, data if data.exists() else None)
    train, left_out = reading.learning[0], reading.fold()
    if kind == "image":
        familiar = images_of(train)
        new = [key for key in sampled(images_of(left_out).items()) if key[0] not in familiar]
        return _vectors(predictor, kind, sampled(familiar.items())), _vectors(predictor, kind, new)
    asked = set(questions_of(train))
    others = sampled(set(questions_of(left_out)) - asked)
    return _vectors(predictor, kind, sampled(asked)), _vectors(predictor, kind, others)


def _vectors(predictor: Predictor, kind: str, things: Sequence[T]) -> np.ndarray:
    of = image_vectors if kind == "image" else question_vectors
    vectors: np.ndarray = of(predictor.model, predictor.batcher, things)  # type: ignore[arg-type]
    return vectors


def images_of(samples: Sequence[Sample]) -> dict[str, Path]:
    return {sample.image: sample.path for sample in samples}


def questions_of(samples: Sequence[Sample]) -> list[str]:
    """The different questions, without regard to capitals and blanks."""
    return sorted({" ".join(sample.question.lower().split()) for sample in samples if sample.question})


def sampled(things: Iterable[T]) -> list[T]:
    """All of them in order, or as many as are kept; which ones follows from the list alone."""
    every = sorted(things)
    return every if len(every) <= MOST else sorted(random.Random(0).sample(every, MOST))
