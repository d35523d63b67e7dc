"""Questions in, answers out: the part of the service that owns the models and knows no HTTP.

`Answerer` is used by one thread at a time. torch is imported when it opens its runs.
"""

import logging
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from discern_vqa.data.answers import Answer
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError, DiscernError, RunError
from discern_vqa.serve.case_indexes import CaseIndexes
from discern_vqa.serve.tasks import SimilarCase

if TYPE_CHECKING:
    from discern_vqa.dicom_out.reported import HeatMap
    from discern_vqa.evaluation.asked_run import OpenRun
    from discern_vqa.evaluation.explain import Explained
    from discern_vqa.evaluation.predict import Predictor

log = logging.getLogger("discern.serve")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Question:
    """One question about one frame. run: its name; key: the same for the same pixels; path: where a reader finds them;
    mode: a way of answering, "" for the run's own."""

    run: str
    key: str
    path: Path
    text: str
    mode: str = ""

    @property
    def sample(self) -> Sample:
        return Sample(id="1", split="test", image=self.key, path=self.path, question=self.text)


class ModelError(DiscernError):
    """The model broke on a question: a bug, of which the log has the place."""


@dataclass(frozen=True)
class RunFacts:
    """What the service says of a run, read once when it is opened."""

    folder: Path
    modes: tuple[str, ...]
    mode: str
    size: int | None
    explains: tuple[str, ...]
    similar: bool
    calibration: Mapping[str, Any] | None
    detects_outside: bool


class Answerer:
    """The open runs of a service."""

    def __init__(self, runs: Mapping[str, Path]) -> None:
        """Opens all runs. Raises RunError."""
        from discern_vqa.evaluation.opening import open_to_ask

        self.predictors: dict[str, OpenRun] = {name: open_to_ask(folder) for name, folder in runs.items()}
        self._cases = CaseIndexes()

    def answer(self, questions: Sequence[Question]) -> list[Answer | DiscernError]:
        """An answer for each question, or why there is none; questions of one run and mode are answered together. The
        others are answered where one of them cannot be."""
        groups: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, question in enumerate(questions):
            groups[question.run, question.mode].append(place)
        results: dict[int, Answer | DiscernError] = {}
        for (run, mode), places in groups.items():
            samples = [questions[place].sample for place in places]
            results |= dict(zip(places, self._together(self.predictors[run], samples, mode), strict=True))
        return [results[place] for place in range(len(questions))]

    def explain(self, question: Question, method: str) -> "Explained":
        """As `evaluation.explain.explain`. Raises ConfigError, ImageError, ModelError."""
        predictor = self._whole(question.run)
        from discern_vqa.evaluation.explain import explain_sample

        return _guarded(lambda: explain_sample(predictor, question.sample, method))

    def heat(self, question: Question, method: str) -> "HeatMap":
        """What the answer rests on, over the image as it is shown, for a DICOM object. Raises as `explain`."""
        from discern_vqa.dicom_out.reported import HeatMap
        from discern_vqa.evaluation.body import warning
        from discern_vqa.evaluation.heatmaps import canvas, on_picture, scaled
        from discern_vqa.imaging.images import open_image

        made = self.explain(question, method)
        shown = open_image(question.path)
        care = warning(shown, made.grid)
        told = (f"{made.summary}.", f"Take care: {care}." if care else "", made.measured)
        weights = scaled(on_picture(made.grid, *canvas(*shown.size)))
        return HeatMap(weights, " ".join(filter(None, told)))

    def hit_rate(self, run: str, method: str) -> dict[str, Any] | None:
        """How often a method's maps hit the region that is asked about; None where that was not measured."""
        from discern_vqa.evaluation.explain import Explainer, read_scores
        from discern_vqa.evaluation.explain_view import BLIND

        predictor = self._whole(run)
        scores = read_scores(predictor.run)
        name = Explainer(predictor.run, predictor.model, predictor.batcher).choose(method)
        if scores is None or name not in scores["methods"]:
            return None
        rates = {method: figures["pointing"]["mean"] for method, figures in scores["methods"].items()}
        blind = max((rates[method] for method in BLIND if method in rates), default=None)
        facts = {"chance": scores["chance"], "blind": blind, "split": scores["split"]}
        return {"mean": rates[name], "n": scores["methods"][name]["pointing"]["n"]} | facts

    def similar(self, question: Question, count: int) -> list[SimilarCase]:
        """The most similar training cases, best first. Raises Preparing, ConfigError, DataError, ImageError,
        ModelError."""
        predictor = self._whole(question.run)
        return _guarded(lambda: self._cases.of(question.run, predictor).nearest_to(question.sample, count))

    def forget(self, keys: Iterable[str]) -> None:
        """Frees what is kept of these frames."""
        samples = [Sample(id="1", split="test", image=key, path=Path()) for key in keys]
        for predictor in self.predictors.values():
            predictor.forget(samples)
        self._cases.forget({sample.image for sample in samples})

    def facts(self) -> dict[str, RunFacts]:
        return {name: _facts(predictor) for name, predictor in self.predictors.items()}

    def _whole(self, run: str) -> "Predictor":
        """For what an export has not. Raises ConfigError of one: the caller may name another run."""
        from discern_vqa.evaluation.opening import whole_run

        try:
            return whole_run(self.predictors[run])
        except RunError as error:
            raise ConfigError(
                f"{run} is a run that was exported to ONNX: it has neither heat maps nor similar cases",
                hint="ask another run of this service; GET /v1/models names them",
            ) from error

    def _together(self, predictor: "OpenRun", samples: Sequence[Sample], mode: str) -> list[Answer | DiscernError]:
        try:
            return list(_guarded(lambda: predictor.answer_judged(samples, mode)))
        except DiscernError as error:
            if len(samples) == 1:
                return [error]
        return [result for sample in samples for result in self._together(predictor, [sample], mode)]


