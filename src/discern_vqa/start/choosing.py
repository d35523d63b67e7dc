"""Which model is chosen, and what each of them uses: paired tests on held-out images (`scoring.compare`).

All tests here are of the overall figure alone: correcting them for open and closed questions too would hide what a
small set can show.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from discern_vqa import registry
from discern_vqa.contracts import BaselineRow
from discern_vqa.data.sample import Sample
from discern_vqa.data.splits import hold_out_validation
from discern_vqa.errors import DataError
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.measurements.controls import shuffled
from discern_vqa.scoring import predictions
from discern_vqa.scoring.compare import Answerer, compare
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.start.candidates import BY_NAME

CONTENT, QUESTION, IDENTITY, NOTHING = "content", "question", "identity", "nothing"
IN_WORDS = {
    CONTENT: "the image's content",
    QUESTION: "the question alone, as far as can be shown",
    IDENTITY: "the image's identity only: what it learned of its training images does not carry over to new ones",
    NOTHING: "neither question nor image",
}
_KNOWN = 0.2
"""The share of the training questions that are asked about images of which other questions are known."""


@dataclass(frozen=True)
class Choice:
    """The model that was chosen, and a sentence for each comparison that led to it."""

    name: str
    steps: tuple[str, ...]


def choose(rows: Mapping[str, Sequence[Prediction]], normaliser: str) -> Choice:
    """From the simplest model on, each one that is clearly better than the chosen one takes its place.

    rows: name -> answers to the same held-out questions, of which a name that may not be chosen is passed over.
    """
    names = [name for name, candidate in BY_NAME.items() if name in rows and candidate.may_be_chosen]
    chosen, steps = names[0], []
    for name in names[1:]:
        test = tested(rows[name], rows[chosen], name, chosen, normaliser)
        steps.append(test["words"].removeprefix("overall: "))
        chosen = name if test["verdict"] == "better" else chosen
    return Choice(chosen, tuple(steps))


def tested(
    rows: Sequence[Prediction], others: Sequence[Prediction], name: str, other: str, normaliser: str
) -> dict[str, Any]:
    """The paired test of one list of answers against another to the same questions; see `compare`."""
    answerers = [Answerer(other, (_overall(others),)), Answerer(name, (_overall(rows),))]
    test: dict[str, Any] = compare(answerers, normaliser)["tests"][0]
    return test


def needs_content(predictor: Predictor, samples: Sequence[Sample], normaliser: str) -> bool:
    """Whether a model answers clearly worse when it is shown an empty image, and when it is shown another one. False
    too where there are too few images to tell."""
    if len({sample.image for sample in samples}) < 2:
        return False
    right = predictions.from_answers(samples, predictor.answer(samples))
    wrong = {
        "with an empty image": predictor.answer(samples, "blank"),
        "with another image": predictor.answer(shuffled(samples, 0)),
    }
    answerers = [Answerer("with its image", (_overall(right),))]
    for name, answers in wrong.items():
        answerers.append(Answerer(name, (_overall(predictions.from_answers(samples, answers)),)))
    return all(test["verdict"] == "worse" for test in compare(answerers, normaliser)["tests"])


def identity_tells(train: Sequence[Sample], predictor: Predictor) -> bool | None:
    """Whether knowing which image it is helps with other questions about the same image: a model of image names
    against one of questions, on training questions that both have not seen. None where it cannot be asked, since hardly
    any image has several questions.

    predictor: an open run, for its vocabulary, seed and normaliser.
    """
    run = predictor.run
    try:
        known, asked = hold_out_validation(train, _KNOWN, by="question", seed=run.recipe.run.seed)
    except DataError:
        return None
    images = {sample.image for sample in known}
    asked = [sample for sample in asked if sample.image in images]
    if len(asked) < 10:
        return None
    rows = {}
    for name in ("question_only", "image_identity"):
        module = registry.baseline(name)
        assert isinstance(module, BaselineRow)
        answers = module.answer(known, asked, vocabulary=run.vocabulary, seed=run.recipe.run.seed)
        rows[name] = predictions.from_answers(asked, answers)
    rival, other = "image_identity", "question_only"
    return bool(tested(rows[rival], rows[other], rival, other, run.recipe.data.normaliser)["verdict"] == "better")


def uses(
    name: str, predictor: Predictor, train: Sequence[Sample], validation: Sequence[Sample], identity: bool | None
) -> str:
    """What a model uses: CONTENT, QUESTION, IDENTITY or NOTHING.

    A model that sees pixels uses their content where it needs the right image to answer about new ones. Where it does
    not, but needs it on its own training questions, and which image it is gives answers away (`identity`), it has
    learned the images by heart.
    """
    candidate = BY_NAME[name]
    if not candidate.sees_pixels:
        return {"majority": NOTHING, "question_only": QUESTION}.get(name, IDENTITY)
    normaliser = predictor.run.recipe.data.normaliser
    if needs_content(predictor, validation, normaliser):
        return CONTENT
    return IDENTITY if identity and needs_content(predictor, train, normaliser) else QUESTION


def _overall(rows: Sequence[Prediction]) -> list[Prediction]:
    return [replace(row, answer_type="") for row in rows]
