"""The verb that answers one question."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from discern_vqa.commands._output import Mode, PrintJson, Run

if TYPE_CHECKING:
    from discern_vqa.data.answers import Answer
    from discern_vqa.fitting.cases import Case

DISCLAIMER = "Research software: not for diagnosis."
SHOWN = 5


def ask(
    run: Run,
    image: Annotated[Path, typer.Argument(help="An image file; a slice of a volume: a.nii.gz#axis=axial#slice=40.")],
    question: Annotated[str, typer.Argument(help="A question about it, in quotes.")],
    as_json: PrintJson = False,
    mode: Mode = "",
    similar: Annotated[
        int, typer.Option(help="Also show so many similar cases of the training data.", min=0, max=50)
    ] = 0,
) -> None:
    """Ask one question about one image."""
    from discern_vqa.commands.data_look import seen
    from discern_vqa.imaging.decoded import decoded_once

    with decoded_once():
        # A mistyped image is told before torch and the model are loaded, a mistyped run first of all.
        part = seen(image) if run.is_dir() else ""
        from discern_vqa.evaluation.opening import open_run

        predictor = open_run(run)
        answer = predictor.ask(image, question, mode)
        cases: list[Case] = []
        if similar:
            from discern_vqa.evaluation.similar_cases import SimilarCases

            cases = SimilarCases.of(predictor).nearest(image, question, similar)
    if part:
        typer.echo(part, err=True)
    typer.echo(_as_json(answer, cases) if as_json else _as_text(answer, cases))


def _as_text(answer: "Answer", cases: "list[Case]") -> str:
    lines = _answered(answer)
    if cases:
        from discern_vqa.evaluation.similar_cases import as_text

        lines += ["Similar cases that it learned from (cosines):", *as_text(cases)]
    return "\n".join([*lines, DISCLAIMER])


def _answered(answer: "Answer") -> list[str]:
    from discern_vqa.trust.ood import in_words

    others = [f"  {text}  {score:.2f}" for text, score in answer.alternatives[:SHOWN] if text != answer.text]
    if unlike := in_words(answer.within):
        # What is promised of answers holds for images and questions like those that were held out.
        return [f"I would rather not answer: {unlike}. My best guess: {answer.text}", *others]
    judged, how = answer.judged, f"  ({answer.mode})" if answer.mode not in ("", "classify") else ""
    if judged is None:
        return [f"{answer.text}  {answer.score:.2f}{how}", *others]
    sure, share = f"{judged.confidence:.2f}", f"{100 * judged.coverage:.0f} %"
    first = f"{answer.text}  {sure}{how}"
    if judged.abstains:
        bar = f"is below {judged.threshold:.2f}" if judged.threshold is not None else "has not been shown to mean much"
        first = f"I would rather not answer: a confidence of {sure} {bar}. My best guess: {answer.text}"
    promise = f"No answer stands out as the true ones do in {share} of such cases"
    if judged.answer_set is None:
        promise = f"No list of answers would hold the true one {share} of the time: it may be one that I cannot give"
    elif judged.answer_set:
        promise = f"In {share} of such cases the true answer is one of these: {', '.join(judged.answer_set)}"
    return [first, *others, promise]


def _as_json(answer: "Answer", cases: "list[Case]") -> str:
    from discern_vqa.evaluation.predict import said

    fields = {"answer": answer.text, "score": answer.score, "alternatives": answer.alternatives, "mode": answer.mode}
    found = {"similar": [asdict(case) for case in cases]} if cases else {}
    return json.dumps(fields | said(answer) | found | {"note": DISCLAIMER})
