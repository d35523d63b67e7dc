"""The heat map of an answer that was given before, as it is reported with it."""

from dataclasses import replace
from pathlib import Path

from discern_vqa.dicom_out.reported import HeatMap, Reported
from discern_vqa.errors import DataError
from discern_vqa.evaluation.body import warning as outside
from discern_vqa.evaluation.explain import explain
from discern_vqa.evaluation.heatmaps import canvas, on_picture, scaled
from discern_vqa.evaluation.one_question import single_question
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.imaging.images import open_image


def with_heat_map(predictor: Predictor, image: Path, reported: Reported) -> Reported:
    """The answer with what it rests on, by the best method that was measured for this run, over the image as it is
    shown.

    Raises DataError: asked again, the run answers otherwise, so that a map of it would belong to another answer;
    ConfigError: the run has no network; ImageError.
    """
    try:
        made = explain(predictor, image, reported.question)
    finally:
        # The next image may lie under the same path: files in memory are known by numbers that come again.
        predictor.forget([single_question(image, reported.question)])
    if made.answer.text != reported.verdict.answer and reported.mode in ("", made.answer.mode):
        raise DataError(
            f"asked again, the run answers {made.answer.text!r} and not {reported.verdict.answer!r}",
            hint="answer the questions anew: discern predict RUN QUESTIONS --out answers.jsonl",
        )
    shown = open_image(image)
    weights = scaled(on_picture(made.grid, *canvas(*shown.size)))
    of_another = "" if made.explained == reported.verdict.answer else f", of the answer {made.explained!r}"
    care = outside(shown, made.grid)
    told = [f"{made.summary}{of_another}.", *([f"Take care: {care}."] if care else []), made.measured]
    return replace(reported, heat=HeatMap(weights, " ".join(filter(None, told))))
