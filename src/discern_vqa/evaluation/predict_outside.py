"""Answers from somebody else's model: what `Predictor` gives, from a model that is asked and never trained."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from discern_vqa import registry
from discern_vqa.asking import address
from discern_vqa.asking.images import SENT, SentImages
from discern_vqa.asking.images import Shown as ShownImage
from discern_vqa.asking.replies import CUT, FILE, Replies, Reply
from discern_vqa.asking.requests import Interview, Progress, Request
from discern_vqa.asking.tables import AskedTable
from discern_vqa.asking.wording import UNSAID, filled, said_confidence, without_confidence
from discern_vqa.data.answers import Answer, normaliser
from discern_vqa.data.normalisers import commonest
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError
from discern_vqa.evaluation.given_image import Given
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.measurements import Shown
from discern_vqa.outside.endpoint import Config as EndpointConfig
from discern_vqa.run import WEIGHTS, Run
from discern_vqa.scoring.extraction import extract
from discern_vqa.scoring.predictions import Prediction, from_answers
from discern_vqa.trust.calibration import read_if_there

MODE = "generate"


@dataclass(frozen=True)
class OutsideAnswering:
    """As `answering.modes.Answering`: what the model says about some questions, asked when it is wanted."""

    predictor: "OutsidePredictor"
    requests: tuple[Request, ...]
    samples: tuple[Sample, ...]

    def answers(self, mode: str = MODE) -> list[Answer]:
        """One answer for each question. Raises ConfigError for any other way of answering."""
        if mode != MODE:
            raise ConfigError(
                f"somebody else's model cannot answer by {mode!r}", hint=f"leave out --mode, or give {MODE}"
            )
        replies, times = self.predictor.model.replies_to(self.requests), self.predictor.table.asked_times
        grouped = [replies[start : start + times] for start in range(0, len(replies), times)]
        return [self.predictor.read(sample, group) for sample, group in zip(self.samples, grouped, strict=True)]


class OutsidePredictor(Predictor):
    """An open run of somebody else's model. It has no network here, so nothing that could be looked into.

    What was asked once is never asked again: `model` is an `asking.requests.Interview`, which keeps every reply.
    """

    modes = (MODE,)
    shows = ("real", "blank", "noise")

    @classmethod
    def of(cls, run: Run, device: str | None = None, calibrated: bool = True) -> "OutsidePredictor":
        """Opens what asks the model; it needs no device. Raises ConfigError where it cannot be asked, RunError where
        the file of replies is broken."""
        config = run.recipe.model
        model, images = registry.outside(config.name).Model(config), SentImages(run.folder / SENT)
        interview = Interview(model, Replies(run.folder / FILE), images)
        return cls(run, interview, None, read_if_there(run.folder, run.folder / WEIGHTS) if calibrated else None)

    @property
    def table(self) -> AskedTable:
        """[model] of the recipe."""
        return cast(AskedTable, self.run.recipe.model)

    @property
    def interview(self) -> Interview:
        """The model with its replies so far."""
        return cast(Interview, self.model)

    def answering(self, samples: Sequence[Sample], shown: Shown = "real", seed: int = 0) -> OutsideAnswering:
        """See Predictor. Raises ConfigError where images of one's own would leave the machine without permission."""
        self.check_may_send()
        return OutsideAnswering(self, tuple(self.requests(samples, shown, seed)), tuple(samples))

    def requests(
        self, samples: Sequence[Sample], shown: str = "real", seed: int = 0, prompt: str = "", number: int = 0
    ) -> list[Request]:
        """What is sent for these questions: `asked_times` requests for each. prompt: in place of the recipe's. number:
        of the round, where all of them are asked several times."""
        table, times = self.table, self.table.asked_times
        return [
            Request(
                ShownImage(sample.path, sample.image, shown, table.longest_side, seed),
                filled(prompt or table.prompts[0], sample.question, sample.choices, table.asks_confidence),
                number * times + time,
            )
            for sample in samples
            for time in range(times)
        ]

    def ask_now(self, requests: Sequence[Request], progress: Progress) -> list[Reply]:
        """The replies to any requests; those that are not kept yet are asked for."""
        self.check_may_send()
        return self.interview.replies_to(requests, progress)

    def read(self, sample: Sample, replies: Sequence[Reply]) -> Answer:
        """The answer in what was replied (`scoring.extraction`), with its score as the recipe wants it."""
        table, reply = self.table, replies[0]
        texts = [row.prediction for row in extract(as_written(sample, replies)).rows]
        if table.confidence == "samples":
            return self._agreed(texts, replies)
        score = math.nan
        if table.confidence == "verbal":
            stated = said_confidence(reply.text)
            score = UNSAID if stated is None else stated
        elif table.confidence == "logprobs":
            score = reply.probability if reply.probability is not None else 0.0
        return Answer(texts[0], score, mode=MODE, notes=_notes(reply))

    def _agreed(self, texts: Sequence[str], replies: Sequence[Reply]) -> Answer:
        """The commonest of several answers, of equally common ones the first; its score is its share, and the others
        are its alternatives."""
        same = normaliser(self.run.recipe.data.normaliser)
        spelled: dict[str, Counter[str]] = {}
        for text in texts:
            spelled.setdefault(same(text), Counter())[text] += 1
        shares = sorted(((commonest(counts), counts.total() / len(texts)) for counts in spelled.values()),
                        key=lambda pair: -pair[1])  # fmt: skip
        notes = tuple(dict.fromkeys(note for reply in replies for note in _notes(reply)))
        return Answer(*shares[0], tuple(shares), others=0, mode=MODE, notes=notes)

    def ask(self, image: Given, question: str, mode: str = "") -> Answer:
        """See Predictor. Raises ConfigError where the image would leave the machine without permission."""
        self._refuse_own("your image")
        return super().ask(image, question, mode)

    def answer_judged(self, samples: Sequence[Sample], mode: str = "") -> list[Answer]:
        """See Predictor. Raises ConfigError where the images would leave the machine without permission."""
        self._refuse_own("your images")
        return super().answer_judged(samples, mode)

    def line_of(self, answer: Answer) -> dict[str, Any]:
        """See Predictor; `score` is None where the model has none."""
        line = super().line_of(answer)
        return line | {"score": None if math.isnan(answer.score) else line["score"]}

    def forget(self, samples: Sequence[Sample]) -> None:
        """See Predictor: only the latest images are kept anyway."""

    def check_may_send(self) -> None:
        """Raises ConfigError where the images of the run's data set would leave the machine without permission."""
        name = self.run.recipe.data.dataset
        if is_own(name):
            self._refuse_own(f"images of your own ({name})")

    def _refuse_own(self, what: str) -> None:
        config = self.run.recipe.model
        if isinstance(config, EndpointConfig):
            address.refuse_own(config.endpoint, what, config.send_own_images)


def is_own(dataset: str) -> bool:
    """Whether a data set is one's own: none that is published, and none that is drawn."""
    return dataset not in address.PUBLIC_WITHOUT_SOURCE and not getattr(registry.reader(dataset), "SOURCE", "")


def as_written(sample: Sample, replies: Sequence[Reply]) -> list[Prediction]:
    """A line for each reply to a question: what the model wrote, but for the confidence that it was asked for."""
    answers = [Answer(without_confidence(reply.text), math.nan) for reply in replies]
    return from_answers([sample] * len(replies), answers)


def _notes(reply: Reply) -> tuple[str, ...]:
    if reply.problem:
        return (f"the model gave no answer: {reply.problem}",)
    return ("the answer was cut off at the largest number of tokens",) if reply.finish == CUT else ()
