"""Answers from the folder of an export to ONNX: what `Predictor` gives of a run, by onnxruntime and without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from discern_vqa.answering.classified import classified, classified_by_type
from discern_vqa.data.answers import Answer
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError, RunError
from discern_vqa.evaluation.asked_run import OpenRun, Reads
from discern_vqa.evaluation.onnx_graphs import EXPORT_ANEW, OnnxGraphs
from discern_vqa.files import read_json
from discern_vqa.run_folder import ONNX, VOCABULARY
from discern_vqa.trust import calibration, ood
from discern_vqa.trust.calibration import Calibration
from discern_vqa.trust.ood import Detector

VERSION = 1


@dataclass(eq=False)
class OnnxPredictor(OpenRun):
    """An open export. facts: its onnx.json."""

    path: Path
    facts: dict[str, Any]
    graphs: OnnxGraphs
    calibration: Calibration | None = None
    detector: Detector | None = None

    @classmethod
    def open(cls, folder: Path, threads: int = 0, images_at_once: int = 1) -> "OnnxPredictor":
        """Reads the folder; a graph is loaded when it is first needed. threads, images_at_once: see `OnnxGraphs`.
        Raises RunError: a file is missing or damaged, or of a newer version."""
        facts, vocabulary = read_json(folder / ONNX, EXPORT_ANEW), read_json(folder / VOCABULARY, EXPORT_ANEW)
        if (version := facts.get("version")) != VERSION:
            newer = isinstance(version, int) and version > VERSION
            hint = f"pip install --upgrade discern-vqa, or {EXPORT_ANEW}" if newer else EXPORT_ANEW
            raise RunError(f"{folder / ONNX} is of version {version!r}; this program reads {VERSION}", hint=hint)
        try:
            graphs = OnnxGraphs(folder, facts, vocabulary, threads, images_at_once)
            weights, _ = str(facts["weights_sha256"]), (facts["mode"], facts["modes"], facts["is_refit"])
        except (LookupError, TypeError, ValueError, AttributeError, DataError) as error:
            raise RunError(f"{folder} has a broken {ONNX} or {VOCABULARY}: {error}", hint=EXPORT_ANEW) from error
        try:
            trust = calibration.read_if_there(folder, weights), ood.read_if_there(folder, weights)
        except RunError as error:
            raise RunError(str(error), hint=f"calibrate the run: discern calibrate RUN; then {EXPORT_ANEW}") from error
        return cls(folder, facts, graphs, *trust)

    @property
    def folder(self) -> Path:
        return self.path

    @property
    def modes(self) -> tuple[str, ...]:
        return tuple(self.facts["modes"])

    @property
    def own_mode(self) -> str:
        return str(self.facts["mode"])

    @property
    def weights_sha256(self) -> str:
        return str(self.facts["weights_sha256"])

    @property
    def is_refit(self) -> bool:
        return bool(self.facts["is_refit"])

    @property
    def uncalibrated(self) -> str:
        return (
            "the score is not calibrated, and is no probability: calibrate the run (discern calibrate RUN), then export"
            " it anew"
        )

    @property
    def image_size(self) -> int | None:
        return self.graphs.size

    @property
    def reading(self) -> tuple[Reads, int] | None:
        return self.graphs.tokenizer, self.graphs.length

    def answer(self, samples: Sequence[Sample], *, mode: str = "") -> list[Answer]:
        """See OpenRun."""
        mode = mode or self.own_mode
        if mode not in self.modes:
            raise ConfigError(
                f"this export cannot answer by {mode!r}",
                hint=f"it can: {', '.join(self.modes)}; the other ways need the run itself",
            )
        if not samples:
            return []
        probabilities, openness = self.graphs.probabilities(samples)
        if mode == "classify" or openness is None:
            return classified(probabilities, self.graphs.vocabulary)
        return classified_by_type(probabilities, (openness > 0).tolist(), self.graphs.vocabulary)

    def vectors(self, samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
        """See OpenRun."""
        return self.graphs.image_vectors(samples), self.graphs.text_vectors([sample.question for sample in samples])

    def forget(self, samples: Sequence[Sample]) -> None:
        """See OpenRun."""
        self.graphs.forget()
