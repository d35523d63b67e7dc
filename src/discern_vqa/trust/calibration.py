"""`calibration.json`: what was learnt about a run's confidence on questions it had not learned from. No torch here.

    {"version": 1, "normaliser": "m3ae", "kind": "distribution", "temperature": 1.4,
     "fitted_on": {"what": "validation", "file": "predictions.validation.jsonl", "weights": "0123456789abcdef",
                   "n": 612, "images": 290, "accuracy": 0.6},
     "sets": {"coverage": 0.9, "all": {"all": {"n": 612, "threshold": 0.02, "reachable": 0.93}},
              "levels": {"0.5": 0.41, ..., "0.95": null},
              "answer_type": {"open": ..., "closed": ...}, "answer_form": {"yes/no": ..., "other": ...}},
     "abstention": {"threshold": 0.55, "target": 0.8, "accuracy": 0.81, "coverage": 0.6}}

"at_bound": true stands beside them where the best temperature lies beyond the bounds (`confidence.bound_warning`).

`ask` and `predict` read it when it lies in the run's folder; `evaluate` measures what it promises on its split.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from discern_vqa.data.answers import NORMALISERS, Answer, Judged, normaliser
from discern_vqa.data.sample import Sample
from discern_vqa.errors import ConfigError, DataError, RunError
from discern_vqa.files import atomic_write_text, sha256_of
from discern_vqa.scoring.metrics import rights
from discern_vqa.scoring.predictions import Prediction
from discern_vqa.scoring.stored import own_file, read_object
from discern_vqa.trust import abstention, confidence, conformal

FILE = "calibration.json"
VERSION = 1
COVERAGE = 0.9
FEWEST = 50
"""Held-out questions below which nothing is calibrated: a threshold of ten questions promises nothing."""


@dataclass(frozen=True)
class Calibration:
    """See the file's layout above; `bar` is its "abstention"."""

    normaliser: str
    kind: str
    temperature: float
    fitted_on: dict[str, Any]
    sets: dict[str, Any]
    bar: abstention.Bar

    @property
    def warning(self) -> str:
        """Why the confidence is not to be believed, a sentence; "" where nothing is known against it."""
        return confidence.bound_warning(self.temperature)

    @classmethod
    def fit(
        cls,
        rows: Sequence[Prediction],
        normalise: str = "m3ae",
        coverage: float = COVERAGE,
        target: float | None = None,
        about: dict[str, Any] | None = None,
    ) -> "Calibration":
        """Fits temperature, answer sets and the threshold of abstention on held-out questions.

        Args:
            rows: predictions on questions that the model did not learn from, with scores.
            coverage: how often an answer set shall hold the true answer.
            target: accuracy of the answers given; none: half the errors of answering everything.
            about: what the questions are, for the file: {"what", "file"}.

        Raises:
            DataError: fewer than 50 questions, or a line without a score. ConfigError: coverage or target out of range.
        """
        for name, value in (("coverage", coverage), ("accuracy", target if target is not None else 0.5)):
            if not 0 < value < 1:
                raise ConfigError(f"the {name} is {value}; expected between 0 and 1", hint="0.9 means 90 %")
        refuse_few(len(rows))
        kind = confidence.kind_of(rows)
        right = rights(rows, normalise)
        temperature = confidence.fit_temperature(rows, right, normalise, kind)
        truth = confidence.truth_scores(rows, normalise, temperature, kind)
        sure = confidence.confidences(rows, temperature, kind)
        levels = {str(level): conformal.threshold(truth, level) for level in conformal.LEVELS}
        fitted_on = {"n": len(rows), "images": len({row.image for row in rows}), "accuracy": float(right.mean())}
        return cls(
            normaliser=normalise,
            kind=kind,
            temperature=temperature,
            fitted_on=(about or {}) | fitted_on,
            sets={"coverage": coverage, "levels": levels} | conformal.fit(truth, _groups(rows, normalise), coverage),
            bar=abstention.choose(sure, right, target),
        )

    def judge(self, answer: Answer) -> Answer:
        """The same answer with `judged`: calibrated confidence, answer set, and whether to abstain.

        The set's threshold is that of the form of the answer given, since the answer type of a new question is unknown.
        Where its coverage cannot be promised, the set is the one with the highest coverage that can. Where no
        confidence reached the accuracy aimed at, every answer is abstained from.
        """
        pairs = list(answer.alternatives) or [(answer.text, answer.score)]
        tempered = confidence.tempered(pairs, answer.others, self.temperature, self.kind)
        sure = next((score for text, score in tempered if text == answer.text), tempered[0][1])
        form = conformal.form_of(answer.text, normaliser(self.normaliser))
        group = self.sets["answer_form"].get(form) or self.sets["all"]["all"]
        promised = {"coverage": self.sets["coverage"], "threshold": group["threshold"]}
        if group["threshold"] is None:
            promised = group.get("instead", promised)
        bar = self.bar.threshold
        judged = Judged(
            confidence=sure,
            answer_set=conformal.answer_set(tempered, promised["threshold"]),
            coverage=promised["coverage"],
            abstains=bar is None or sure < bar,
            threshold=bar,
        )
        return replace(answer, judged=judged)

    def measure(self, rows: Sequence[Prediction]) -> dict[str, Any]:
        """What the calibration does on other questions: {"temperature", ["at_bound"], "fitted_on", "confidence" (see
        `describe`), "sets": {"coverage", grouping: measured, "levels": {coverage: measured}},
        "abstention": measured}."""
        right = rights(rows, self.normaliser)
        images = np.array([row.image for row in rows], dtype=str)
        sure = confidence.confidences(rows, self.temperature, self.kind)
        truth = confidence.truth_scores(rows, self.normaliser, self.temperature, self.kind)
        sizes = _sizes(rows, self.temperature, self.kind)
        groups = _groups(rows, self.normaliser)
        return {
            "temperature": self.temperature,
            **({"at_bound": True} if self.warning else {}),
            "fitted_on": self.fitted_on,
            "confidence": describe(sure, right, images),
            "sets": {"coverage": self.sets["coverage"]}
            | conformal.measure(truth, sizes, self.sets, groups, images)
            | {"levels": conformal.measure_levels(truth, sizes, self.sets["levels"], images)},
            "abstention": abstention.measure(sure, right, list(images), self.bar),
        }

    def write(self, path: Path) -> None:
        """Writes the file, whole or not at all."""
        content = {key: value for key, value in asdict(self).items() if key != "bar"}
        content = {"version": VERSION, **content, "abstention": asdict(self.bar)}
        if self.warning:
            content["at_bound"] = True
        atomic_write_text(path, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """Reads the file. Raises RunError when it is broken or of another version."""
        hint = f"make it anew: discern calibrate {path.parent}, or remove it"
        with own_file(path, hint):
            content = read_object(path, hint)
            if content["version"] != VERSION:
                raise ValueError(f"it is of version {content['version']}; this program reads {VERSION}")
            fields = {key: content[key] for key in ("normaliser", "kind", "fitted_on", "sets")}
            temperature, bar = float(content["temperature"]), abstention.Bar(**content["abstention"])
            made = cls(**fields, temperature=temperature, bar=bar)
            known = made.kind in ("distribution", "confidence") and made.normaliser in NORMALISERS
            if not (0 < temperature < math.inf and known):
                told = f"its temperature is {temperature:g}, its kind {made.kind!r}, its normaliser {made.normaliser!r}"
                raise ValueError(told)
            made.judge(Answer("yes", 0.5, (("yes", 0.5),)))  # what is missing for it is missing now, not at a question
            made.fitted_on.get("weights")
            return made


def read_if_there(folder: Path, weights: Path | str) -> Calibration | None:
    """The calibration of a run's folder, None where there is none. weights: the file, or its SHA-256.

    Raises RunError when it is broken, or was made for other weights than the run has now.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    made = Calibration.read(path)
    if fitted := made.fitted_on.get("weights"):
        refuse_other_weights(path, fitted, weights)
    return made


def refuse_other_weights(path: Path, fitted: str, weights: Path | str) -> None:
    """Raises RunError when the file `path` of a run's folder was made for weights of another digest than `weights`: a
    file, or its SHA-256, as the folder of an export knows it."""
    if fitted == digest(weights):
        return
    if isinstance(weights, str):
        told, hint = f"{path} was made for other weights than those that were exported", "export the run anew"
    else:
        told = f"{path} was made for other weights than {weights.name} holds now"
        hint = f"make it anew: discern calibrate {path.parent}, or remove it"
    raise RunError(told, hint=hint)


def digest(weights: Path | str) -> str:
    """Which weights a calibration belongs to: the beginning of the SHA-256 of their file (or of the one given)."""
    return (weights if isinstance(weights, str) else sha256_of(weights))[:16]


def count_shared(rows: Sequence[Prediction], others: Sequence[Prediction | Sample]) -> int:
    """How many of the questions are among the others."""
    known = {(other.id, other.image, other.question) for other in others}
    return sum((row.id, row.image, row.question) in known for row in rows)


def refuse_shared(rows: Sequence[Prediction], judged: Sequence[Prediction], what: str) -> None:
    """Raises DataError when questions that are fitted on would be measured on too."""
    shared = count_shared(rows, judged)
    if shared:
        raise DataError(
            f"{shared:,} of {len(rows):,} questions to be calibrated on are among {what}: what is measured there"
            " afterwards would promise nothing",
            hint="calibrate on questions that were neither learned from nor are judged on",
        )


def nothing_held_out(run: Path) -> str:
    """Why a run cannot be calibrated."""
    return (
        f"{run} learned from every training question and held none out (a refit, or validation_ratio = 0), so its"
        " confidence cannot be calibrated: on questions that it has learned it is always sure, and the test split is"
        " not for that"
    )


def not_yet(run: Path, refit: bool) -> str:
    """What to know of the score of an answer of a run that is not calibrated. refit: whether it held nothing out."""
    why, folds = (" since the run learned from all of its data,", " --folds 5") if refit else ("", "")
    return f"the score is not calibrated,{why} and is no probability: discern calibrate {run}{folds}"


def refuse_few(count: int) -> None:
    """Raises DataError where so many held-out questions are too few to calibrate on."""
    if count < FEWEST:
        raise DataError(
            f"{count} held-out questions are too few to calibrate on; expected at least {FEWEST}",
            hint="hold out more ([data] validation_ratio in the recipe), give a larger file with --on, or learn"
            " from all (--set data.refit=train+validation --set run.select=last) and calibrate with --folds 5",
        )


def what_can_be_done(run: Path, *, is_outside: bool) -> str:
    """What to type instead. is_outside: somebody else's model, which is never trained."""
    if is_outside:
        return (
            f"discern calibrate {run} --on HELD_OUT.jsonl (its predictions, with gold, on {FEWEST} questions or more"
            " of your own); or, where the data set has no validation part of its own, another run with --set"
            " data.validation_ratio=0.5"
        )
    return (
        f"discern calibrate {run} --folds 5 (trains it five times more, each time without a fifth, and calibrates on"
        " the answers to that fifth), or --on HELD_OUT.jsonl (its predictions, with gold, on"
        f" {FEWEST} questions or more of your own), or --on OTHER_RUN: the same recipe trained with"
        " --set data.validation_ratio=0.1"
    )


def describe(sure: np.ndarray, right: np.ndarray, images: np.ndarray) -> dict[str, Any]:
    """Reliability (see `confidence.reliability`), the risk-coverage curve, and the surer half: {..., "risk": {...},
    "surer_half": {...}}."""
    clusters = list(images)
    return confidence.reliability(sure, right, clusters) | {
        "risk": abstention.risk_coverage(sure, right),
        "surer_half": abstention.selective(sure, right, clusters, 0.5),
    }


def describe_rows(rows: Sequence[Prediction], normalise: str = "m3ae") -> dict[str, Any] | None:
    """`describe` of the scores as a file has them; None where a line has none."""
    if any(row.score is None for row in rows):
        return None
    images = np.array([row.image for row in rows], dtype=str)
    return describe(confidence.confidences(rows), rights(rows, normalise), images)


def _groups(rows: Sequence[Prediction], normalise: str) -> dict[str, list[str]]:
    same = normaliser(normalise)
    return {
        "all": ["all"] * len(rows),
        "answer_type": [row.answer_type for row in rows],
        "answer_form": [conformal.form_of(row.prediction, same) for row in rows],
    }


def _sizes(rows: Sequence[Prediction], temperature: float, kind: str) -> Callable[[np.ndarray], np.ndarray]:
    """(n,) bars -> (n,) how many answers of each question reach its bar."""
    pairs = [confidence.tempered(confidence.pairs_of(row, kind), row.others, temperature, kind) for row in rows]
    lines = [np.array([score for _, score in line]) for line in pairs]
    return lambda bars: np.array([int((scores >= bar).sum()) for scores, bar in zip(lines, bars, strict=True)])
