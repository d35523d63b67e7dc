"""Answers from a baseline's run: what `Predictor` gives, from a fitted baseline instead of a network."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from discern_vqa import registry
from discern_vqa.data.answers import Answer
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, RunError
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.fitting.fitted import FACTS, Baseline, State
from discern_vqa.measurements import Shown
from discern_vqa.run import WEIGHTS, Run
from discern_vqa.trust.calibration import read_if_there

MODE = "classify"


@dataclass(frozen=True)
class BaselineAnswering:
    """As `answering.modes.Answering`: all that a baseline says about some questions; it has one way of answering."""

    model: Baseline
    samples: list[Sample]

    def answers(self, mode: str = MODE) -> list[Answer]:
        """One answer for each question. Raises ConfigError for any other way of answering."""
        if mode != MODE:
            raise ConfigError(f"a baseline cannot answer by {mode!r}", hint=f"leave out --mode, or give {MODE}")
        return [replace(answer, mode=MODE) for answer in self.model.answers(self.samples)]


class BaselinePredictor(Predictor):
    """An open run of a baseline. It has no network, so nothing that could be batched, and nowhere that it looked."""

    modes = (MODE,)
    shows = ("real", "blank")

    @classmethod
    def of(cls, run: Run, device: str | None = None, calibrated: bool = True) -> "BaselinePredictor":
        """Loads what was fitted; it needs no device.

        Raises RunError when a file is missing, damaged, or of another baseline.
        """
        config = run.recipe.model
        state = State.read(run.folder / FACTS, run.folder / WEIGHTS)
        try:
            model = registry.fitted_baseline(config.name).Model.load(config, state, run.vocabulary, run.folder)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            what = f"{FACTS} and {WEIGHTS} of {run.folder} are not those of {config.name}: {error}"
            raise RunError(what, hint="restore the files, or train it again") from error
        return cls(run, model, None, read_if_there(run.folder, run.folder / WEIGHTS) if calibrated else None)

    @property
    def own_mode(self) -> str:
        return MODE

    @property
    def finds_similar(self) -> bool:
        return self.run.recipe.model.name in ("baselines.retrieval", "baselines.kernel_ridge")

    def answering(self, samples: Sequence[Sample], shown: Shown = "real", seed: int = 0) -> BaselineAnswering:
        """See Predictor. A blank image has no name, and nobody has seen it."""
        asked = list(samples)
        if shown == "blank":
            asked = [replace(sample, image="", path=Path()) for sample in asked]
        return BaselineAnswering(self.model, asked)

    def forget(self, samples: Sequence[Sample]) -> None:
        """See Predictor."""
        self.model.forget({sample.image for sample in samples})
