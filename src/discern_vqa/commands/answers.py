"""The verbs about answers: ask one, predict many, score anybody's."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from discern_vqa.data.answers import Answer

DISCLAIMER = "Research software: not for diagnosis."

Run = Annotated[Path, typer.Argument(help="A run folder, as `discern train` leaves it.")]


def ask(
    run: Run,
    image: Annotated[Path, typer.Argument(help="An image file.")],
    question: Annotated[str, typer.Argument(help="A question about it, in quotes.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Ask one question about one image."""
    from discern_vqa.evaluation.predict import Predictor

    answer = Predictor.open(run).ask(image, question)
    typer.echo(_as_json(answer) if as_json else _as_text(answer))


def _as_text(answer: "Answer") -> str:
    others = [f"  {text}  {score:.2f}" for text, score in answer.alternatives if text != answer.text]
    return "\n".join([f"{answer.text}  {answer.score:.2f}", *others, DISCLAIMER])


def _as_json(answer: "Answer") -> str:
    fields = {"answer": answer.text, "score": answer.score, "alternatives": answer.alternatives, "note": DISCLAIMER}
    return json.dumps(fields)


def predict(
    run: Run,
    questions: Annotated[Path, typer.Argument(help="Questions: CSV (image, question) or JSONL.")],
    out: Annotated[Path, typer.Argument(help="The predictions file (JSONL) to write.")],
) -> None:
    """Answer a file of questions."""
    from rich.console import Console
    from rich.progress import Progress

    from discern_vqa.evaluation.predict import Predictor

    predictor = Predictor.open(run)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("answering", total=None)
        predictor.predict_file(questions, out, lambda done, total: bar.update(task, completed=done, total=total))
    typer.echo(f"predictions: {out}\n{DISCLAIMER}")


def score(
    predictions: Annotated[Path, typer.Argument(help="A predictions file (JSONL), yours or anybody's.")],
    normalise: Annotated[str, typer.Option(help="How answers are compared: none, lower, m3ae, mevf.")] = "m3ae",
    as_json: Annotated[Path | None, typer.Option("--json", help="Also write the scores to this file.")] = None,
) -> None:
    """Score a predictions file.

    Yours or anybody's: needs no run and no torch. docs/metrics.md describes the file.
    """
    from discern_vqa.evaluation.scoring import as_table, score_file
    from discern_vqa.files import atomic_write_text

    scores = score_file(predictions, normalise)
    if as_json is not None:
        atomic_write_text(as_json, json.dumps(scores, indent=2) + "\n")
    typer.echo(as_table(scores))
