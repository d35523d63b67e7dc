"""Answers from a run: one question, a file, or a split; with its images, without, or with somebody else's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import torch

from discern_vqa.answering.decisions import in_order
from discern_vqa.answering.modes import Answering
from discern_vqa.data.ablated_images import BlankImages, ShuffledImages, pixels_of
from discern_vqa.data.answering_sources import TEXT_BYTES, AnsweringPixels, AnsweringStates, AnsweringTexts
from discern_vqa.data.answers import Answer
from discern_vqa.data.batch import Batcher
from discern_vqa.data.bounded import PerText
from discern_vqa.data.sample import Sample
from discern_vqa.data.sources import ImageSource, StateSource
from discern_vqa.evaluation.asked_run import OpenRun, Reads
from discern_vqa.evaluation.features import image_vectors, question_vectors
from discern_vqa.evaluation.given_image import Given
from discern_vqa.files import sha256_of
from discern_vqa.nn.encoders.engines import FrozenImages, frozen_texts
from discern_vqa.nn.encoders.timing import time_encoders
from discern_vqa.run import WEIGHTS, Run
from discern_vqa.trust.calibration import Calibration, read_if_there
from discern_vqa.trust.ood import Detector
from discern_vqa.trust.ood import read_if_there as read_detector

if TYPE_CHECKING:  # imports nothing that a single question does not need
    from discern_vqa.evaluation.explain import Explained
    from discern_vqa.measurements import Shown


class Answered(Protocol):
    """All that a run says about some questions (`answering.modes.Answering`, `predict_baseline.BaselineAnswering`)."""

    def answers(self, mode: str = ...) -> list[Answer]:
        """One answer for each question in this way of answering. Raises ConfigError for one that the model lacks."""


@dataclass(eq=False)
class Predictor(OpenRun):
    """An open run with its model in memory."""

    shows: ClassVar[tuple["Shown", ...]] = ("real", "blank", "noise")  # the images that can be shown
    run: Run
    model: Any
    batcher: Any
    calibration: Calibration | None = None
    detector: Detector | None = None

    @property
    def modes(self) -> tuple[str, ...]:
        """The ways of answering that this model has (`answering/modes.py`)."""
        return tuple(self.model.modes)

    @classmethod
    def of(cls, run: Run, device: str | None = None, calibrated: bool = True) -> "Predictor":
        """Loads the network of an open run (see `opening.open_run`). Raises RunError."""
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        model: Any = run.load_model().to(device)
        time_encoders(model.image, model.text)
        calibration = read_if_there(run.folder, run.folder / WEIGHTS) if calibrated else None
        detector = read_detector(run.folder, run.folder / WEIGHTS) if calibrated else None
        return cls(run, model, answering_batcher(run, model), calibration, detector)

    @property
    def folder(self) -> Path:
        return self.run.folder

    def explain(self, image: Given, question: str, method: str = "auto") -> "Explained":
        """See OpenRun."""
        from discern_vqa.evaluation.explain import explain

        return explain(self, image, question, method)

    @property
    def own_mode(self) -> str:
        return str(self.run.recipe.run.mode)

    @property
    def weights_sha256(self) -> str:
        return sha256_of(self.run.folder / WEIGHTS)

    @property
    def is_refit(self) -> bool:
        return self.run.recipe.data.refit != "none"

    @property
    def has_heat_maps(self) -> bool:
        return self.run.recipe.is_network

    @property
    def explains(self) -> tuple[str, ...]:
        if not self.has_heat_maps:
            return ()
        from discern_vqa.attribution import methods

        return tuple(methods.offered(self.model))

    @property
    def finds_similar(self) -> bool:
        return self.run.recipe.is_network

    @property
    def image_size(self) -> int | None:
        return int(self.model.image.size) if self.run.recipe.is_network else None

    @property
    def reading(self) -> tuple[Reads, int] | None:
        return None if self.batcher is None else (self.batcher.tokenizer, self.batcher.length)

    def vectors(self, samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
        """See OpenRun; each image is looked at once."""
        paths = {sample.image: sample.path for sample in samples}
        rows = {image: row for row, image in enumerate(paths)}
        vectors = image_vectors(self.model, self.batcher, list(paths.items()))
        texts = question_vectors(self.model, self.batcher, [sample.question for sample in samples])
        return vectors[[rows[sample.image] for sample in samples]], texts

    def answer(self, samples: Sequence[Sample], shown: "Shown" = "real", seed: int = 0, mode: str = "") -> list[Answer]:
        """One answer for each sample. `shown`: "blank" shows a grey image instead of each, "noise" its
        own pixels in another order (see `controls`). `mode`: a way of answering; none: the recipe's."""
        return self.answering(samples, shown, seed).answers(mode or self.run.recipe.run.mode) if samples else []

    def answering(self, samples: Sequence[Sample], shown: "Shown" = "real", seed: int = 0) -> Answered:
        """As `answer`, for answers in several ways from one pass of each kind."""
        batcher = self.batcher
        if shown != "real":
            batcher = self.showing(BlankImages if shown == "blank" else partial(ShuffledImages, seed=seed))
        views, below = self.run.recipe.run.views_at_test, self.run.hybrid_below()
        return Answering(self.model, batcher, list(samples), views=views, hybrid_below=below)

    def beforehand(self, samples: Sequence[Sample]) -> list[Answer]:
        """The answers of the run's prior alone: of a recipe with [prior] what the network has to be better than."""
        answers: list[Answer] = []
        for start in range(0, len(samples), 64):
            prior = self.batcher.inputs(samples[start : start + 64]).prior
            assert prior is not None
            answers += [Answer.from_scores(row, self.run.vocabulary) for row in prior.log_p.exp().tolist()]
        return answers

    def showing(self, source: Callable[[Any], Any]) -> Batcher:
        """The run's batcher with another source of images before its own."""
        changed: Batcher = replace(self.batcher, images=source(self.batcher.images))
        return changed

    def forget(self, samples: Sequence[Sample]) -> None:
        """Frees what is kept of images, but for those that were asked about last: memory does not grow with the number
        of questions. `samples`: what will not be asked again soon; a baseline frees what it keeps of these."""
        self.batcher.images.forget()

    def states(self, samples: Sequence[Sample]) -> np.ndarray | None:
        """(n, w) float32: what each answer was read from (the model's `answer_state`); None for a baseline."""
        if self.batcher is None or not samples:
            return None
        (states,) = in_order(
            self.model, self.batcher, samples, lambda inputs: (self.model.answer_state(inputs).float(),)
        )
        return states.numpy()


def answering_batcher(run: Run, model: Any) -> Batcher:
    """The run's batcher for answering: see `data/answering_sources.py`. Of the images that the run learned from, the
    states that training left in the user's cache are taken."""
    batcher = run.batcher(model)
    source, learned = batcher.images, pixels_of(batcher.images)
    pixels = AnsweringPixels(learned.size, learned.picture_size, learned.grey)
    images: ImageSource = pixels
    if isinstance(source, StateSource):
        encode = FrozenImages(model.image)
        before = partial(run.cache_of_states, model.image, encode)
        images = AnsweringStates(pixels, encode, source.views, source.seed, before)
    texts = None
    if batcher.texts is not None:
        texts, model.text.once = AnsweringTexts(frozen_texts(model.text)), PerText(TEXT_BYTES)
    return replace(batcher, images=images, texts=texts)
