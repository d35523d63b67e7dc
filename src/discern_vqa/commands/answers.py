"""The verb that answers one question."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern_vqa.commands._archive import DicomWeb, Instance, Series, Study, image_of_study, refuse_without_archive
from discern_vqa.commands._output import AskedRun, Mode, PrintJson, say_next
from discern_vqa.data.judged import shown_share
from discern_vqa.errors import ConfigError
from discern_vqa.run_folder import require_asked

if TYPE_CHECKING:
    from discern_vqa.data.answers import Answer
    from discern_vqa.evaluation.asked_run import OpenRun
    from discern_vqa.fitting.cases import Case

DISCLAIMER = "Research software: not for diagnosis."
SHOWN = 5


def ask(
    run: AskedRun,
    image: Annotated[
        str,
        typer.Argument(
            help="An image file; a slice of a volume: a.nii.gz#axis=axial#slice=40. With --dicomweb none is named.",
            show_default=False,
        ),
    ] = "",
    question: Annotated[str, typer.Argument(help="A question about it, in quotes.", show_default=False)] = "",
    as_json: PrintJson = False,
    mode: Mode = "",
    similar: Annotated[
        int, typer.Option(help="Also show so many similar cases of the training data.", min=0, max=50)
    ] = 0,
    dicomweb: DicomWeb = "",
    study: Study = "",
    series: Series = "",
    instance: Instance = "",
) -> None:
    """Ask one question about one image, of a file or of an archive.

    With --dicomweb URL --study UID the image is fetched into memory, and who the patient is is printed here and kept
    nowhere.
    """
    refuse_without_archive(dicomweb, study=study, series=series, instance=instance)
    if dicomweb:
        if question:
            raise ConfigError(
                f"an image file ({image}) and an archive are both named",
                hint=f'discern ask {run} --dicomweb {dicomweb} --study {study or "UID"} "{question}"',
            )
        require_asked(run, finished=False)
        with image_of_study(dicomweb, study, series, instance) as (fetched, lines):
            if not as_json:  # what is printed as JSON is often kept
                typer.echo("\n".join(lines))
            _ask(run, fetched, image, as_json, mode, similar)
        return
    if not image or not question:
        raise ConfigError("ask takes an image and a question", hint=f'discern ask {run} IMAGE "Is there a mass?"')
    _ask(run, Path(image), question, as_json, mode, similar)


def _ask(run: Path, image: Path, question: str, as_json: bool, mode: str, similar: int) -> None:
    from discern_vqa.commands.data_look import seen
    from discern_vqa.imaging.decoded import decoded_once

    with decoded_once():
        # A mistyped image is told before torch and the model are loaded, a mistyped run first of all.
        part = seen(image) if run.is_dir() else ""
        from discern_vqa.evaluation.opening import open_to_ask, whole_run

        predictor = open_to_ask(run)
        answer = predictor.ask(image, question, mode)
        cases: list[Case] = []
        if similar:
            whole = whole_run(predictor)
            from discern_vqa.evaluation.similar_cases import SimilarCases

            cases = SimilarCases.of(whole).nearest(image, question, similar)
    if part:
        typer.echo(part, err=True)
    _say_if_uncalibrated(predictor)
    typer.echo(_as_json(answer, cases) if as_json else _as_text(answer, cases))
    if not as_json and not predictor.has_heat_maps:
        say_next("predict", str(run), "QUESTIONS.csv", "--out", "ANSWERS.csv", err=True)
    elif not as_json:
        say_next("explain", str(run), str(image), question, "--out", "map.png", err=True)


def _say_if_uncalibrated(predictor: "OpenRun") -> None:
    if predictor.calibration is None:
        typer.echo(predictor.uncalibrated, err=True)


def _as_text(answer: "Answer", cases: "list[Case]") -> str:
    lines = _answered(answer)
    if cases:
        from discern_vqa.evaluation.similar_cases import as_text

        lines += ["Similar cases that it learned from (cosines):", *as_text(cases)]
    return "\n".join([*lines, DISCLAIMER])


def _answered(answer: "Answer") -> list[str]:
    verdict, how = answer.verdict, f"  ({answer.mode})" if answer.mode not in ("", "classify") else ""
    others = [f"  {text}  {shown_share(score)}" for text, score in answer.alternatives[:SHOWN] if text != answer.text]
    first = verdict.in_words + ("" if verdict.abstains else how)
    return [first, *others, *([verdict.promise] if verdict.promise else []), *map(_note, answer.notes)]


def _note(text: str) -> str:
    return f"NOTE: {text}"


def _as_json(answer: "Answer", cases: "list[Case]") -> str:
    from discern_vqa.evaluation.asked_run import trusted

    score = None if math.isnan(answer.score) else answer.score
    fields = {"answer": answer.text, "score": score, "alternatives": answer.alternatives, "mode": answer.mode}
    similar = {"similar": [asdict(case) for case in cases]} if cases else {}
    return json.dumps(fields | trusted(answer) | similar | {"note": DISCLAIMER}, ensure_ascii=False)
