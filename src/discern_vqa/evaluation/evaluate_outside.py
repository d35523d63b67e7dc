"""`discern evaluate RUN --model RECIPE`: somebody else's model is asked everything that an evaluation asks, in one go
that can be interrupted and costed beforehand; then the answers are evaluated as those of any run (`evaluate`)."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from discern_vqa.asking import address
from discern_vqa.asking.cost import Cost, cost_of
from discern_vqa.asking.replies import CUT, Reply
from discern_vqa.asking.requests import Request
from discern_vqa.asking.wording import said_confidence
from discern_vqa.data.answers import Answer
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError
from discern_vqa.evaluation.evaluate import evaluate
from discern_vqa.evaluation.opening import open_run, samples_of
from discern_vqa.evaluation.outside_run import about, open_or_make
from discern_vqa.evaluation.predict_outside import OutsidePredictor, as_written
from discern_vqa.files import atomic_write_text
from discern_vqa.lock import locked
from discern_vqa.measurements import again, controls, mirror
from discern_vqa.measurements.outside import AS_WRITTEN, FACTS
from discern_vqa.outside.endpoint import Config as EndpointConfig
from discern_vqa.recipe_samples import evaluated
from discern_vqa.scoring import predictions
from discern_vqa.trust.calibration import FEWEST

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]
"""Is told what is done, how much of it, and how much there is."""
PREPARING = "preparing images"


@dataclass(frozen=True)
class Part:
    """What is asked for one purpose. requests: as many for each sample as the recipe asks of one answer."""

    purpose: str
    samples: Sequence[Sample]
    requests: Sequence[Request]
    kept_as: str = ""  # the file of `measurements.again`; "": the measurement asks by itself


@dataclass(frozen=True)
class Opened:
    """A run of somebody else's model with what is asked of it."""

    predictor: OutsidePredictor
    samples: Sequence[Sample]
    parts: Sequence[Part]

    @property
    def requests(self) -> list[Request]:
        """All of them; what several purposes ask is in it several times."""
        return [request for part in self.parts for request in part.requests]

    def cost(self) -> Cost:
        """What asking takes (`asking.cost`); opens every image."""
        config = self.predictor.table
        most = int(getattr(config, "max_tokens", 0)) if isinstance(config, EndpointConfig) else 0
        return cost_of({part.purpose: part.requests for part in self.parts}, self.predictor.interview, most)


def plan_outside(
    run: Path,
    recipe: Path | None = None,
    *,
    overrides: list[str] | None = None,
    data: Path | None = None,
    split: str = "test",
    repeats: int = 1,
    say: Say = lambda text: None,
    progress: Progress = lambda what, done, total: None,
) -> Cost:
    """What `evaluate_outside` would ask; nothing is sent. The run folder is made."""
    with locked(run):
        opened = _open(run, recipe, overrides or [], data, split, repeats, say)
        opened.predictor.interview.prepare(opened.requests, partial(progress, PREPARING))
        return opened.cost()


