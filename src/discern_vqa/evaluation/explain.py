"""Heat maps of a run's answers: for one question and its image, or for many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from discern_vqa.answering.decisions import decided
from discern_vqa.attribution import methods
from discern_vqa.attribution.word_gates import gates_of_words, is_gated
from discern_vqa.data.ablated_images import pixels_of
from discern_vqa.data.answers import Answer
from discern_vqa.data.batch import Batcher, Inputs
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError
from discern_vqa.evaluation.explain_view import measured
from discern_vqa.evaluation.given_image import Given, as_file
from discern_vqa.evaluation.heatmaps import Map, on_picture, scaled
from discern_vqa.evaluation.one_question import single_question
from discern_vqa.explanations import word_cells
from discern_vqa.run import WEIGHTS, Run
from discern_vqa.scoring.stored import own_file, read_object
from discern_vqa.trust.calibration import digest

if TYPE_CHECKING:
    from discern_vqa.evaluation.predict import Predictor

AUTO = "auto"
BATCH = 32


@dataclass(frozen=True)
class Explained:
    """One answer with its map."""

    answer: Answer
    explained: str  # the answer that the map is about; another than `answer` only where that was written freely
    method: str
    summary: str  # what the method shows
    grid: Map  # (h, w) over the square that the model looks at, not negative
    measured: str  # what the method was measured to be worth for this model; "" where it was not
    words: tuple[tuple[str, float], ...] = ()  # how far each word opens the gate to the image; of CMI-MTL's gate alone
    figures: Mapping[str, Any] | None = None
    """What `discern explain RUN --score` measured of the method, each figure with its n and interval (`pointing`,
    `energy`, `insertion`, `deletion`), and `chance`, which a random pixel has; None where it was not measured."""

    def over(self, size: tuple[int, int]) -> Map:
        """(height, width): the map over the image itself, from 0 to 1, without the borders that made it a square.

        size: (width, height), as Pillow has it.
        """
        return scaled(on_picture(self.grid, *size))


def explain(predictor: "Predictor", image: Given, question: str, method: str = AUTO) -> Explained:
    """The answer to one question with a map of what it rests on.

    method: a name of `explanations/`; "auto": the best measured one (`discern explain RUN --score`), else the default.
    Raises DataError, ImageError, ConfigError, as `Predictor.ask` does; ConfigError also where the run has no network,
    or its model does not offer the method.
    """
    with as_file(image) as file:
        return explain_sample(predictor, single_question(file, question), method)


def explain_sample(predictor: "Predictor", sample: Sample, method: str = AUTO) -> Explained:
    """As `explain`, of a sample whose image has a name of its own."""
    explainer = Explainer(predictor.run, predictor.model, predictor.batcher)
    name = explainer.choose(method)
    (answer,) = predictor.answer_judged([sample])
    inputs = explainer.inputs([sample])
    index = predictor.batcher.vocabulary.index(answer.text)
    chosen = torch.tensor([index]) if index >= 0 else explainer.chosen(inputs)
    grid = explainer.maps(name, inputs, chosen)[0]
    about = predictor.batcher.vocabulary.spelling(int(chosen))
    told, figures = worth(predictor.run, name)
    return Explained(
        answer, about, name, methods.summary(name), grid, told, explainer.words(inputs)[0], figures=figures
    )


@dataclass(frozen=True)
class ExplainedWords:
    """One answer with a map for each word of its question."""

    answer: Answer
    words: tuple[tuple[str, Map], ...]  # each (h, w) over the square that the model looks at, summing to 1
    measured: str  # what the mean of the maps was measured to be worth; "" where it was not


def explain_words(predictor: "Predictor", image: Path, question: str) -> ExplainedWords:
    """The answer to one question, and where in the image each of its words is found.

    Raises ConfigError where the model does not compare words with cells; DataError, ImageError, as `Predictor.ask`.
    """
    explainer = Explainer(predictor.run, predictor.model, predictor.batcher)
    answer = predictor.ask(image, question)
    words = explainer.word_maps(explainer.inputs([single_question(image, question)]))[0]
    if not words:
        raise ConfigError(f"the question {question!r} has no word", hint='ask in words, as in "Is there a mass?"')
    return ExplainedWords(answer, words, worth(predictor.run, "word_cells")[0])


def worth(run: Run, method: str) -> tuple[str, Mapping[str, Any] | None]:
    """What a method was measured to be worth for this run: a sentence, and `Explained.figures`; ("", None) where it was
    not measured."""
    with own_file("the explanation scores of the run", "write them anew: discern explain RUN --score, or remove them"):
        scores = read_scores(run)
        if scores is None or method not in scores["methods"]:
            return "", None
        return measured(scores, method), scores["methods"][method] | {"chance": scores["chance"]}


class Explainer:
    """A model of a run that is looked into; it is always shown pixels, so that frozen encoders can be explained too."""

    def __init__(self, run: Run, model: Any, batcher: Batcher) -> None:
        """Raises ConfigError for a run of a baseline or of somebody else's model: it has no network."""
        if not run.recipe.is_network:
            whose = "a baseline's" if run.recipe.is_baseline else "somebody else's model's"
            raise ConfigError(
                f"{run.folder} is {whose} run: it has no network that looks anywhere",
                hint="explain a run of cmdpi or cmi_mtl",
            )
        self.run, self.model = run, model
        self.batcher = replace(batcher, images=pixels_of(batcher.images))

    @classmethod
    def with_random_weights(cls, run: Run, seed: int, device: str = "cpu") -> "Explainer":
        """The same model with all of its weights drawn anew, pre-trained parts too: the sanity check (Adebayo et al.
        2018). A map that stays as it is does not show what was learned."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model: Any = run.build_model().eval().to(device)
        return cls(run, model, run.batcher(model))

    @property
    def methods(self) -> list[str]:
        """What this model offers, the baselines last."""
        return methods.offered(self.model)

    def choose(self, method: str = AUTO) -> str:
        """The method's name; of "auto" the best measured one. Raises ConfigError when the model does not offer it."""
        if method == AUTO:
            best = (read_scores(self.run) or {}).get("best", methods.DEFAULT)
            return best if best in self.methods else methods.DEFAULT
        if method not in self.methods:
            raise ConfigError(
                f"there is no method {method!r} for this model", hint=f"it offers: {', '.join(self.methods)}"
            )
        return method

    def inputs(self, samples: Sequence[Sample]) -> Inputs:
        """A batch on the model's device, images as pixels."""
        return self.batcher.inputs(samples).to(next(self.model.parameters()).device)

    def chosen(self, inputs: Inputs) -> Tensor:
        """(B,) the classes that the model chooses."""
        with torch.inference_mode():
            chosen = decided(self.model, inputs, self.batcher.vocabulary).scores.argmax(-1)
        return chosen.clone()

    def words(self, inputs: Inputs) -> list[tuple[tuple[str, float], ...]]:
        """The words of each text, each with how far it opens the gate (cmi_mtl.md F.4); none without such a gate."""
        if not is_gated(self.model):
            return [()] * len(inputs.tokens)
        rows = zip(inputs.tokens.cpu(), inputs.words.cpu(), gates_of_words(self.model, inputs).cpu(), strict=True)
        name = self.batcher.tokenizer.names
        return [tuple(zip(name(ids[real].tolist()), gate[real].tolist(), strict=True)) for ids, real, gate in rows]

    def word_maps(self, inputs: Inputs) -> list[tuple[tuple[str, Map], ...]]:
        """The words of each text, each with its map (cmi_mtl.md F.2).

        Raises ConfigError where the model does not compare single words with single cells.
        """
        if not word_cells.offered(self.model):
            hint = "leave out --words, or explain a run of cmi_mtl"
            if self.run.recipe.model.name == "cmi_mtl":
                hint = (
                    f"train such a model: discern train {self.run.folder / 'recipe.toml'}"
                    " --set model.fvta.token=filip --set objective.weights.token=0.1 --out OUT"
                )
            raise ConfigError(
                f"{self.run.folder}: its model compares no single words with places of the image", hint=hint
            )
        maps = word_cells.of_each_word(self.model, inputs).cpu().numpy().astype(np.float64)
        name, made = self.batcher.tokenizer.names, []
        for ids, real, each in zip(inputs.tokens.cpu(), inputs.words.cpu(), maps, strict=True):
            made.append(tuple(zip(name(ids[real].tolist()), each[real.numpy()], strict=True)))
        return made

    def maps(self, method: str, inputs: Inputs, answer: Tensor) -> list[Map]:
        """A map for each text."""
        maps = methods.explain(method, self.model, inputs, answer.to(inputs.tokens.device)).cpu()
        return list(maps.numpy().astype(np.float64))


def read_scores(run: Run) -> dict[str, Any] | None:
    """What `discern explain RUN --score` wrote for these very weights: of the test split, else of another."""
    for file in sorted(run.folder.glob("explanation_scores.*.json"), key=lambda file: ".test." not in file.name):
        content = read_object(file, f"write it anew: discern explain {run.folder} --score, or remove it")
        if content.get("weights") == digest(run.folder / WEIGHTS):
            return content
    return None
