"""`discern compare`: paired tests between models on the same questions."""

from pathlib import Path
from typing import Annotated

import typer

from discern_vqa.commands._output import Json, Normalise, say_next, write_json
from discern_vqa.paths import refuse_own_input


def compare(
    models: Annotated[
        list[str], typer.Argument(help="Run folders or predictions files; several seeds of one: NAME=PATH,PATH.")
    ],
    split: Annotated[str, typer.Option(help="Which predictions of a run folder.")] = "test",
    normalise: Normalise = "",
    as_json: Json = None,
) -> None:
    """Compare models on the same questions.

    Paired tests against the first one named, clustered by image and corrected for their number; says in words what can
    be told apart, and what difference could have been found.
    """
    from discern_vqa.scoring import compare as comparing
    from discern_vqa.scoring.own_normaliser import own_normaliser

    for path in map(Path, [*models, *(path for model in models for path in model.partition("=")[2].split(","))]):
        refuse_own_input(as_json, path, path / f"predictions.{split}.jsonl")
    first = Path(models[0]) if Path(models[0]).exists() else Path(models[0].rpartition("=")[2].split(",")[0])
    compared = comparing.compare(comparing.read_answerers(models, split), normalise or own_normaliser(first))
    write_json(as_json, compared)
    typer.echo(comparing.as_text(compared))
    runs = [model for model in models if Path(model).is_dir()]
    if len(runs) == len(models):
        say_next("report", *runs, "--out", "comparison")
