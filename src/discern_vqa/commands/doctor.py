"""The verb doctor."""

import json
from typing import Annotated

import typer

from discern_vqa.commands._output import PrintJson, say_next


def doctor(
    as_json: PrintJson = False,
    bench: Annotated[
        bool, typer.Option("--bench", help="Measure how fast it is, and how near to that this program comes.")
    ] = False,
) -> None:
    """Say what this machine can do.

    Torch, processor, memory and GPUs; the data sets, weights and extras that were found. With --bench, in one to two
    minutes: matrix products, memory and opening of images, and what share of these each stage reaches.
    """
    if bench:
        from discern_vqa.bench import as_text as as_tables
        from discern_vqa.bench import bench as measure

        figures = measure(say=lambda text: typer.echo(text, err=True))
        typer.echo(json.dumps(figures, indent=1) if as_json else as_tables(figures))
        return
    from discern_vqa.doctor import as_text, examine

    facts = examine()
    typer.echo(json.dumps(facts, indent=2) if as_json else as_text(facts))
    if not as_json:
        say_next("data", "list")