def question_of(run: str, key: str, path: Path, text: object, mode: str = "", most: int = 1000) -> Question:
    """A question as it was given. Raises DataError: it is empty, too long, or no text."""
    if not isinstance(text, str):
        raise DataError("the question is no text", hint='ask in words, as in "Is there a mass?"')
    if not text.strip():
        raise DataError("the question is empty", hint='ask in words, as in "Is there a mass?"')
    if len(text) > most:
        raise DataError(
            f"the question has {len(text):,} characters; at most {most:,} are read", hint="ask a shorter question"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError("the question holds half of a character", hint="send text in UTF-8") from error
    return Question(run, key, path, text.strip(), mode)


def check_mode(facts: RunFacts, mode: str) -> None:
    """Raises ConfigError: the run has no such way of answering."""
    if mode and mode not in facts.modes:
        raise ConfigError(f"this run cannot answer by {mode!r}", hint=f"it can: {', '.join(facts.modes)}")


def _guarded(work: Callable[[], Result]) -> Result:
    """The result of `work`; whatever is no error of ours becomes a ModelError. The log gets the place of it and nothing
    of the question: an error's own text may quote it."""
    try:
        return work()
    except DiscernError:
        raise
    except Exception as error:
        frames = "".join(traceback.format_tb(error.__traceback__))
        log.error("%s while answering:\n%s", type(error).__name__, frames)
        raise ModelError(
            f"the model failed on this question ({type(error).__name__})", hint="tell whoever runs this service"
        ) from error


def _facts(predictor: "OpenRun") -> RunFacts:
    calibration = predictor.calibration
    fitted = None
    if calibration is not None:
        fitted = {
            "coverage": calibration.sets["coverage"],
            "abstains_below": calibration.bar.threshold,
            "fitted_on": {name: calibration.fitted_on.get(name) for name in ("n", "images")},
        }
    return RunFacts(
        folder=predictor.folder,
        modes=predictor.modes,
        mode=predictor.own_mode,
        size=predictor.image_size,
        explains=predictor.explains,
        similar=predictor.finds_similar,
        calibration=fitted,
        detects_outside=predictor.detector is not None,
    )
