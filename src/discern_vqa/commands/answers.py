"""The verbs that answer: ask one question, predict many."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from discern_vqa.data.answers import Answer
    from discern_vqa.fitting.cases import Case

DISCLAIMER = "Research software: not for diagnosis."
SHOWN = 5

Run = Annotated[Path, typer.Argument(help="A run folder, as `discern train` leaves it.")]
Mode = Annotated[
    str, typer.Option("--mode", help="How: classify, classify_typed, generate, rank or hybrid; default: the run's own.")
]


def ask(
    run: Run,
    image: Annotated[Path, typer.Argument(help="An image file; a slice of a volume: a.nii.gz#axis=axial#slice=40.")],
    question: Annotated[str, typer.Argument(help="A question about it, in quotes.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    mode: Mode = "",
    similar: Annotated[
        int, typer.Option(help="Also show so many similar cases of the training data.", min=0, max=50)
    ] = 0,
) -> None:
    """Ask one question about one image."""
    from discern_vqa.imaging.decoded import decoded_once

    with decoded_once():
        _ask(run, image, question, as_json, mode, similar)


def _ask(run: Path, image: Path, question: str, as_json: bool, mode: str, similar: int) -> None:
    from discern_vqa.commands.data_look import seen

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
    return "\n".join([*_answered(answer), *_similar(cases), DISCLAIMER])


def _similar(cases: "list[Case]") -> list[str]:
    if not cases:
        return []
    from discern_vqa.evaluation.similar_cases import as_text

    return ["Similar cases that it learned from (cosines):", *as_text(cases)]


def _answered(answer: "Answer") -> list[str]:
    others = [f"  {text}  {score:.2f}" for text, score in answer.alternatives[:SHOWN] if text != answer.text]
    from discern_vqa.trust.ood import in_words

    unlike = in_words(answer.within)
    judged, how = answer.judged, f"  ({answer.mode})" if answer.mode not in ("", "classify") else ""
    refused = f"I would rather not answer: {unlike}. My best guess: {answer.text}" if unlike else ""
    if judged is None:
        return [refused or f"{answer.text}  {answer.score:.2f}{how}", *others]
    sure, share = f"{judged.confidence:.2f}", f"{100 * judged.coverage:.0f} %"
    first = f"{answer.text}  {sure}{how}"
    if judged.abstains:
        bar = f"is below {judged.threshold:.2f}" if judged.threshold is not None else "has not been shown to mean much"
        first = f"I would rather not answer: a confidence of {sure} {bar}. My best guess: {answer.text}"
    if refused:  # what is promised of answers holds for images and questions like those that were held out
        return [refused, *others]
    if judged.answer_set is None:
        kept = f"No list of answers would hold the true one {share} of the time: it may be one that I cannot give"
    elif judged.answer_set:
        kept = f"In {share} of such cases the true answer is one of these: {', '.join(judged.answer_set)}"
    else:
        kept = f"No answer stands out as the true ones do in {share} of such cases"
    return [first, *others, kept]


def _as_json(answer: "Answer", cases: "list[Case]") -> str:
    from discern_vqa.evaluation.predict import said

    fields = {"answer": answer.text, "score": answer.score, "alternatives": answer.alternatives, "mode": answer.mode}
    found = {"similar": [asdict(case) for case in cases]} if cases else {}
    return json.dumps(fields | said(answer) | found | {"note": DISCLAIMER})


def predict(
    run: Run,
    questions: Annotated[Path, typer.Argument(help="Questions: CSV (image, question) or JSONL.")],
    out: Annotated[Path, typer.Argument(help="The predictions file (JSONL) to write.")],
    mode: Mode = "",
) -> None:
    """Answer a file of questions."""
    from rich.console import Console
    from rich.progress import Progress

    from discern_vqa.evaluation.opening import open_run

    predictor = open_run(run)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("answering", total=None)
        predictor.predict_file(questions, out, lambda done, total: bar.update(task, completed=done, total=total), mode)
    typer.echo(f"predictions: {out}\n{DISCLAIMER}")
