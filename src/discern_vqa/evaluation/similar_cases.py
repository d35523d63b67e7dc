"""Similar cases for any run: training questions whose words and whose images are like those of what is asked.

For a person who looks at an answer: what did the data say about images like this one? A run of `baselines.retrieval`
knows its cases; for a model they are made once from the training split and the model's own image encoder, and kept in
the run folder (`cases.json`, `cases.safetensors`), so that they are there where the data are not.
"""

from dataclasses import dataclass
from pathlib import Path

from discern_vqa.baselines import kernel_ridge, retrieval
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError
from discern_vqa.evaluation.one_question import single_question
from discern_vqa.evaluation.opening import samples_of
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.fitting.cases import Case, Cases
from discern_vqa.fitting.features import Features
from discern_vqa.fitting.fitted import State
from discern_vqa.fitting.given import Given
from discern_vqa.run import WEIGHTS
from discern_vqa.trust.calibration import digest

WEIGHT = 1.0  # what the images' similarity counts beside the words', where no vote says: as much
FACTS, ARRAYS = "cases.json", "cases.safetensors"


@dataclass(frozen=True)
class SimilarCases:
    """The cases of an open run, searched for each question. `of(predictor)` opens or makes them."""

    cases: Cases
    features: Features
    answers: tuple[str, ...]
    weight: float

    @classmethod
    def of(cls, predictor: Predictor) -> "SimilarCases":
        """Raises ConfigError for a baseline that sees no image, DataError where they must be made and the data are not
        at hand."""
        run, model = predictor.run, predictor.model
        if isinstance(model, retrieval.Model):
            return cls(model.cases, model.features, run.vocabulary.shown, model.vote.weight)
        if isinstance(model, kernel_ridge.Model):
            return cls(model.cases, model.features, run.vocabulary.shown, WEIGHT)
        if not run.recipe.is_network:
            raise ConfigError(
                f"{run.folder} is a baseline that sees no image, or a model from outside: it knows no similar cases",
                hint="ask a run of recipes/baselines/retrieval.toml, or of a model",
            )
        features = Features(model.image)
        weights = digest(run.folder / WEIGHTS)
        if (run.folder / ARRAYS).is_file():
            state = State.read(run.folder / FACTS, run.folder / ARRAYS)
            if state.facts.get("weights") == weights:
                return cls(Cases.load(state), features, run.vocabulary.shown, WEIGHT)
        train, _ = samples_of(run).learning
        cases = Cases.of(Given.of(train, run.vocabulary), features)
        facts, arrays = cases.state()
        State(facts | {"weights": weights}, arrays).write(run.folder / FACTS, run.folder / ARRAYS)
        return cls(cases, features, run.vocabulary.shown, WEIGHT)

    def nearest(self, image: Path, question: str, count: int = 5) -> list[Case]:
        """The most similar cases, best first, one for each image. Raises DataError, ImageError."""
        return self.nearest_to(single_question(image, question), count)

    def nearest_to(self, sample: Sample, count: int = 5) -> list[Case]:
        """As `nearest`, of a sample whose image has a name of its own."""
        (feature,) = self.features.of([sample])
        return self.cases.nearest(sample.question, feature, self.answers, self.weight, count)


def as_text(cases: list[Case]) -> list[str]:
    """A line for each case, for the terminal."""
    return [
        f"  image {case.image_similarity:+.2f}, words {case.question_similarity:.2f}  {case.image}: "
        f"{case.question} -> {case.answer}"
        for case in cases
    ]
