"""Answers from a run: one question, a file, or a split; with its images, without, or with somebody else's."""

from collections.abc import Callable, Iterable, Sequence
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
from discern_vqa.evaluation import many_images
from discern_vqa.evaluation.features import image_vectors, question_vectors
from discern_vqa.evaluation.given_image import Given, as_file
from discern_vqa.evaluation.one_question import single_question
from discern_vqa.nn.encoders.engines import FrozenImages, frozen_texts
from discern_vqa.nn.encoders.timing import time_encoders
from discern_vqa.run import WEIGHTS, Run
from discern_vqa.trust.calibration import Calibration, read_if_there
from discern_vqa.trust.ood import Detector
from discern_vqa.trust.ood import read_if_there as read_detector

if TYPE_CHECKING:  # imports nothing that a single question does not need
    from discern_vqa.evaluation.explain import Explained
    from discern_vqa.measurements import Shown

_QUOTED = 60
"""So many letters at either end are quoted of what was not read."""


class Answered(Protocol):
    """All that a run says about some questions (`answering.modes.Answering`, `predict_baseline.BaselineAnswering`)."""

    def answers(self, mode: str = ...) -> list[Answer]:
        """One answer for each question in this way of answering. Raises ConfigError for one that the model lacks."""


@dataclass(eq=False)
class Predictor:
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

    def ask(self, image: Given, question: str, mode: str = "") -> Answer:
        """The answer to one question about one image; `Answer.verdict` says whether it is to be given at all. Raises
        DataError, ImageError, ConfigError.

        image: its file, the bytes of one, an image of Pillow, or an array (`evaluation.given_image.Given`). mode: a way
        of answering; none: the recipe's.
        """
        with as_file(image) as file:
            return self.answer_judged([single_question(file, question)], mode)[0]

    def ask_many(self, pairs: Iterable[tuple[Given, str]], mode: str = "") -> list[Answer]:
        """The answers to pairs of an image and a question, in their order; each is what `ask` gives.

        An image that occurs in several pairs is decoded and encoded once. Raises as `ask`; the message names the pair,
        counted from 1, and then no pair is answered.
        """
        return many_images.ask_many(self, pairs, mode)

    def embed(self, images: Iterable[Given]) -> np.ndarray:
        """(n, c) float32, a row for each image, in their order: the vector by which the run compares images.

        Of a frozen encoder it is the encoder's own global state, before anything that this run has learned; of an
        encoder that was trained, if only its last layers, its global feature h. Rows are not normalised. Raises
        ImageError; ConfigError for a baseline's run and that of somebody else's model, which have no image encoder of
        their own; DataError where one image is given instead of a list.
        """
        return many_images.embed(self, images)

    def explain(self, image: Given, question: str, method: str = "auto") -> "Explained":
        """The answer to one question with a heat map of what it rests on, and what such maps were measured to be worth
        for this run (`evaluation.explain.explain`): `grid` is (h, w) over the square that the model looks at, and
        `over(image.size)` the map over the image."""
        from discern_vqa.evaluation.explain import explain

        return explain(self, image, question, method)

    def answer_judged(self, samples: Sequence[Sample], mode: str = "") -> list[Answer]:
        """All that is known of each answer: as `answer`, `judged`, `placed` and `noted`."""
        judged = [self.judged(answer, mode) for answer in self.answer(samples, mode=mode)]
        return self.noted(samples, self.placed(samples, judged))

    def judged(self, answer: Answer, mode: str = "") -> Answer:
        """The answer with how far it is to be believed, as it is where the run is not calibrated. A run is calibrated
        for its own way of answering; in any other way its answers are not judged."""
        own = mode in ("", self.run.recipe.run.mode)
        return self.calibration.judge(answer) if self.calibration and own else answer

    def placed(self, samples: Sequence[Sample], answers: Sequence[Answer]) -> list[Answer]:
        """The answers with whether their images and questions are like those that the run learned from; as they are
        where the run does not know (see `trust/ood.py`)."""
        if self.detector is None or not samples:
            return list(answers)
        paths = {sample.image: sample.path for sample in samples}
        rows = {image: row for row, image in enumerate(paths)}
        vectors = image_vectors(self.model, self.batcher, list(paths.items()))
        images = vectors[[rows[sample.image] for sample in samples]]
        texts = question_vectors(self.model, self.batcher, [sample.question for sample in samples])
        judged = self.detector.judge(images, texts)
        return [replace(answer, within=within) for answer, within in zip(answers, judged, strict=True)]

    def noted(self, samples: Sequence[Sample], answers: Sequence[Answer]) -> list[Answer]:
        """The answers with a note where a question is longer than what the model reads. A baseline reads every word."""
        if self.batcher is None:
            return list(answers)
        tokenizer, length = self.batcher.tokenizer, self.batcher.length
        if not tokenizer.count_cut([sample.question for sample in samples], length):
            return list(answers)
        unread = [tokenizer.unread(sample.question, length) for sample in samples]
        return [
            replace(answer, notes=(*answer.notes, _not_read(part))) if part else answer
            for answer, part in zip(answers, unread, strict=True)
        ]

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

    def predict_file(
        self, questions: Path, out: Path, progress: Callable[[int, int], None] | None = None, mode: str = ""
    ) -> int:
        """Answers every row of a table of questions (CSV, Excel, JSON Lines) into `out`, whose ending says how it is
        written (see `predict_file` and `answer_table`). Returns how many rows. A row that cannot be answered has its
        reason in `error`. Raises DataError and ConfigError for a file that cannot be read or written as a whole, and
        where `out` is the file of questions or one of the run's."""
        from discern_vqa.evaluation.predict_file import predict_file
        from discern_vqa.evaluation.questions import look_through

        given, out = look_through(Path(questions)), Path(out)
        return predict_file(self, given, out, mode=mode, progress=progress).rows

    def line_of(self, answer: Answer) -> dict[str, Any]:
        """An answer as a line of JSON has it: `prediction`, `score`, `alternatives`, `others`, `mode`, and what a
        calibrated run says of it."""
        line = {"prediction": answer.text, "score": round(answer.score, 4)}
        line["alternatives"] = [[text, round(score, 4)] for text, score in answer.alternatives]
        return line | {"others": answer.others, "mode": answer.mode} | trusted(answer)

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


def _not_read(part: str) -> str:
    short = part if len(part) <= 2 * _QUOTED else f"{part[:_QUOTED]} ... {part[-_QUOTED:]}"
    words = len(part.split())
    return f"the question is longer than the model reads; {words:,} words of it were not read: {short!r}"


def trusted(answer: Answer) -> dict[str, Any]:
    """How far an answer is to be believed, for a line of JSON: the fields of its verdict, `outside` and `typical` where
    the run knows what it learned from, and `notes` where there are any. What it does not know is not there."""
    fields = answer.verdict.fields() if answer.judged is not None or answer.within is not None else {}
    if (within := answer.within) is not None:
        typical = {"image": within.image, "question": within.question}
        fields["outside"] = list(within.outside)
        fields["typical"] = {kind: round(share, 4) for kind, share in typical.items() if share is not None}
    return fields | ({"notes": list(answer.notes)} if answer.notes else {})
