"""An open run as the measurements ask it (`measurements.Asker`): what has to open a model is done here."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from discern_vqa.data.answers import Answer
from discern_vqa.data.sample import Sample
from discern_vqa.evaluation import baseline_rows, ood_fit
from discern_vqa.evaluation.calibrate import from_validation
from discern_vqa.evaluation.predict import Answered, Predictor
from discern_vqa.measurements import Shown
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.trust import ood
from discern_vqa.trust.calibration import Calibration


@dataclass
class RunAsker:
    """See `measurements.Asker`, which says what each of its members is."""

    predictor: Predictor
    answering: Answered  # its answers to the questions of the split
    split: str
    samples: Sequence[Sample]
    train: Sequence[Sample]
    held_out: Sequence[Sample]
    learnable: Sequence[Sample] = ()  # what baselines learn from; none: no baselines
    no_baselines: str = ""  # why there are none although they were wanted

    @property
    def modes(self) -> tuple[str, ...]:
        return self.predictor.modes

    @property
    def shows(self) -> tuple[Shown, ...]:
        return self.predictor.shows

    @property
    def generates_below(self) -> float:
        return self.predictor.run.hybrid_below()

    @property
    def unread(self) -> int:
        batcher = self.predictor.batcher
        texts = [sample.question for sample in self.samples]
        return 0 if batcher is None else int(batcher.tokenizer.count_cut(texts, batcher.length))

    @property
    def baselines(self) -> Sequence[str]:
        return self.predictor.run.recipe.run.baselines if self.learnable else ()

    def answer(self, samples: Sequence[Sample], shown: Shown = "real") -> list[Answer]:
        return self.predictor.answer(samples, shown)

    def answers(self, mode: str) -> list[Answer]:
        return self.answering.answers(mode)

    def prior_answers(self) -> list[Answer]:
        return self.predictor.beforehand(self.samples)

    def baseline(self, name: str) -> list[Prediction]:
        run, network = self.predictor.run, self.predictor.model
        return baseline_rows.row(name, self.learnable, self.samples, self.split, run, network)

    def calibration(self) -> Calibration:
        if self.predictor.calibration is None:
            self.predictor.calibration, _ = from_validation(self.predictor, self.held_out)
        return self.predictor.calibration

    def out_of_distribution(self) -> dict[str, Any]:
        """A run that has no detector yet gets one."""
        predictor = self.predictor
        images = {sample.image for sample in self.samples}
        new = [sample for sample in self.held_out if sample.image not in images]
        if predictor.detector is None and not ood_fit.fit_run(
            predictor, self.train, new, none_held_out=not self.held_out
        ):
            return {"missing": ood_fit.why_not(predictor, self.train)}
        figures = ood.read_figures(predictor.run.folder)
        return figures | {"split": ood_fit.measure_split(predictor, self.train, self.samples)}
