"""A run that is open to be asked, whatever computes its answers: torch (`predict`), a fitted baseline, somebody else's
model, or graphs of ONNX (`predict_onnx`). What is told of an answer besides itself is put together here. No torch.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from discern_vqa.data.answers import Answer
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError
from discern_vqa.evaluation.given_image import Given, as_file
from discern_vqa.evaluation.one_question import single_question
from discern_vqa.trust.calibration import Calibration, not_yet
from discern_vqa.trust.ood import Detector

if TYPE_CHECKING:  # torch
    from discern_vqa.evaluation.explain import Explained

_QUOTED = 60
"""So many letters at either end are quoted of what was not read."""


class Reads(Protocol):
    """A tokenizer, as far as it knows what a model does not read of a text of `length` tokens."""

    def count_cut(self, texts: Sequence[str], length: int) -> int: ...

    def unread(self, text: str, length: int) -> str: ...


class OpenRun:
    """An open run. Subclasses say how it answers (`answer`) and what image and question look like to it (`vectors`)."""

    calibration: Calibration | None
    detector: Detector | None

    @property
    def folder(self) -> Path:
        """Where its files are."""
        raise NotImplementedError

    @property
    def modes(self) -> tuple[str, ...]:
        """The ways of answering that it has (`answering/modes.py`)."""
        raise NotImplementedError

    @property
    def own_mode(self) -> str:
        """The way of answering that it was trained and calibrated for."""
        raise NotImplementedError

    @property
    def weights_sha256(self) -> str:
        """Which weights answer: the SHA-256 of their file, of an export that of the file it was made of."""
        raise NotImplementedError

    @property
    def is_refit(self) -> bool:
        """Whether it learned from all of its data and held nothing out."""
        raise NotImplementedError

    @property
    def uncalibrated(self) -> str:
        """What to know of a score where the run is not calibrated, a sentence."""
        return not_yet(self.folder, self.is_refit)

    @property
    def has_heat_maps(self) -> bool:
        """Whether there are any methods of heat maps for it."""
        return False

    @property
    def explains(self) -> tuple[str, ...]:
        """The methods of heat maps that make sense for it."""
        return ()

    @property
    def finds_similar(self) -> bool:
        """Whether similar cases of its training data can be shown."""
        return False

    @property
    def image_size(self) -> int | None:
        """The side in pixels of the images that it reads; None: it reads none, or as they are."""
        return None

    @property
    def reading(self) -> tuple[Reads, int] | None:
        """Its tokenizer and how many tokens it reads; None: it reads every word."""
        return None

    def answer(self, samples: Sequence[Sample], *, mode: str = "") -> list[Answer]:
        """One answer for each sample. mode: a way of answering; none: its own. Raises DataError, ImageError,
        ConfigError."""
        raise NotImplementedError

    def vectors(self, samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
        """(B, c) of the samples' images and (B, c') of their questions, as the detector compares them."""
        raise NotImplementedError

    def forget(self, samples: Sequence[Sample]) -> None:
        """Frees what is kept of images, but for those that were asked about last: memory does not grow with the number
        of questions. samples: what will not be asked again soon."""
        raise NotImplementedError

    def ask(self, image: Given, question: str, mode: str = "") -> Answer:
        """The answer to one question about one image; `Answer.verdict` says whether it is to be given at all. Raises
        DataError, ImageError, ConfigError.

        image: its file, the bytes of one, an image of Pillow, or an array (`evaluation.given_image.Given`). mode: a way
        of answering; none: the run's own.
        """
        with as_file(image) as file:
            return self.answer_judged([single_question(file, question)], mode)[0]

    def ask_many(self, pairs: Iterable[tuple[Given, str]], mode: str = "") -> list[Answer]:
        """The answers to pairs of an image and a question, in their order; each is what `ask` gives.

        An image that occurs in several pairs is decoded and encoded once. Raises as `ask`; the message names the pair,
        counted from 1, and then no pair is answered.
        """
        from discern_vqa.evaluation import many_images

        return many_images.ask_many(self, pairs, mode)

    def embed(self, images: Iterable[Given]) -> np.ndarray:
        """(n, c) float32, a row for each image, in their order: the vector by which the run compares images.

        Of a frozen encoder it is the encoder's own global state, before anything that this run has learned; of an
        encoder that was trained, if only its last layers, its global feature h. Rows are not normalised. Raises
        ImageError; ConfigError for a baseline's run and that of somebody else's model, which have no image encoder of
        their own; DataError where one image is given instead of a list.
        """
        from discern_vqa.evaluation import many_images

        return many_images.embed(self, images)

    def explain(self, image: Given, question: str, method: str = "auto") -> "Explained":
        """The answer to one question with a heat map of what it rests on, and what such maps were measured to be worth
        for this run (`evaluation.explain.explain`): `grid` is (h, w) over the square that the model looks at, and
        `over(image.size)` the map over the image. Raises ConfigError where it has no heat maps."""
        raise ConfigError(f"{self.folder} has no heat maps", hint="load the run itself, of cmdpi or cmi_mtl")

    def answer_judged(self, samples: Sequence[Sample], mode: str = "") -> list[Answer]:
        """All that is known of each answer: as `answer`, `judged`, `placed` and `noted`."""
        judged = [self.judged(answer, mode) for answer in self.answer(samples, mode=mode)]
        return self.noted(samples, self.placed(samples, judged))

    def judged(self, answer: Answer, mode: str = "") -> Answer:
        """The answer with how far it is to be believed, as it is where the run is not calibrated. A run is calibrated
        for its own way of answering; in any other way its answers are not judged."""
        own = mode in ("", self.own_mode)
        return self.calibration.judge(answer) if self.calibration and own else answer

    def placed(self, samples: Sequence[Sample], answers: Sequence[Answer]) -> list[Answer]:
        """The answers with whether their images and questions are like those that the run learned from; as they are
        where the run does not know (see `trust/ood.py`)."""
        if self.detector is None or not samples:
            return list(answers)
        judged = self.detector.judge(*self.vectors(samples))
        return [replace(answer, within=within) for answer, within in zip(answers, judged, strict=True)]

    def noted(self, samples: Sequence[Sample], answers: Sequence[Answer]) -> list[Answer]:
        """The answers with a note where a question is longer than what the model reads."""
        if self.reading is None:
            return list(answers)
        tokenizer, length = self.reading
        if not tokenizer.count_cut([sample.question for sample in samples], length):
            return list(answers)
        unread = [tokenizer.unread(sample.question, length) for sample in samples]
        return [
            replace(answer, notes=(*answer.notes, _not_read(part))) if part else answer
            for answer, part in zip(answers, unread, strict=True)
        ]

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


def trusted(answer: Answer) -> dict[str, Any]:
    """How far an answer is to be believed, for a line of JSON: the fields of its verdict, `outside` and `typical` where
    the run knows what it learned from, and `notes` where there are any. What it does not know is not there."""
    fields = answer.verdict.fields() if answer.judged is not None or answer.within is not None else {}
    if (within := answer.within) is not None:
        typical = {"image": within.image, "question": within.question}
        fields["outside"] = list(within.outside)
        fields["typical"] = {kind: round(share, 4) for kind, share in typical.items() if share is not None}
    return fields | ({"notes": list(answer.notes)} if answer.notes else {})


def _not_read(part: str) -> str:
    short = part if len(part) <= 2 * _QUOTED else f"{part[:_QUOTED]} ... {part[-_QUOTED:]}"
    words = len(part.split())
    return f"the question is longer than the model reads; {words:,} words of it were not read: {short!r}"
