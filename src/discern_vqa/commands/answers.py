"""The verbs that answer: ask one question, predict many."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from discern_vqa.data.answers import Answer

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
) -> None:
    """Ask one question about one image."""
    from discern_vqa.commands.data_look import seen
    from discern_vqa.evaluation.predict import Predictor

    answer = Predictor.open(run).ask(image, question, mode)
    if part := seen(image):
        typer.echo(part, err=True)
    typer.echo(_as_json(answer) if as_json else _as_text(answer))


def _as_text(answer: "Answer") -> str:
    others = [f"  {text}  {score:.2f}" for text, score in answer.alternatives[:SHOWN] if text != answer.text]
    judged, how = answer.judged, f"  ({answer.mode})" if answer.mode not in ("", "classify") else ""
    if judged is None:
        return "\n".join([f"{answer.text}  {answer.score:.2f}{how}", *others, DISCLAIMER])
    sure, share = f"{judged.confidence:.2f}", f"{100 * judged.coverage:.0f} %"
    first = f"{answer.text}  {sure}{how}"
    if judged.abstains:
        bar = f"is below {judged.threshold:.2f}" if judged.threshold is not None else "has not been shown to mean much"
        first = f"I would rather not answer: a confidence of {sure} {bar}. My best guess: {answer.text}"
    if judged.answer_set is None:
        kept = f"No list of answers would hold the true one {share} of the time: it may be one that I cannot give"
    elif judged.answer_set:
        kept = f"In {share} of such cases the true answer is one of these: {', '.join(judged.answer_set)}"
    else:
        kept = f"No answer stands out as the true ones do in {share} of such cases"
    return "\n".join([first, *others, kept, DISCLAIMER])


def _as_json(answer: "Answer") -> str:
    from discern_vqa.evaluation.predict import said

    fields = {"answer": answer.text, "score": answer.score, "alternatives": answer.alternatives, "mode": answer.mode}
    return json.dumps(fields | said(answer) | {"note": DISCLAIMER})


def predict(
    run: Run,
    questions: Annotated[Path, typer.Argument(help="Questions: CSV (image, question) or JSONL.")],
    out: Annotated[Path, typer.Argument(help="The predictions file (JSONL) to write.")],
    mode: Mode = "",
) -> None:
    """Answer a file of questions."""
    from rich.console import Console
    from rich.progress import Progress

    from discern_vqa.evaluation.predict import Predictor

    predictor = Predictor.open(run)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("answering", total=None)
        predictor.predict_file(questions, out, lambda done, total: bar.update(task, completed=done, total=total), mode)
    typer.echo(f"predictions: {out}\n{DISCLAIMER}")
