"""What is written of an answer, and by whom it was given: plain records without DICOM, HTTP or torch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from discern_vqa.data.judged import Verdict
from discern_vqa.errors import DataError, DiscernError, RunError
from discern_vqa.files import read_json, sha256_of
from discern_vqa.run_folder import CONFIG, WEIGHTS, require_run
from discern_vqa.version import __version__

DISCLAIMER = "Research software: not for diagnosis."
_ANEW = "discern predict RUN QUESTIONS --out answers.jsonl writes such lines"


@dataclass(frozen=True)
class RunInfo:
    """The model that answered, as the algorithm that a DICOM object names.

    name: of the run folder when it was made. model: as the recipe names it. weights: SHA-256 of the weights, in
    hexadecimal. made_at: when the answers were given; it dates the objects, and is part of their identifiers, so that
    writing the same answers again gives the same objects.
    """

    name: str
    model: str
    weights: str
    made_at: datetime
    version: str = __version__

    @classmethod
    def of(cls, folder: Path, made_at: datetime) -> "RunInfo":
        """Of a run folder. Raises RunError: it is none, or its training has not ended."""
        require_run(folder, finished=True)
        try:
            config = read_json(folder / CONFIG)
            name, model = str(config.get("name") or folder.resolve().name), str(config["model"]["name"])
        except (LookupError, TypeError) as error:
            raise RunError(f"{folder / CONFIG} names no model", hint="restore the file, or train again") from error
        return cls(name, model, sha256_of(folder / WEIGHTS), made_at)


@dataclass(frozen=True)
class HeatMap:
    """What an answer rests on.

    weights: (h, w) over the image as it was shown, in [0, 1]. about: the method, and what it was measured to be worth.
    """

    weights: NDArray[np.float64]
    about: str


@dataclass(frozen=True)
class Reported:
    """One question with the verdict on its answer (`Answer.verdict`). mode: the way of answering. notes: what else
    people should know. heat: its heat map, where there is one."""

    question: str
    verdict: Verdict
    mode: str = ""
    notes: tuple[str, ...] = ()
    heat: HeatMap | None = None

    @classmethod
    def from_line(cls, line: Mapping[str, Any], question: str) -> "Reported":
        """From a line of JSON as `discern predict --out answers.jsonl` writes it.

        Raises DataError: the row has no answer, or a field is not what `predict` writes.
        """
        if problem := line.get("error"):
            raise DataError(f"it was not answered: {problem}", hint="ask again, or leave the row out")
        answer, is_calibrated = line.get("prediction"), "confidence" in line
        sure = line.get("confidence", line.get("score"))
        if not isinstance(answer, str) or not answer.strip():
            raise DataError("it has no 'prediction'", hint=_ANEW)
        coverage, answer_set = line.get("set_coverage"), line.get("answer_set")
        return cls(
            question=question,
            verdict=Verdict(
                answer=answer,
                confidence=_share(sure, "'confidence'" if is_calibrated else "'score'"),
                is_calibrated=is_calibrated,
                abstains=line.get("abstains") is True,
                reason=str(line.get("reason") or ""),
                answer_set=None if answer_set is None else _texts(answer_set, "'answer_set'"),
                coverage=None if coverage is None else _share(coverage, "'set_coverage'"),
                outside=_texts(line.get("outside") or (), "'outside'"),
            ),
            mode=str(line.get("mode") or ""),
            notes=_texts(line.get("notes") or (), "'notes'"),
        )


def _share(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        raise DataError(f"{what} is {value!r}; expected a number from 0 to 1", hint=_ANEW)
    return float(value)


def _texts(value: object, what: str) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(text, str) for text in value):
        raise DataError(f"{what} is {str(value)[:60]!r}; expected a list of texts", hint=_ANEW)
    return tuple(value)


def missing_package(name: str) -> DiscernError:
    """The error for an optional package that writing DICOM needs and that is not installed."""
    return DiscernError(
        f"{name}, which writes DICOM objects, is not installed", hint="pip install 'discern-vqa[dicom-out]'"
    )