def evaluate_outside(
    run: Path,
    recipe: Path | None = None,
    *,
    overrides: list[str] | None = None,
    data: Path | None = None,
    split: str = "test",
    baselines: bool = True,
    repeats: int = 1,
    say: Say = lambda text: None,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Asks and evaluates; the scores, as `evaluate` returns them.

    repeats: so many times every question of the split is asked, to see how far the model's own randomness goes. The
    other arguments: see `outside_run.open_or_make` and `evaluate`. Given again after an interruption, it goes on.

    Raises ConfigError, RunError, DataError: see `open_or_make`; the model gives no answers.
    """
    with locked(run):
        opened = _open(run, recipe, overrides or [], data, split, repeats, say)
        predictor, requests = opened.predictor, opened.requests
        predictor.interview.prepare(requests, partial(progress, PREPARING))
        asked = {predictor.interview.digest(request) for request in requests}
        say(f"{len(asked):,} requests, {len(predictor.interview.open(requests)):,} of them to be asked now")
        predictor.ask_now(requests, partial(progress, "asking"))
        again.drop(run, split)
        for part in opened.parts:
            if part.kept_as:
                again.write(run, part.kept_as, split, predictions.from_answers(part.samples, _answers(predictor, part)))
        _keep_as_written(opened, split)
        # Every answer is kept by now: what is measured asks nothing any more.
        return evaluate(run, data=data, split=split, baselines=baselines, say=say)


def _open(
    folder: Path, recipe: Path | None, overrides: list[str], data: Path | None, split: str, repeats: int, say: Say
) -> Opened:
    if repeats < 1:
        raise ConfigError(
            f"--repeats {repeats}; expected 1 or more", hint="--repeats 3 asks every question three times"
        )
    run = open_or_make(folder, recipe, overrides, data)
    config = run.recipe.model
    if isinstance(config, EndpointConfig) and (warning := address.warning(config.endpoint)):
        say(f"WARNING: {warning}")
    predictor = open_run(folder)
    assert isinstance(predictor, OutsidePredictor)
    predictor.check_may_send()
    reading = samples_of(run, data)
    samples = evaluated(run.recipe.data, reading.test(split), run.recipe.optim.batch)
    parts = list(_parts(predictor, samples, reading.held_out(), repeats))
    return Opened(predictor, samples, parts)


def _parts(
    predictor: OutsidePredictor, samples: Sequence[Sample], held_out: Sequence[Sample], repeats: int
) -> Iterator[Part]:
    """All that the measurements of `evaluate` ask, in the same words."""
    yield Part("the questions", samples, predictor.requests(samples))
    for name, control in controls.controls(samples).items():
        if control.places:
            yield Part(name, control.asked, predictor.requests(control.asked, control.shown))
    mirrored = [sample for turned in mirror.questions(samples).values() for sample in turned.asked]
    yield Part("mirrored_image", mirrored, predictor.requests(mirrored))
    is_new = not {sample.id for sample in held_out} & {sample.id for sample in samples}
    if predictor.table.has_score and predictor.calibration is None and is_new and len(held_out) >= FEWEST:
        yield Part("held out, for calibration", held_out, predictor.requests(held_out))
    for number in range(1, repeats):
        name = f"{again.REPEAT} {number + 1}"
        yield Part(name, samples, predictor.requests(samples, number=number), name)
    for number, prompt in enumerate(predictor.table.prompts[1:], start=2):
        name = f"{again.PROMPT} {number}"
        yield Part(name, samples, predictor.requests(samples, prompt=prompt), name)


def _answers(predictor: OutsidePredictor, part: Part) -> list[Answer]:
    return [predictor.read(sample, replies) for sample, replies in _replies(predictor, part)]


def _replies(predictor: OutsidePredictor, part: Part) -> Iterator[tuple[Sample, list[Reply]]]:
    """Each sample with the replies to it, which are there."""
    replies, times = predictor.interview.replies_to(part.requests), predictor.table.asked_times
    for place, sample in enumerate(part.samples):
        yield sample, replies[place * times : (place + 1) * times]


def _keep_as_written(opened: Opened, split: str) -> None:
    """The answers to the questions as the model wrote them, as a predictions file of their own, and what there is to
    say of them: how many are empty, cut off or missing."""
    predictor, folder = opened.predictor, opened.predictor.run.folder
    answered = list(_replies(predictor, opened.parts[0]))
    rows = [row for sample, replies in answered for row in as_written(sample, replies[:1])]
    predictions.write(folder / AS_WRITTEN.format(split=split), rows)
    every = [reply for _, replies in answered for reply in replies]
    is_verbal = predictor.table.confidence == "verbal"
    facts = about(predictor.run) | {
        "requests": len(every),
        "tried_again": sum(reply.tries > 1 for reply in every),
        "unanswered": sum(bool(reply.problem) for reply in every),
        "problems": list(dict.fromkeys(reply.problem for reply in every if reply.problem))[:3],
        "empty": sum(not reply.text.strip() and not reply.problem for reply in every),
        "cut": sum(reply.finish == CUT for reply in every),
        "no_confidence": sum(said_confidence(reply.text) is None for reply in every) if is_verbal else 0,
        "seconds": round(sum(reply.seconds for reply in every) / max(1, len(every)), 3),
        "tokens": {"sent": sum(one.sent for one in every), "written": sum(one.written for one in every)},
    }
    atomic_write_text(folder / FACTS.format(split=split), json.dumps(facts, indent=1, ensure_ascii=False))
